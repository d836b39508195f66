"""Every field of a lane, once: its check, its dtype in the program, its mark in a lane's name.

A new field is a row of `FIELDS` and its use: the page of settings, the checks, the columns of
results.csv, the names of lanes and the arrays of the program all come from this table.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from vae_jax import checks

MAX_SEED = 2**32 - 1
MAX_STEPS = 2**31 - 1
LARGEST = 1e30
MULTIPLIERS = (1e-6, 1e6)  # the least and the largest that a target rate may come to
WARMUPS = ('constant', 'linear', 'cosine', 'cyclical')


class LaneField(NamedTuple):
  """One hyperparameter that lanes of a program may differ in.

  Attributes:
    name: the key in `config.lanes`, and the column in results.csv.
    default: the value at which it does nothing; its type is that of all values.
    check: of one value.
    dtype: of the field in `lanes.Lane`; None for the latent size, which is the lane's mask there.
    mark: what stands before its value in the name of a lane.
    meaning: what it is, with its unit.
    names: the values of a field that is a name; the program has their index.
    in_every_name: whether the name of a lane has it also where all lanes have one value.
  """

  name: str
  default: float | int | str
  check: checks.Check
  dtype: Any
  mark: str
  meaning: str
  names: tuple[str, ...] = ()
  in_every_name: bool = False


_SIZE = checks.whole(1, 1_000_000)
_SEED = checks.whole(0, MAX_SEED)
_STEPS = checks.whole(0, MAX_STEPS)
_WEIGHT = checks.real(0.0, LARGEST)
_RATE = checks.real(1e-30, LARGEST)
_SHARE_OF_A_STEP = checks.real(0.0, 1e6)
_DECAY = checks.real(0.0, 0.9999999)
_WARMUP = checks.choice(*WARMUPS)
_FLOAT, _INDEX, _KEY = np.float32, np.int32, np.uint32

FIELDS: tuple[LaneField, ...] = (
  LaneField('beta', 1.0, _WEIGHT, _FLOAT, 'b', 'weight of the rate', in_every_name=True),
  LaneField(
    'latent_size', 10, _SIZE, None, 'z', 'padded to the largest, then masked', in_every_name=True
  ),
  LaneField(
    'seed', 0, _SEED, _KEY, 's', 'of the initial weights and of the noise', in_every_name=True
  ),
  LaneField('learning_rate', 1e-3, _RATE, _FLOAT, 'lr', 'the peak of `schedule`'),
  LaneField('warmup', 'constant', _WARMUP, _INDEX, '', 'of beta, over warmup_steps', names=WARMUPS),
  LaneField('warmup_steps', 0, _STEPS, _FLOAT, 'w', 'of beta'),
  LaneField('free_bits', 0.0, _WEIGHT, _FLOAT, 'f', 'nats below which a rate costs nothing more'),
  LaneField('capacity', 0.0, _WEIGHT, _FLOAT, 'c', 'nats: above 0 the rate is held at it'),
  LaneField('capacity_steps', 0, _STEPS, _FLOAT, 'cs', 'over which the capacity rises'),
  LaneField('covariance_weight', 0.0, _WEIGHT, _FLOAT, 'cov', 'of the DIP-VAE'),
  LaneField(
    'target_rate',
    0.0,
    _WEIGHT,
    _FLOAT,
    'r',
    'nats: above 0 a multiplier that begins at beta holds the rate at it',
  ),
  LaneField(
    'weight_decay', 0.0, _SHARE_OF_A_STEP, _FLOAT, 'wd', 'of the kernels, times the learning rate'
  ),
  LaneField(
    'clip_norm', 0.0, _WEIGHT, _FLOAT, 'clip', 'above 0 the most that a gradient may measure'
  ),
  LaneField(
    'ema_decay', 0.0, _DECAY, _FLOAT, 'ema', 'above 0 an average of the parameters is evaluated'
  ),
)

NAMES: tuple[str, ...] = tuple(field.name for field in FIELDS)
DEFAULTS: Mapping[str, float | int | str] = {field.name: field.default for field in FIELDS}


def value_of(field: LaneField, value: Any) -> float | int | str:
  """Returns a valid value as the type of its field: 1 is the beta 1.0, and 8.0 the size 8.

  Raises:
    InputError: it is not valid.
  """
  kind = type(field.default)
  if kind is int and type(value) is float and value.is_integer():
    value = int(value)
  field.check(f'lanes.{field.name}', value)
  return kind(value)


def count_of(lanes: Mapping[str, Any]) -> int:
  """Returns how many lanes the section `lanes` of a valid config makes; see `lanes.from_axes`.

  An axis that is younger than the config has one value.
  """
  if lanes['combine'] == 'list':
    return len(lanes['points'])
  sizes = [len(lanes[name]) for name in NAMES if name in lanes]
  return math.prod(sizes) if lanes['combine'] == 'product' else max(sizes)
