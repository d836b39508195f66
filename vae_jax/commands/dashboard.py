"""Makes a W&B workspace and a W&B report of a study: beta, latent size, NLL, curves, pictures.

  vae-jax dashboard --workdir=runs/digits
  vae-jax dashboard --workdir=runs/digits --print

After pip install 'vae_jax[dashboard]', and vae-jax upload or a run that was tracked online. Called
again it replaces what it made. From a clone it is python -m launch.dashboard, too.
"""

import json

from absl import flags

from vae_jax.commands.command import Command


def make() -> Command:
  """Returns the command with its flags."""
  own = flags.FlagValues()
  flags.DEFINE_string('workdir', None, 'The directory of the run.', own)
  flags.DEFINE_string('entity', None, "A W&B user or team (default: the config's).", own)
  flags.DEFINE_string('project', None, "A W&B project (default: the config's).", own)
  flags.DEFINE_bool(
    'print', False, 'Prints what W&B would be sent, as JSON; no server is asked.', flag_values=own
  )
  return Command(__doc__, own, main, required=('workdir',))


def main(given: flags.FlagValues) -> int:
  """Saves both and prints where they are, or prints what they are."""
  from vae_jax.runs import dashboards

  if given['print'].value:
    print(json.dumps(dashboards.specification(given.workdir), indent=2))
    return 0
  workspace, report = dashboards.save(given.workdir, given.entity, given.project)
  print(f'workspace: {workspace}\nreport:    {report}', flush=True)
  return 0
