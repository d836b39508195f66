"""Runs one launch of a study that vae-jax sweep has planned, as vae-jax train would.

  vae-jax run --study=runs/mine --index=2

It is what every engine starts, and what a scheduler of another kind may start. It goes on from the
newest checkpoint; signals and exit codes are those of vae-jax train, and 5 where another process
is at the same launch.
"""

from absl import flags

from vae_jax.commands.command import Command


def make() -> Command:
  """Returns the command with its flags."""
  own = flags.FlagValues()
  flags.DEFINE_string('study', None, 'The workdir of the study.', own)
  flags.DEFINE_integer('index', None, 'Which of its launches, from 0.', flag_values=own)
  flags.DEFINE_bool('log', False, 'Says everything to WORKDIR/jobs/NAME/log.txt.', own)
  flags.DEFINE_bool('with_parent', False, 'Stops when the standard input ends.', own)
  return Command(__doc__, own, main, required=('study', 'index'))


def main(given: flags.FlagValues) -> int:
  """Trains the launch and prints what came out."""
  from vae_jax import sweeps
  from vae_jax.commands import terminal

  if given.log:
    sweeps.write_to_log(given.study, given.index)
  if given.with_parent:
    sweeps.stop_with_parent()
  result = sweeps.run(given.study, given.index)
  terminal.show(result)
  return result.exit_code
