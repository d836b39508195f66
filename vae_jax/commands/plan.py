"""Says what a study would run: launches, lanes, programs, parameters, memory; nothing is started.

  vae-jax plan --config=mine.py
  vae-jax plan --config=mine.py --topology=v5e:2x4
  vae-jax plan --config=mine.py --config.wandb.mode=online --workdir=runs/mine --wandb_sweep=a.yaml

Every launch is built and its training program compiled, as its start would do: one that cannot be
is named with the reason, and the exit code is 2. Programs that are compiled here are not compiled
again by a sweep on this machine. --topology compiles training, evaluation and NLL for devices that
need not be here, and says what they take there. --wandb_sweep writes a sweep of W&B whose trials
are the launches, and study.json, which they read. From a clone it is python -m launch.plan, too.
"""

import pathlib
from typing import Any

from absl import flags

from vae_jax import errors, paths
from vae_jax.commands import argv
from vae_jax.commands.command import Command


def make() -> Command:
  """Returns the command with its flags."""
  own = flags.FlagValues()
  argv.define_config(own)
  flags.DEFINE_string(
    'topology', None, 'Other devices to compile for: v5e:2x4, v6e:2x4, h100:8, cpu:8 ...', own
  )
  flags.DEFINE_string(
    'wandb_sweep', None, 'Writes a W&B sweep (.yaml) whose trials are the launches.', own
  )
  flags.DEFINE_string('workdir', None, 'Where the trials of --wandb_sweep go.', own)
  return Command(__doc__, own, main, required=('config',))


def main(given: flags.FlagValues) -> int:
  """Prints the table of launches."""
  from vae_jax import ahead, sweeps
  from vae_jax.commands import planning, sweep

  out = _asked_for_sweep(given)
  if given.topology is not None:
    ahead.prepare(given.topology)
  study = sweep.planned(given)
  if given.topology is None:
    found = sweeps.built(study, sweeps.size_of)
    lines = planning.sizes(study, found)
  else:
    there = ahead.topology(given.topology).name
    parts = sweeps.built(study, lambda built: ahead.compiled_for(built, there))
    lines = planning.compiled(study, parts)
  print('\n'.join(lines), flush=True)
  if out is not None:
    _write_sweep(given, study, out)
  return 0


def _asked_for_sweep(given: flags.FlagValues) -> pathlib.Path | None:
  """Returns where a W&B sweep goes, None where none is asked for.

  Raises:
    InputError: the flags do not go together.
  """
  if given.wandb_sweep is None:
    if given.workdir is not None:
      raise errors.InputError('--workdir is for --wandb_sweep; a plan writes nothing')
    return None
  if given.workdir is None:
    raise errors.InputError('--workdir is missing; --wandb_sweep needs it, where its trials go')
  if given['config'].value['wandb']['mode'] != 'online':
    raise errors.InputError(
      f'wandb.mode={given["config"].value["wandb"]["mode"]!r}: a W&B sweep needs its figures; give '
      '--config.wandb.mode=online'
    )
  return paths.of_output(given.wandb_sweep, '.yaml')


def _write_sweep(given: flags.FlagValues, study: Any, out: pathlib.Path) -> None:
  """Writes study.json, which the trials read, and the sweep."""
  from vae_jax import sweeps
  from vae_jax.commands import wandb_sweep

  with sweeps.held(given.workdir, study) as (directory, held):
    wandb_sweep.write(wandb_sweep.as_yaml(wandb_sweep.of_launches(directory, held)), out)
