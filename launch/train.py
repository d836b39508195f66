"""Trains a study: every lane of its grid as one program.

  python -m launch.train --config=configs/digits.py --workdir=runs/digits \\
    --config.lanes.beta='(1.,4.)' --config.train.steps=1000

The same command continues a run that was stopped. Exit codes: docs/files.md.

Over several processes, on several hosts or on one, the same command in each of them with
--coordinator=HOST:PORT (where process 0 listens) --processes=2 --process=0 (or 1); all must see the
workdir. Process 0 gathers there what the processes leave.
"""

import re

from absl import flags
from ml_collections import config_flags

from launch import command, terminal, words
from vae_jax import errors, multihost
from vae_jax.runs import outcome, training

with words.seen_without_flag_files():
  CONFIG = config_flags.DEFINE_config_file('config', None, 'The study.', lock_config=True)
WORKDIR = flags.DEFINE_string('workdir', None, 'Where the files of the run go.')
COORDINATOR = flags.DEFINE_string(
  'coordinator', None, 'HOST:PORT at which process 0 listens to the others.'
)
PROCESSES = flags.DEFINE_integer('processes', None, 'How many processes train the study.')
PROCESS = flags.DEFINE_integer('process', None, 'Which of them this is, from 0.')
WAIT_SECONDS = flags.DEFINE_float(
  'wait_seconds', 300.0, 'How long the processes wait for each other at the start.'
)
FROM_SCRATCH = flags.DEFINE_bool(
  'from_scratch', False, 'Begins a run at step 0 again whose checkpoints are lost or damaged.'
)
flags.mark_flags_as_required(['config', 'workdir'])


def main() -> outcome.Outcome:
  config = command.read_config(CONFIG)
  if not _has_processes():
    result = training.run(config, WORKDIR.value, from_scratch=FROM_SCRATCH.value)
    terminal.show(result)
    return result
  multihost.check(config, WORKDIR.value, PROCESSES.value)
  host, _, port = COORDINATOR.value.rpartition(':')
  here = multihost.Meeting(
    host.strip('[]'), int(port), PROCESSES.value, config['lanes'], WAIT_SECONDS.value
  )
  result = multihost.run(config, WORKDIR.value, PROCESS.value, here, FROM_SCRATCH.value)
  if PROCESS.value:
    print(f'the share of process {PROCESS.value} is done: {result.results}', flush=True)
  else:
    terminal.show(result)
  return result


def _has_processes() -> bool:
  """Tells whether this is one of several processes.

  Raises:
    InputError: a flag is missing beside the others, or out of range.
  """
  given = (COORDINATOR, PROCESSES, PROCESS)
  missing = [flag.name for flag in given if flag.value is None]
  if len(missing) == len(given):
    return False
  if missing:
    raise errors.InputError(
      f'--{missing[0]} is missing; --coordinator, --processes and --process go together'
    )
  match = re.fullmatch(r'.+:(\d+)', COORDINATOR.value)
  if not match or not 0 < int(match.group(1)) < 2**16:
    raise errors.InputError(
      f'--coordinator={COORDINATOR.value} is not HOST:PORT; give one such as localhost:12345'
    )
  if not WAIT_SECONDS.value >= 0:  # NaN is neither more nor less
    raise errors.InputError(f'--wait_seconds={WAIT_SECONDS.value} is no time; give 0 or more')
  _check_range(PROCESSES, 1, None)
  _check_range(PROCESS, 0, PROCESSES.value - 1)
  return True


def _check_range(flag: flags.FlagHolder, low: int, high: int | None) -> None:
  nearest = max(low, flag.value if high is None else min(flag.value, high))
  if flag.value != nearest:
    limit = f'at least {low}' if high is None else f'between {low} and {high}'
    raise errors.InputError(
      f'--{flag.name}={flag.value} is not {limit}; the nearest valid value is {nearest}'
    )


if __name__ == '__main__':
  command.start(main)
