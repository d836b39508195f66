"""Writes a W&B sweep (YAML) whose trials are studies, each in a directory of its own.

  vae-jax wandb_sweep --config=digits --vary='encoder.hidden=(64,),(128,)' --out=sweep.yaml
  wandb sweep sweep.yaml
  wandb agent ENTITY/PROJECT/SWEEP

It is for what makes another program, such as a network; what config.lanes has is swept in one run.
The sweep is a grid over all --vary, and minimises best/nll of the studies. Other keys of the
config given here are those of every trial. From a clone it is python -m launch.wandb_sweep, too.
"""

import ast
import itertools
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from absl import flags
from ml_collections import config_flags

from vae_jax import config as settings
from vae_jax import errors, files, paths
from vae_jax.commands import argv
from vae_jax.commands.command import Command

_MODE = 'config.wandb.mode'
_MOST_TRIALS = 1000


def make() -> Command:
  """Returns the command with its flags."""
  own = flags.FlagValues()
  argv.define_config(own)
  flags.DEFINE_multi_string(
    'vary', None, 'KEY=V1,V2,...: a key of the config and its values; may be given again.', own
  )
  flags.DEFINE_string(
    'workdir',
    f'runs/{paths.RUN_ID}',
    f'Where the files of a trial go; {paths.RUN_ID} becomes the id of the trial.',
    own,
  )
  flags.DEFINE_string('out', None, 'The file (.yaml) to write; none: it is printed.', own)
  return Command(__doc__, own, main, required=('config', 'vary'))


def main(given: flags.FlagValues) -> int:
  """Checks every trial and writes the sweep.

  Raises:
    InputError: a trial would be refused, or share its directory with another.
  """
  out = paths.of_output(given.out, '.yaml') if given.out is not None else None
  write(as_yaml(_sweep(given)), out)
  return 0


def _sweep(given: flags.FlagValues) -> dict[str, Any]:
  if paths.RUN_ID not in given.workdir:
    raise errors.InputError(
      f'--workdir={given.workdir} is one directory for all trials; give such as runs/{paths.RUN_ID}'
    )
  varied = _varied(given.vary)
  stated = {name: given[name].value for name in given if given[name].present}
  fixed = {name: value for name, value in stated.items() if name.startswith('config.')}
  if fixed.setdefault(_MODE, 'online') != 'online':
    raise errors.InputError(f'--{_MODE}={fixed[_MODE]}: a sweep needs its figures; set online')
  if twice := sorted(varied.keys() & fixed.keys()):
    raise errors.InputError(f'--{twice[0]} is given beside --vary of the same key; give one')
  config = f'--config={config_flags.get_config_filename(given["config"])}'
  line = [config, f'--workdir={given.workdir}', *(f'--{key}={fixed[key]}' for key in fixed)]
  _check(line, varied)
  place = settings.complete(given.config)['wandb']
  parameters = {key: {'values': values} for key, values in varied.items()}
  return _as_sweep(place, parameters, ['-m', 'vae_jax.commands', 'train', *line])


def of_launches(directory: pathlib.Path, study: Any) -> dict[str, Any]:
  """Returns a sweep whose trials are the launches of a study, by their numbers.

  Args:
    directory: of the study.
    study: a `launches.Study`.
  """
  run = ['-m', 'vae_jax.commands', 'run', f'--study={directory}']
  numbers = {'index': {'values': [*range(len(study.launches))]}}
  return _as_sweep(study.launches[0].config['wandb'], numbers, run)


def write(text: str, out: pathlib.Path | None) -> None:
  """Writes a sweep, or prints it."""
  if out is None:
    print(text, end='', flush=True)
  else:
    files.write_text(out, text)
    print(f'sweep: {out}', flush=True)


def as_yaml(sweep: Mapping[str, Any]) -> str:
  """Returns a sweep as W&B reads it."""
  import yaml

  return yaml.safe_dump(sweep, sort_keys=False, allow_unicode=True)


def _as_sweep(
  place: Mapping[str, Any], parameters: Mapping[str, Any], words: Sequence[str]
) -> dict[str, Any]:
  """Returns a grid over parameters; `words` are those of Python that run a trial."""
  return {
    'program': 'vae-jax',
    'method': 'grid',
    'project': place['project'],
    **({'entity': place['entity']} if place['entity'] else {}),
    'metric': {'name': 'best/nll', 'goal': 'minimize'},
    'parameters': dict(parameters),
    'command': ['${env}', '${interpreter}', *words, '${args}'],
  }


def _varied(given: Sequence[str]) -> dict[str, list[Any]]:
  """Returns the keys that are varied, as flags, with their values."""
  result = {}
  for text in given:
    key, equals, values = text.partition('=')
    key = f'config.{key.strip().removeprefix("config.")}'
    if not equals or not values.strip():
      raise errors.InputError(f'--vary={text} is not KEY=V1,V2,...; give such as data.seed=0,1')
    if key in result:
      raise errors.InputError(f'--vary={text}: its key is given twice; give all values at once')
    result[key] = [_value(each) for each in _split(values)]
  return result


def _split(values: str) -> list[str]:
  """Returns values without the commas between them; those in brackets stay."""
  return [each.strip() for each in re.split(r',(?![^()\[\]]*[)\]])', values) if each.strip()]


def _value(word: str) -> float | int | str:
  """Returns a number as such, which W&B can draw an axis of; anything else as it is typed."""
  try:
    value = ast.literal_eval(word)
  except (ValueError, SyntaxError):
    return word
  return value if type(value) in (int, float) else word


def _check(line: Sequence[str], varied: dict[str, list[Any]]) -> None:
  """Refuses the first trial that `vae-jax train` would refuse, by the words that it will get."""
  from vae_jax import validation
  from vae_jax.commands import parsing, train

  trials = list(itertools.islice(itertools.product(*varied.values()), _MOST_TRIALS + 1))
  if len(trials) > _MOST_TRIALS:
    raise errors.InputError(f'--vary makes more than {_MOST_TRIALS} trials; give fewer values')
  for trial in trials:
    command = train.make()
    own = [f'--{key}={value}' for key, value in zip(varied, trial, strict=True)]
    parsing.parse(command, [*line, *own])
    validation.check(settings.complete(command.flags.config))
