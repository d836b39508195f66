"""Uploads to W&B what its server lacks of a run: rows, pictures, results, report.html.

  vae-jax upload --workdir=runs/digits
  vae-jax upload --workdir=runs/digits --project=vae

After wandb login. The run may have been tracked online, offline or not at all, finished or killed:
nothing comes there twice. From a clone it is python -m launch.upload, too.
"""

from absl import flags

from vae_jax.commands.command import Command


def make() -> Command:
  """Returns the command with its flags."""
  own = flags.FlagValues()
  flags.DEFINE_string('workdir', None, 'The directory of the run.', own)
  flags.DEFINE_string('entity', None, "A W&B user or team (default: the config's).", own)
  flags.DEFINE_string('project', None, "A W&B project (default: the config's).", own)
  return Command(__doc__, own, main, required=('workdir',))


def main(given: flags.FlagValues) -> int:
  """Uploads the run and prints where it is."""
  from vae_jax.runs import uploading

  print(f'W&B: {uploading.upload(given.workdir, given.entity, given.project)}', flush=True)
  return 0
