"""Whether a config goes with the values of its data: one refusal, with all that is to be set."""

import contextlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from vae_jax import data, densities, errors, validation

_WHITES = (255, 1023, 4095, 16383, 65535)  # of 8 to 16 bits
_DARK = 1 / 15  # of the range: no picture reaches no further; greys of 4 bits stored as bytes do
_SQUARED = 1e18  # its square is all that float32 holds
_OVERSHOOT = 1e-3  # what resizing leaves outside [0, 1]

Changes = dict[str, Any]


def check_values(built: validation.Built, stored: data.Stored) -> None:
  """Checks whether a model of this config can mean these values.

  Raises:
    InputError: it cannot; one line with the range of the values and the settings that go with them.
  """
  config, likelihood = built.config, built.likelihood
  problem = _problem(config, likelihood, stored)
  if not problem:
    _check_columns(likelihood, stored)
    return
  ways = [changes for changes in _ways(config, likelihood, stored) if changes]
  advice = '; or '.join(_written(changes) for changes in ways)
  raise errors.InputError(f'{describe(stored)}: {problem}; set {advice}')


def _check_columns(likelihood: densities.Likelihood, stored: data.Stored) -> None:
  """Refuses values that a likelihood which differs from column to column is not for."""
  for split, values in stored.splits.items() if likelihood.check else ():
    if problem := likelihood.check(values):
      raise errors.InputError(f'{stored.where}, {split} split: {problem}')


def describe(stored: data.Stored) -> str:
  """Returns where values come from, their shape, type and range."""
  low, high = data.extremes(stored.splits.values())
  shape = 'x'.join(map(str, stored.event))
  return f'{stored.where} has values from {low:.9g} to {high:.9g}, {shape} an example'


def _problem(config: Mapping, likelihood: densities.Likelihood, stored: data.Stored) -> str:
  """Returns what is wrong, '' where nothing is, or nothing that another check does not say."""
  high = data.extremes(stored.splits.values())[1]
  if stored.support == 'count' and 'count' in likelihood.supports:
    return _problem_of_counts(config)
  if stored.support == 'count':
    return f'they are counts, which likelihood.name={config["likelihood"]["name"]!r} is not for'
  if stored.support == 'integers':
    return 'whole numbers beyond 0 to 255 have no known white'
  if looks_channels_first(stored) and not stored.is_declared:
    height, width, channels = stored.event
    return f'read as height {height}, width {width} and {channels} channels: channels come last'
  if stored.support == 'real':
    return _problem_of_reals(config, likelihood, stored)
  if wrong := _not_standardised(config, likelihood):
    return f'data.standardize={config["data"]["standardize"]!r} does not go with {wrong}'
  if is_dark(config, likelihood, stored) and not stored.is_declared:
    return f'no value is above {high / _white(stored):.2g} of white: scaled twice, or fewer bits'
  return ''


def looks_channels_first(stored: data.Stored) -> bool:
  """Tells whether examples look like [C, H, W]."""
  return len(stored.event) == 3 and stored.event[0] in (1, 3, 4) and min(stored.event[1:]) > 4


def is_dark(config: Mapping, likelihood: densities.Likelihood, stored: data.Stored) -> bool:
  """Tells whether values of which white is a part of the model all lie close to black."""
  ends_at_white = likelihood.lost_on_unit is None and {'binary', 'unit'} & {*likelihood.supports}
  has_white = config['data']['binarize'] != 'none' or ends_at_white
  are_levels = stored.support == 'uint8' and 'uint8' in likelihood.supports
  if stored.support not in ('unit', 'uint8') or not has_white or are_levels:
    return False
  return 0 < data.extremes(stored.splits.values())[1] <= _DARK * _white(stored)


def _white(stored: data.Stored) -> float:
  return stored.white if stored.support == 'uint8' else 1.0


def _problem_of_counts(config: Mapping) -> str:
  """Returns what does not go with counts under a likelihood of counts."""
  wanted = {'data.binarize': 'none', 'data.standardize': 'none'}
  wrong = [key for key, value in wanted.items() if _value(config, key) != value]
  return f'counts do not go with {_current(config, wrong)}' if wrong else ''


def _problem_of_reals(
  config: Mapping, likelihood: densities.Likelihood, stored: data.Stored
) -> str:
  low, high = data.extremes(stored.splits.values())
  if wrong := _current(config, _real(config, likelihood)):
    outside = ''
    if _is_overshoot(low, high):
      count = sum(int(np.count_nonzero((a < 0) | (a > 1))) for a in stored.splits.values())
      outside = f'{count:,} of them lie outside of [0, 1], and '
    return f'{outside}real numbers do not go with {wrong}'
  if max(-low, high) > _SQUARED and config['data']['standardize'] == 'none':
    return 'their squares are beyond float32'
  return ''


def _not_standardised(config: Mapping, likelihood: densities.Likelihood) -> str:
  """Returns what does not go with standardised values, where they are asked for."""
  if config['data']['standardize'] == 'none':
    return ''
  wanted = _real(config, likelihood)
  return _current(config, [key for key in wanted if key != 'data.scale_to_unit'])


def _current(config: Mapping, keys: Iterable[str]) -> str:
  return ', '.join(f'{key}={_value(config, key)!r}' for key in keys)


def _is_overshoot(low: float, high: float) -> bool:
  return low >= -_OVERSHOOT and high <= 1 + _OVERSHOOT


def _value(config: Mapping, key: str) -> Any:
  section, name = key.split('.')
  return config[section][name]


def _real(config: Mapping, likelihood: densities.Likelihood) -> Changes:
  """Returns the settings under which real values are trained on, as far as they differ."""
  wanted: Changes = {'data.binarize': 'none', 'data.scale_to_unit': False}
  if 'real' not in likelihood.supports:
    is_gaussian = config['likelihood']['name'] == 'gaussian'
    wanted |= {'likelihood.mean': 'identity'} if is_gaussian else {'likelihood.name': 'gaussian'}
  return {key: value for key, value in wanted.items() if _value(config, key) != value}


def _ways(config: Mapping, likelihood: densities.Likelihood, stored: data.Stored) -> list[Changes]:
  """Returns what may be set, the likeliest first."""
  if looks_channels_first(stored) and stored.support not in ('count', 'integers'):
    return [{'the file': 'np.moveaxis(images, 1, -1)'}, {'data.kind': _kept_kind(stored)}]
  if stored.support == 'count' and 'count' in likelihood.supports:
    return [{'data.binarize': 'none', 'data.standardize': 'none'}]
  if _not_standardised(config, likelihood) and stored.support in ('binary', 'unit', 'uint8'):
    wanted = {
      key: value for key, value in _real(config, likelihood).items() if key != 'data.scale_to_unit'
    }
    return [wanted, {'data.standardize': 'none'}]
  if stored.support in ('unit', 'uint8'):
    return [{'data.range': (0, _likely_white(stored))}, {'data.kind': 'image'}]
  real = _real(config, likelihood)
  are_counts = stored.support == 'count'
  counts = {'likelihood.name': 'negative_binomial', 'data.binarize': 'none'} if are_counts else {}
  if stored.support != 'real':
    real = {'data.kind': 'real'} | real
  if config['data']['standardize'] == 'none' and is_far_from_standard(stored):
    real['data.standardize'] = 'per_pixel' if len(stored.event) == 1 else 'all'
  levels = are_counts and data.extremes(stored.splits.values())[1] <= 255
  images = _as_images(config, likelihood, stored)
  return [*images, counts, real, {'data.kind': 'image'} if levels else {}]


def _likely_white(stored: data.Stored) -> float:
  """Returns what the largest value may stand for: 1/255 of what was divided twice, or itself."""
  high = data.extremes(stored.splits.values())[1]
  return 1 / 255 if stored.support == 'unit' and 0.98 / 255 < high <= 1 / 255 else high


def _kept_kind(stored: data.Stored) -> str:
  return {'unit': 'image', 'uint8': 'image'}.get(stored.support, stored.support)


def is_far_from_standard(stored: data.Stored) -> bool:
  """Tells whether values are of another size than networks and a Gaussian of scale 1 start at."""
  mean, spread = data.moments(stored.train)
  spread = spread[spread > 0]
  return bool(
    np.abs(mean).max() > 10 or (spread.size and (spread.max() > 10 or spread.min() < 0.1))
  )


def _as_images(
  config: Mapping, likelihood: densities.Likelihood, stored: data.Stored
) -> list[Changes]:
  """Returns under which range the values are images, if they look like that."""
  low, high = data.extremes(stored.splits.values())
  whole = data.blocks.is_whole(stored.train)
  binarize = config['data']['binarize']
  if 'uint8' in likelihood.supports:
    bytes_ = whole and low >= 0 and high <= 255
    return [{'data.kind': 'image', 'data.scale_to_unit': False}] if bytes_ else []
  bounds = _range_of(low, high, whole, len(stored.event) == 3)
  if bounds is None:
    return []
  changes: Changes = {'data.range': bounds}
  if 'unit' not in likelihood.supports and binarize == 'none':
    changes['data.binarize'] = 'dynamic'
  if 'unit' in likelihood.supports and binarize != 'none':
    changes['data.binarize'] = 'none'
  return [changes]


def _range_of(low: float, high: float, whole: bool, is_image: bool) -> tuple | None:
  """Returns the (black, white) that values from low to high seem to have."""
  if _is_overshoot(low, high):
    return (0, 1)
  if not is_image:
    return None
  if -1 <= low < 0 < high <= 1:
    return (-1, 1)
  if low < 0 or high > _WHITES[-1] or not (whole or high > 100):
    return None
  return (0, next(white for white in _WHITES if white >= high))


def _written(changes: Mapping[str, Any]) -> str:
  return ', '.join(
    f'{key} to {value}' if key == 'the file' else f'{key}={value!r}'
    for key, value in changes.items()
  )


def reading(settings: Mapping[str, Any]) -> dict[str, Any]:
  """Returns of the section `data` what `data.read` takes."""
  keys = (
    'train_split',
    'validation_split',
    'test_split',
    'split_order',
    'seed',
    'crop',
    'pad',
    'kind',
    'range',
    'missing',
  )
  columns = data.columns_asked(settings['conditions'], settings['size_factor'])
  return {key: settings[key] for key in keys} | {'beside': columns}


def preparing(config: Mapping[str, Any], built: validation.Built) -> dict[str, Any]:
  """Returns what `data.prepare` takes of a config and its likelihood."""
  keys = ('scale_to_unit', 'binarize', 'standardize', 'seed', 'conditions', 'size_factor')
  found = {key: config['data'][key] for key in keys}
  with contextlib.suppress(validation.UnknownError):
    found['standardises'] = built.likelihood.standardises
  return found
