"""Checks a whole config before anything is created: every key, its type, its range.

`CHECKS` lists every key that a config has. A key that is missing, unknown, of the wrong type or out
of range is an InputError of one line with the key, the value and the nearest valid one.
"""

import difflib
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from vae_jax import data, errors, lanes, networks, optimizers

Check = Callable[[str, Any], None]


def _refuse(key: str, value: Any, expected: str) -> None:
  raise errors.InputError(f'{key}={value!r} is not valid: {expected}')


def _choice(*names: str) -> Check:
  def check(key: str, value: Any) -> None:
    if value not in names:
      near = difflib.get_close_matches(str(value), names, n=1)
      hint = f'did you mean {near[0]!r}? ' if near else ''
      _refuse(key, value, f'{hint}it is one of {", ".join(names)}')

  return check


def _text(empty: bool) -> Check:
  def check(key: str, value: Any) -> None:
    if not isinstance(value, str) or not (value.strip() or empty):
      _refuse(key, value, 'it is a text' + ('' if empty else ', not empty'))

  return check


def _flag(key: str, value: Any) -> None:
  if not isinstance(value, bool):
    _refuse(key, value, 'it is True or False')


def _whole(low: int, high: int = 2**31 - 1) -> Check:
  def check(key: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
      _refuse(key, value, f'it is a whole number of at least {low}')
    if not low <= value <= high:
      _refuse(key, value, f'the nearest valid value is {min(max(value, low), high)}')

  return check


def _real(low: float, high: float) -> Check:
  def check(key: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
      _refuse(key, value, 'it is a finite number')
    if not low <= value <= high:
      _refuse(key, value, f'the nearest valid value is {min(max(value, low), high):g}')

  return check


def _tuple_of(item: Check, sizes: Sequence[int] | None = None) -> Check:
  def check(key: str, value: Any) -> None:
    if not isinstance(value, (tuple, list)):
      _refuse(key, value, 'it is a tuple, such as (1, 2)')
    if sizes is not None and len(value) not in sizes:
      _refuse(key, value, f'it has {" or ".join(map(str, sizes))} values')
    for i, element in enumerate(value):
      item(f'{key}[{i}]', element)

  return check


def _axis(key: str, value: Any) -> None:
  """Its elements are checked by lanes.from_axes, which knows what they mean."""
  if not isinstance(value, (tuple, list)):
    _refuse(key, value, f'it is a tuple of values; write ({value!r},)')


_WIDTHS = _tuple_of(_whole(1))
_SIZE = _tuple_of(_whole(1), sizes=(0, 2))

CHECKS: Mapping[str, Check] = {
  'study': _text(empty=False),
  'lanes.combine': _choice('product', 'zip', 'list'),
  **{f'lanes.{field}': _axis for field in lanes.Point._fields},
  'lanes.points': _axis,
  'data.name': _text(empty=False),
  'data.path': _text(empty=True),
  'data.train_split': _text(empty=False),
  'data.test_split': _text(empty=False),
  'data.crop': _SIZE,
  'data.pad': _SIZE,
  'data.scale_to_unit': _flag,
  'data.binarize': _choice(*data.BINARIZE),
  'data.seed': _whole(0),
  'likelihood.name': _choice('bernoulli', 'gaussian'),
  'likelihood.scale': _choice('fixed', 'shared', 'per_pixel'),
  'likelihood.initial_scale': _real(1e-6, 1e6),
  'likelihood.min_scale': _real(1e-6, 1e6),
  'likelihood.mean': _choice('identity', 'sigmoid'),
  **{
    f'{part}.{key}': check
    for part in ('encoder', 'decoder')
    for key, check in {
      'name': _choice('mlp', 'conv'),
      'channels': _WIDTHS,
      'kernels': _WIDTHS,
      'strides': _WIDTHS,
      'hidden': _WIDTHS,
      'activation': _choice(*networks.ACTIVATIONS),
    }.items()
  },
  'decoder.output_bias': _choice('zeros', 'train_mean'),
  'bound.name': _choice('elbo', 'iwae'),
  'bound.num_samples': _whole(1),
  'bound.kl': _choice('analytic', 'sampled'),
  'optimizer.name': _choice(*optimizers.OPTIMIZERS),
  'optimizer.b1': _real(0.0, 0.999999),
  'optimizer.b2': _real(0.0, 0.999999),
  'optimizer.eps': _real(1e-30, 1.0),
  'schedule.name': _choice(*optimizers.SCHEDULES),
  'schedule.warmup_steps': _whole(0),
  'schedule.decay_steps': _whole(1),
  'schedule.factor': _real(0.0, 1.0),
  'train.steps': _whole(1),
  'train.batch_size': _whole(1),
  'train.log_every': _whole(1),
  'train.evaluate_every': _whole(1),
  'train.checkpoint_every': _whole(1),
  'evaluation.train_images': _whole(1),
  'evaluation.test_images': _whole(1),
  'evaluation.batch_size': _whole(1),
  'evaluation.nll_samples': _whole(1),
  'evaluation.nll_images': _whole(1),
  'wandb.mode': _choice('online', 'offline', 'disabled'),
  'wandb.entity': _text(empty=True),
  'wandb.project': _text(empty=False),
  'wandb.tags': _tuple_of(_text(empty=False)),
}


def _flatten(tree: Mapping, prefix: str = '') -> dict[str, Any]:
  result = {}
  for name, value in tree.items():
    key = f'{prefix}{name}'
    is_section = any(check.startswith(f'{key}.') for check in CHECKS)
    if isinstance(value, Mapping) and is_section:
      result |= _flatten(value, f'{key}.')
    else:
      result[key] = value
  return result


def nearest_key(key: str) -> str:
  """Returns the key of a config that looks most like `key`."""
  near = difflib.get_close_matches(key, CHECKS, n=1, cutoff=0.0)
  return near[0]


def check(config: Mapping) -> None:
  """Checks a config, as nested mappings of plain values.

  Raises:
    InputError: the first thing that is wrong with it.
  """
  values = _flatten(config)
  for key in values:
    if key not in CHECKS:
      raise errors.InputError(f'unknown key {key}; did you mean {nearest_key(key)}?')
  for key, check_value in CHECKS.items():
    if key not in values:
      raise errors.InputError(f'the config lacks {key}; every setting stands in the config file')
    check_value(key, values[key])
  _check_together(values)


def _check_together(values: Mapping[str, Any]) -> None:
  """Checks what several keys must agree on."""
  every = values['train.log_every']
  for key in ('train.evaluate_every', 'train.checkpoint_every'):
    if values[key] % every:
      nearest = max(1, round(values[key] / every)) * every
      _refuse(key, values[key], f'a multiple of train.log_every={every}; nearest: {nearest}')
  for part in ('encoder', 'decoder'):
    _check_convolutions(part, values)
  learned = values['likelihood.name'] == 'gaussian' and values['likelihood.scale'] != 'fixed'
  if learned and values['likelihood.min_scale'] >= values['likelihood.initial_scale']:
    _refuse(
      'likelihood.min_scale',
      values['likelihood.min_scale'],
      f'below likelihood.initial_scale={values["likelihood.initial_scale"]:g}',
    )
  _check_schedule(values)
  if values['lanes.points'] and values['lanes.combine'] != 'list':
    _refuse('lanes.points', values['lanes.points'], "it is used with lanes.combine='list' only")
  if values['bound.name'] == 'iwae' and values['bound.kl'] != 'sampled':
    _refuse(
      'bound.kl',
      values['bound.kl'],
      "the weights of bound.name='iwae' need the sampled ratio; set bound.kl='sampled'",
    )


def _check_schedule(values: Mapping[str, Any]) -> None:
  name, factor = values['schedule.name'], values['schedule.factor']
  if name != 'constant' and factor == 1:
    _refuse(
      'schedule.factor',
      factor,
      f'schedule.name={name!r} would stay constant; set it below 1, and schedule.decay_steps',
    )
  if name == 'exponential' and factor == 0:
    _refuse('schedule.factor', factor, "above 0 with schedule.name='exponential'")


def _check_convolutions(part: str, values: Mapping[str, Any]) -> None:
  sizes = {key: len(values[f'{part}.{key}']) for key in ('channels', 'kernels', 'strides')}
  if values[f'{part}.name'] == 'conv':
    if len(set(sizes.values())) != 1 or not sizes['channels']:
      raise errors.InputError(
        f"{part}.name='conv' needs as many {part}.kernels ({sizes['kernels']}) and {part}.strides "
        f'({sizes["strides"]}) as {part}.channels ({sizes["channels"]}), at least one'
      )
  elif any(sizes.values()):
    key = next(key for key, size in sizes.items() if size)
    _refuse(f'{part}.{key}', values[f'{part}.{key}'], f"{part}.name='mlp' has none; set ()")
