"""Trains a study: every lane of its grid as one program.

  vae-jax train --config=digits --workdir=runs/digits
  vae-jax train --config=mine.py --workdir=runs/mine --config.lanes.beta='(1., 4.)'

A config is a study that comes with the package (digits, mnist_static, ...) or a file. The same
command continues a run that was stopped. Exit codes: 0 all lanes done, 2 bad input (nothing was
created), 3 some lanes diverged, 4 damaged files, 5 the directory is in use, 6 no space or not
writable, 130 and 143 stopped with the state saved. From a clone it is python -m launch.train, too.
--workdir='runs/{run_id}' is a directory named after the trial of a W&B sweep, else at random.

Over several processes, on several hosts or on one, the same command in each of them with
--coordinator=HOST:PORT (where process 0 listens) --processes=2 --process=0 (or 1); all must see the
workdir. Process 0 gathers there what the processes leave.
"""

import re

from absl import flags
from ml_collections import config_flags

from vae_jax import config as settings
from vae_jax import errors
from vae_jax.commands import argv, run_ids
from vae_jax.commands.command import Command


def make() -> Command:
  """Returns the command with its flags."""
  own = flags.FlagValues()
  with argv.seen_without_flag_files():
    config_flags.DEFINE_config_file('config', None, 'The study.', own, lock_config=True)
  flags.DEFINE_string('workdir', None, 'Where the files of the run go.', own)
  flags.DEFINE_string(
    'coordinator', None, 'HOST:PORT at which process 0 listens to the others.', own
  )
  flags.DEFINE_integer('processes', None, 'How many processes train the study.', flag_values=own)
  flags.DEFINE_integer('process', None, 'Which of them this is, from 0.', flag_values=own)
  flags.DEFINE_float(
    'wait_seconds',
    300.0,
    'How long the processes wait for each other at the start.',
    flag_values=own,
  )
  flags.DEFINE_bool(
    'from_scratch',
    False,
    'Begins a run at step 0 again whose checkpoints are lost or damaged.',
    own,
  )
  flags.DEFINE_bool(
    'extend',
    False,
    'Takes into a run the lanes that the config has beside its own; more steps need no flag.',
    own,
  )
  flags.DEFINE_bool(
    'print_config',
    False,
    'Prints every key of the config with its value, and ends. Needs no workdir and no data.',
    flag_values=own,
  )
  return Command(__doc__, own, main, required=('config', 'workdir'))


def main(given: flags.FlagValues) -> int:
  """Trains the study, in one process or as one of several, and prints what came out."""
  from vae_jax import multihost
  from vae_jax.commands import terminal
  from vae_jax.runs import training

  config, together = settings.complete(given.config), _has_processes(given)
  workdir = run_ids.expanded(given.workdir, together)
  if not together:
    result = training.run(config, workdir, from_scratch=given.from_scratch, extend=given.extend)
    terminal.show(result)
    return result.exit_code
  if given.extend:
    raise errors.InputError('--extend is for one process; leave --processes out')
  multihost.check(config, workdir, given.processes)
  host, _, port = given.coordinator.rpartition(':')
  here = multihost.Meeting(
    host.strip('[]'), int(port), given.processes, config['lanes'], given.wait_seconds
  )
  result = multihost.run(config, workdir, given.process, here, given.from_scratch)
  if given.process:
    print(f'the share of process {given.process} is done: {result.results}', flush=True)
  else:
    terminal.show(result)
  return result.exit_code


def _has_processes(given: flags.FlagValues) -> bool:
  """Tells whether this is one of several processes.

  Raises:
    InputError: a flag is missing beside the others, or out of range.
  """
  together = ('coordinator', 'processes', 'process')
  missing = [name for name in together if given[name].value is None]
  if len(missing) == len(together):
    return False
  if missing:
    raise errors.InputError(
      f'--{missing[0]} is missing; --coordinator, --processes and --process go together'
    )
  match = re.fullmatch(r'.+:(\d+)', given.coordinator)
  if not match or not 0 < int(match.group(1)) < 2**16:
    raise errors.InputError(
      f'--coordinator={given.coordinator} is not HOST:PORT; give one such as localhost:12345'
    )
  if not given.wait_seconds >= 0:  # NaN is neither more nor less
    raise errors.InputError(f'--wait_seconds={given.wait_seconds} is no time; give 0 or more')
  _check_range(given['processes'], 1, None)
  _check_range(given['process'], 0, given.processes - 1)
  return True


def _check_range(flag: flags.Flag, low: int, high: int | None) -> None:
  nearest = max(low, flag.value if high is None else min(flag.value, high))
  if flag.value != nearest:
    limit = f'at least {low}' if high is None else f'between {low} and {high}'
    raise errors.InputError(
      f'--{flag.name}={flag.value} is not {limit}; the nearest valid value is {nearest}'
    )
