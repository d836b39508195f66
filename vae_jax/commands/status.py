"""Says where runs stand: state, step, lanes, ELBO, time left, who holds them.

  vae-jax status --workdir=runs/digits
  vae-jax status --workdir=runs/a --workdir=runs/b --json

Only files are read: a run that goes on is not disturbed, and JAX is not started. A run is running
while its lock is held, done where nothing is left to do, interrupted otherwise; the same train
command continues it. From a clone it is python -m launch.status, too.
"""

import json
import time

from absl import flags

from vae_jax import errors, paths, standing
from vae_jax.commands.command import Command


def make() -> Command:
  """Returns the command with its flags."""
  own = flags.FlagValues()
  flags.DEFINE_multi_string(
    'workdir', None, 'The directory of a run; given several times, a row each.', own
  )
  flags.DEFINE_bool(
    'json', False, 'Prints one JSON object; docs/files.md says what its keys are.', flag_values=own
  )
  return Command(__doc__, own, main, required=('workdir',), computes=False)


def main(given: flags.FlagValues) -> int:
  """Prints where the runs stand."""
  now = time.time()
  directories = [paths.expanded(each, '--workdir') for each in given.workdir]
  found = errors.each(lambda directory: standing.status_of(directory, now), directories)
  if given.json:
    print(json.dumps({'runs': [status.as_record() for status in found]}, indent=2))
  else:
    print('\n'.join(standing.lines_of(found)))
  return 0
