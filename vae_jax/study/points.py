"""The lanes of a config, and what their bound leaves them."""

import contextlib
import math
from collections.abc import Iterator, Mapping, Sequence

from vae_jax import errors, lane_fields, lanes, validation

# Whether a lane has them depends on its bound.
_OF_BOUNDS = (
  'beta',
  'warmup',
  'warmup_steps',
  'free_bits',
  'capacity',
  'capacity_steps',
  'covariance_weight',
  'target_rate',
)


_DIGITS = 12  # of a beta in nats: 0.01 x 784 / 10 is 0.784, without the rounding of the product


def points_of(config: Mapping) -> list[lanes.Point]:
  """Returns the points of a config's lanes, beta in the unit of the config.

  What depends on the data, which are not looked at, is left for `study.from_config` to check.

  Raises:
    InputError: values are invalid, or their bound or latents have no such thing.
  """
  points = grid_of(config)
  with contextlib.suppress(validation.UnknownError):
    check_fit(points, validation.Built(config))
  return points


def grid_of(config: Mapping) -> list[lanes.Point]:
  """Returns the points of a config's lanes, beta in the unit of the config; see `in_nats`.

  Raises:
    InputError: values are invalid.
  """
  axes = config['lanes']
  return lanes.from_axes(axes['combine'], axes, axes['points'])


def in_nats(
  points: Sequence[lanes.Point], config: Mapping, event: Sequence[int]
) -> list[lanes.Point]:
  """Returns points whose beta weighs nats: the rate of all latents beside the distortion of all D.

    'mean_pixel'             mean(d) + w sum(r)  = (sum(d) + w D sum(r)) / D       beta = w D
    'mean_pixel_and_latent'  mean(d) + w mean(r) = (sum(d) + w D / Z sum(r)) / D   beta = w D / Z

  of distortions d [D] and rates r [Z], Z the latent size of the lane. A loss that is D times
  smaller has the same optimum; docs/beta.md says what else it changes.

  Args:
    points: from `grid_of`.
    config: whose `lanes.beta_unit` says what beta is in `points`.
    event: the shape of one example.
  """
  unit, size = config['lanes']['beta_unit'], math.prod(event)
  if unit == 'nats':
    return list(points)

  def nats(point: lanes.Point) -> float:
    weight = point['beta'] * size / (point['latent_size'] if unit != 'mean_pixel' else 1)
    return float(f'{weight:.{_DIGITS}g}')

  return [{**point, 'beta': nats(point)} for point in points]


def check_fit(points: Sequence[lanes.Point], built: validation.Built) -> None:
  """Raises InputError where the bound or the latents of a config have no such lanes."""
  if problems := [*_misfits(points, built)]:
    raise errors.InputError(*problems)


def _misfits(points: Sequence[lanes.Point], built: validation.Built) -> Iterator[str]:
  """Yields what of the lanes their bound and their latents do not have."""
  bound, name = built.bound, built.name('bound')
  for field in _OF_BOUNDS:
    default = lane_fields.DEFAULTS[field]
    if field not in bound.lane_fields and any(point[field] != default for point in points):
      yield f'lanes.{field}: bound.name={name!r} has none; set lanes.{field}=({default!r},)'
  unit = built.value('lanes.beta_unit')
  if unit != 'nats' and 'beta' not in bound.lane_fields:
    yield f"lanes.beta_unit={unit!r}: bound.name={name!r} has no beta; set lanes.beta_unit='nats'"
  for field in bound.above_zero:
    if any(not point[field] for point in points):
      yield (
        f'lanes.{field}=0.0: nothing is left of bound.name={name!r} then; set it above 0, or '
        "bound.name='elbo'"
      )
  yield from _beyond_its_betas(points, bound.beta_range, name)
  if any(point['target_rate'] for point in points):
    yield from _cannot_choose(built)
  if any(point['free_bits'] for point in points) and bound.free_bits_by_latent:
    posterior, prior = built.posterior.density, built.prior.density
    if not (posterior.by_latent and prior.by_latent):
      yield (
        "bound.free_bits_per='latent': the rate does not split by latent with posterior.name="
        f'{built.name("posterior")!r} and prior.name={built.name("prior")!r}; set '
        "bound.free_bits_per='layer'"
      )


def _cannot_choose(built: validation.Built) -> Iterator[str]:
  """Yields what compares objectives of two evaluations, between which a multiplier has moved."""
  for key, off in (('train.patience', 0), ('train.keep', 'last')):
    if built.value(key) != off:
      yield (
        f'{key}={built.value(key)!r} compares objectives, and the multiplier of lanes.target_rate '
        f'weighs each evaluation otherwise; set {key}={off!r}, or lanes.target_rate=(0.0,)'
      )


def _beyond_its_betas(
  points: Sequence[lanes.Point], beta_range: Sequence[float], name: str
) -> Iterator[str]:
  """Yields which betas of the lanes a bound of all betas does not train, or would train twice."""
  if not beta_range:
    return
  low, high = beta_range
  for beta in sorted({point['beta'] for point in points}):
    if not low <= beta <= high:
      yield (
        f'lanes.beta={beta:g}: bound.name={name!r} trains betas from {low:g} to {high:g}, and a '
        'lane is evaluated at one of them; the nearest valid value is '
        f'{min(max(beta, low), high):g}'
      )
  if len({tuple((point | {'beta': 0.0}).items()) for point in points}) < len(points):
    yield (
      f'lanes.beta: bound.name={name!r} trains one network for every beta, and here two lanes '
      'differ in their beta alone; give one value, and the others in evaluation.betas'
    )
