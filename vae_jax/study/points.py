"""The lanes of a config, and what their bound leaves them."""

from collections.abc import Iterator, Mapping, Sequence

from vae_jax import densities, errors, lane_fields, lanes

_POSTERIORS: Mapping[str, type[densities.Posterior]] = {
  'diagonal': densities.DiagonalGaussian,
  'full_covariance': densities.FullGaussian,
  'flow': densities.FlowPosterior,
  'two_layer': densities.TwoLayerPosterior,
}
_PRIORS: Mapping[str, type[densities.Prior]] = {
  'standard_normal': densities.StandardNormal,
  'mixture': densities.Mixture,
  'vamp': densities.Mixture,
  'flow': densities.FlowPrior,
  'two_layer': densities.TwoLayerPrior,
}


def points_of(config: Mapping) -> list[lanes.Point]:
  """Returns the points of a config's lanes.

  Raises:
    InputError: values are invalid, or their bound or latents have no such thing.
  """
  points = grid_of(config)
  check_fit(points, config)
  return points


def grid_of(config: Mapping) -> list[lanes.Point]:
  """Returns the points of a config's lanes; raises InputError where values are invalid."""
  axes = config['lanes']
  return lanes.from_axes(axes['combine'], axes, axes['points'])


def check_fit(points: Sequence[lanes.Point], config: Mapping) -> None:
  """Raises InputError where the bound or the latents of a config have no such lanes."""
  if problems := [*_misfits(config, points)]:
    raise errors.InputError(*problems)


def _misfits(config: Mapping, points: Sequence[lanes.Point]) -> Iterator[str]:
  """Yields what of the lanes their bound and their latents do not have."""
  bound = config['bound']['name']
  for field in _absent_fields(bound):
    default = lane_fields.DEFAULTS[field]
    if any(point[field] != default for point in points):
      yield f'lanes.{field}: bound.name={bound!r} has none; set lanes.{field}=({default!r},)'
  if bound.startswith('dip_vae') and any(not point['covariance_weight'] for point in points):
    yield (
      f'lanes.covariance_weight=0.0: bound.name={bound!r} is the ELBO then; set it above 0, or '
      "bound.name='elbo'"
    )
  per_latent = config['bound']['free_bits_per'] == 'latent'
  if any(point['free_bits'] for point in points) and per_latent and not _splits_by_latent(config):
    yield (
      "bound.free_bits_per='latent': the rate does not split by latent with posterior.name="
      f'{config["posterior"]["name"]!r} and prior.name={config["prior"]["name"]!r}; set '
      "bound.free_bits_per='layer'"
    )


def _absent_fields(bound: str) -> tuple[str, ...]:
  """Returns the fields of a lane that a bound does not have."""
  weighted = ('beta', 'warmup', 'warmup_steps')
  shaped = ('free_bits', 'capacity', 'capacity_steps')
  if bound == 'elbo':
    return ('covariance_weight',)
  if bound == 'beta_tcvae':
    return (*shaped, 'covariance_weight')
  return shaped if bound.startswith('dip_vae') else (*weighted, *shaped, 'covariance_weight')


def _splits_by_latent(config: Mapping) -> bool:
  """Returns whether posterior and prior both come by latent."""
  posterior, prior = _POSTERIORS[config['posterior']['name']], _PRIORS[config['prior']['name']]
  return posterior.by_latent and prior.by_latent
