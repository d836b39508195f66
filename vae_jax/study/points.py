"""The lanes of a config, and what their bound leaves them."""

import contextlib
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
)


def points_of(config: Mapping) -> list[lanes.Point]:
  """Returns the points of a config's lanes.

  What depends on the data, which are not looked at, is left for `study.from_config` to check.

  Raises:
    InputError: values are invalid, or their bound or latents have no such thing.
  """
  points = grid_of(config)
  with contextlib.suppress(validation.UnknownError):
    check_fit(points, validation.Built(config))
  return points


def grid_of(config: Mapping) -> list[lanes.Point]:
  """Returns the points of a config's lanes; raises InputError where values are invalid."""
  axes = config['lanes']
  return lanes.from_axes(axes['combine'], axes, axes['points'])


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
  for field in bound.above_zero:
    if any(not point[field] for point in points):
      yield (
        f'lanes.{field}=0.0: nothing is left of bound.name={name!r} then; set it above 0, or '
        "bound.name='elbo'"
      )
  if any(point['free_bits'] for point in points) and bound.free_bits_by_latent:
    posterior, prior = built.posterior.density, built.prior.density
    if not (posterior.by_latent and prior.by_latent):
      yield (
        "bound.free_bits_per='latent': the rate does not split by latent with posterior.name="
        f'{built.name("posterior")!r} and prior.name={built.name("prior")!r}; set '
        "bound.free_bits_per='layer'"
      )
