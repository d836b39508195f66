"""What several keys of a config must agree on."""

from collections.abc import Mapping
from typing import Any

from vae_jax import errors
from vae_jax.validation import keys, kinds


def check_together(values: Mapping[str, Any]) -> None:
  """Checks what several keys must agree on."""
  every = values['train.log_every']
  for key in ('train.evaluate_every', 'train.checkpoint_every'):
    if values[key] % every:
      nearest = max(1, round(values[key] / every)) * every
      kinds.refuse(key, values[key], f'a multiple of train.log_every={every}; nearest: {nearest}')
  for part in ('encoder', 'decoder'):
    _check_convolutions(part, values)
  name, scale = values['likelihood.name'], values['likelihood.scale']
  learned = name == 'discretized_logistic' or (name == 'gaussian' and scale != 'fixed')
  if learned and values['likelihood.min_scale'] >= values['likelihood.initial_scale']:
    kinds.refuse(
      'likelihood.min_scale',
      values['likelihood.min_scale'],
      f'below likelihood.initial_scale={values["likelihood.initial_scale"]:g}',
    )
  _check_schedule(values)
  if values['lanes.points'] and values['lanes.combine'] != 'list':
    kinds.refuse(
      'lanes.points', values['lanes.points'], "it is used with lanes.combine='list' only"
    )
  _check_latents(values)
  _check_bound(values)


def _check_latents(values: Mapping[str, Any]) -> None:
  """Checks which posterior goes with which prior, and with which form of the KL."""
  posterior, prior = values['posterior.name'], values['prior.name']
  if (posterior == 'two_layer') != (prior == 'two_layer'):
    key = 'prior' if posterior == 'two_layer' else 'posterior'
    raise errors.InputError(
      f'posterior.name={posterior!r} and prior.name={prior!r} do not go together: two layers need '
      f"both; set {key}.name='two_layer'"
    )
  for part in ('posterior', 'prior'):
    if values[f'{part}.name'] == 'flow' and not values[f'{part}.hidden']:
      kinds.refuse(
        f'{part}.hidden', values[f'{part}.hidden'], 'a flow needs a layer, such as (64,)'
      )
  closed_form = posterior in ('diagonal', 'full_covariance') and prior == 'standard_normal'
  if values['bound.kl'] == 'analytic' and not closed_form:
    kinds.refuse(
      'bound.kl',
      'analytic',
      f'posterior.name={posterior!r} and prior.name={prior!r} have no closed form; '
      "set bound.kl='sampled'",
    )


def _check_bound(values: Mapping[str, Any]) -> None:
  """Checks what a bound needs of the KL, the gradient, the posterior and the samples."""
  bound, gradient = values['bound.name'], values['bound.gradient']
  weighted = bound in keys.IMPORTANCE_WEIGHTED
  if weighted and values['bound.kl'] != 'sampled':
    kinds.refuse(
      'bound.kl',
      values['bound.kl'],
      f"the weights of bound.name={bound!r} need the sampled ratio; set bound.kl='sampled'",
    )
  if gradient != 'reparameterized' and values['bound.kl'] != 'sampled':
    kinds.refuse(
      'bound.gradient',
      gradient,
      "the closed form has no path through z; set bound.kl='sampled', or 'reparameterized'",
    )
  if gradient == 'doubly_reparameterized' and not weighted:
    kinds.refuse(
      'bound.gradient', gradient, f"bound.name={bound!r} has no weights; set 'sticking_the_landing'"
    )
  if bound == 'beta_tcvae' and gradient != 'reparameterized':
    kinds.refuse('bound.gradient', gradient, f"bound.name={bound!r} needs 'reparameterized'")
  _check_noise(values, weighted)
  latents = (values['posterior.name'], values['prior.name'])
  if bound in ('beta_tcvae', 'dip_vae_i', 'dip_vae_ii') and latents != (
    'diagonal',
    'standard_normal',
  ):
    raise errors.InputError(
      f"bound.name={bound!r} needs posterior.name='diagonal' and prior.name='standard_normal', "
      f'and they are {latents[0]!r} and {latents[1]!r}'
    )
  _check_groups(values)


def _check_noise(values: Mapping[str, Any], weighted: bool) -> None:
  """Checks what antithetic noise needs."""
  noise, samples = values['bound.noise'], values['bound.num_samples']
  if noise == 'antithetic' and weighted:
    kinds.refuse(
      'bound.noise',
      noise,
      f"the weights of bound.name={values['bound.name']!r} are independent; set 'independent'",
    )
  if noise == 'antithetic' and samples % 2:
    kinds.refuse(
      'bound.num_samples', samples, f"even with bound.noise='antithetic'; nearest: {samples + 1}"
    )


def _check_groups(values: Mapping[str, Any]) -> None:
  """Checks the numbers that MIWAE and CIWAE have and the other bounds have not."""
  bound = values['bound.name']
  groups, samples, weight = (
    values[f'bound.{key}'] for key in ('num_groups', 'num_samples', 'elbo_weight')
  )
  if bound != 'miwae' and groups != 1:
    kinds.refuse('bound.num_groups', groups, f'bound.name={bound!r} has one group; set 1')
  if samples % groups:
    nearest = max(d for d in range(1, groups + 1) if samples % d == 0)
    kinds.refuse(
      'bound.num_groups', groups, f'it divides bound.num_samples={samples}; nearest: {nearest}'
    )
  if bound != 'ciwae' and weight:
    kinds.refuse('bound.elbo_weight', weight, "it is for bound.name='ciwae'; set 0.0")


def _check_schedule(values: Mapping[str, Any]) -> None:
  name, factor = values['schedule.name'], values['schedule.factor']
  if name != 'constant' and factor == 1:
    kinds.refuse(
      'schedule.factor',
      factor,
      f'schedule.name={name!r} would stay constant; set it below 1, and schedule.decay_steps',
    )
  if name == 'exponential' and factor == 0:
    kinds.refuse('schedule.factor', factor, "above 0 with schedule.name='exponential'")


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
    kinds.refuse(f'{part}.{key}', values[f'{part}.{key}'], f"{part}.name='mlp' has none; set ()")
