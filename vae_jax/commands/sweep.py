"""Runs every launch of a study: what is no lane, such as networks, likelihoods or data sets.

  vae-jax sweep --config=mine.py --workdir=runs/mine
  vae-jax sweep --config=mine.py --workdir=runs/mine --executor=slurm --config.resources.gpus=1

The launches are those that launches() of the config yields. The same command goes on where it was
stopped: what is done stays, what was interrupted is taken again from its checkpoint, what failed
only with --retry_failed. --executor=local trains here, slurm and ray on their nodes; print prints
a command for each launch. Nothing starts before every launch was built once. From a clone it is
python -m launch.sweep, too.
"""

import logging
import os
import pathlib
import shlex
import sys
from collections.abc import Sequence
from typing import Any

from absl import flags
from ml_collections import config_flags

from vae_jax import config as settings
from vae_jax import launches
from vae_jax.commands import argv
from vae_jax.commands.command import Command
from vae_jax.launches import Study

Standings = Sequence[launches.Standing]


def make() -> Command:
  """Returns the command with its flags."""
  own = flags.FlagValues()
  argv.define_config(own)
  flags.DEFINE_string('workdir', None, 'Where the files of all launches go.', own)
  flags.DEFINE_enum(
    'executor', 'local', ('local', 'slurm', 'ray', 'print'), 'What starts the launches.', own
  )
  flags.DEFINE_integer(
    'slots',
    0,
    'How many run side by side; 0: one that has a lane for each device, else what fits.',
    flag_values=own,
  )
  flags.DEFINE_bool('retry_failed', False, 'Takes the launches that failed again, too.', own)
  return Command(__doc__, own, main, required=('config', 'workdir'))


def main(given: flags.FlagValues) -> int:
  """Runs the launches that are not done, and prints what came out."""
  from vae_jax import sweeps

  # The devices are for the launches: what is built here is only looked at.
  plan = planned(given, on_cpu=True)
  sweeps.built(plan, lambda built: None, only=sweeps.not_done(given.workdir, plan))
  with sweeps.held(given.workdir, plan) as (directory, study):
    standings = launches.standings_of(directory)
    if given.retry_failed:
      for standing in standings:
        if standing.state == 'failed':
          launches.forgive(directory, standing.name)
      standings = launches.standings_of(directory)
    _say(standings)
    return _EXECUTORS[given.executor](directory, study, standings, given)


def planned(given: flags.FlagValues, on_cpu: bool = False) -> Study:
  """Returns the launches of the config that the flags name.

  Args:
    given: the flags, with --config.
    on_cpu: whether this process leaves accelerators alone.

  Raises:
    InputError: all that is wrong with any launch.
  """
  import jax

  from vae_jax import config_files, sweeps

  if on_cpu:
    jax.config.update('jax_platforms', 'cpu')
  name = config_flags.get_config_filename(given['config'])
  changes = config_files.launches(name, '--config')
  typed = {
    flag.removeprefix('config.')
    for flag in given
    if flag.startswith('config.') and given[flag].present
  }
  file = config_files.found(name.split(':', 1)[0], '--config').absolute()
  beside = (str(file.parent), os.fspath(pathlib.Path.cwd()))
  return sweeps.planned(settings.complete(given.config), changes, beside, typed)


def _say(standings: Standings) -> None:
  """Says how many launches there are, and where they stand."""
  logging.info('%s', launches.in_words(launches.counts_of(standings)))
  for standing in standings:
    if standing.state == 'failed':
      logging.warning(
        '%s failed: %s; --retry_failed takes it again', standing.name, standing.reason
      )


def _local(
  directory: pathlib.Path, study: Study, standings: Standings, given: flags.FlagValues
) -> int:
  from vae_jax import sweeps

  del standings
  here = sweeps.devices()
  slots = sweeps.slots(given.slots, [launch.lanes for launch in study.launches], here)
  return _supervised(directory, sweeps.Local(directory, slots, here))


def _ray(
  directory: pathlib.Path, study: Study, standings: Standings, given: flags.FlagValues
) -> int:
  from vae_jax.sweeps import on_ray

  del standings
  with on_ray.cluster(directory, study, given.slots) as engine:
    return _supervised(directory, engine)


def _supervised(directory: pathlib.Path, engine: Any) -> int:
  from vae_jax import sweeps

  tally = sweeps.supervise(directory, engine)
  gathered = sweeps.gather(directory)
  show(directory, gathered, tally.failed)
  return sweeps.exit_code(gathered, tally.failed)


def _slurm(
  directory: pathlib.Path, study: Study, standings: Standings, given: flags.FlagValues
) -> int:
  from vae_jax.sweeps import slurm

  del given
  known = [standing.job for standing in standings if standing.job]
  alive = slurm.alive(known) if known else set()
  todo = _to_start(study, [each for each in standings if each.job not in alive])
  if not todo:
    print('nothing to submit', flush=True)
    return 0
  job = slurm.submit(directory, todo, study.launches[0].config['resources'])
  print(f'submitted as array {job}: {", ".join(todo)}')
  print(f'vae-jax status --workdir={directory} says where they stand', flush=True)
  return 0


def _print(
  directory: pathlib.Path, study: Study, standings: Standings, given: flags.FlagValues
) -> int:
  from vae_jax import sweeps

  del given
  for number in _to_start(study, standings).values():
    print(shlex.join(sweeps.command(directory, number)))
  sys.stdout.flush()
  return 0


def _to_start(study: Study, standings: Standings) -> dict[str, int]:
  """Returns the launches that an engine without a supervisor may start, with their numbers."""
  open_ = [each.name for each in standings if each.state not in ('done', 'failed', 'running')]
  return {name: study.numbers[name] for name in open_}


_EXECUTORS = {'local': _local, 'slurm': _slurm, 'ray': _ray, 'print': _print}


def show(directory: pathlib.Path, gathered: Any, failed: Sequence[str]) -> None:
  """Prints the files and the verdict over all launches, and which of them failed."""
  for name in failed:
    print(f'{name} failed: {launches.standing_of(directory, name).reason}')
  if gathered is not None:
    print(f'\nall lanes: {directory / "results.csv"}')
    print(f'report:    {gathered.page}')
    print('\n' + '\n'.join(gathered.said))
  sys.stdout.flush()
