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
workdir. Process 0 gathers there what the processes leave. Under srun, on the workers of a TPU slice
or under mpirun --processes=auto stands for the three.
"""

from absl import flags

from vae_jax import config as settings
from vae_jax import errors
from vae_jax.commands import argv, run_ids
from vae_jax.commands.command import Command


def make() -> Command:
  """Returns the command with its flags."""
  own = flags.FlagValues()
  argv.define_config(own)
  flags.DEFINE_string('workdir', None, 'Where the files of the run go.', own)
  flags.DEFINE_string(
    'coordinator', None, 'HOST:PORT at which process 0 listens to the others.', own
  )
  flags.DEFINE_string(
    'processes',
    None,
    "How many processes train the study; 'auto': what Slurm, MPI or a TPU slice says.",
    own,
  )
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
  from vae_jax.commands import terminal, together
  from vae_jax.runs import training

  config, here = settings.complete(given.config), together.process_of(given)
  workdir = run_ids.expanded(given.workdir, here is not None)
  if here is None:
    result = training.run(config, workdir, from_scratch=given.from_scratch, extend=given.extend)
    terminal.show(result)
    return result.exit_code
  if given.extend:
    raise errors.InputError('--extend is for one process; leave --processes out')
  multihost.check(config, workdir, here.count)
  host, _, port = here.coordinator.rpartition(':')
  meeting = multihost.Meeting(
    host.strip('[]'), int(port), here.count, config['lanes'], given.wait_seconds
  )
  result = multihost.run(config, workdir, here.index, meeting, given.from_scratch)
  if here.index:
    print(f'the share of process {here.index} is done: {result.results}', flush=True)
  else:
    terminal.show(result)
  return result.exit_code
