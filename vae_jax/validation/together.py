"""What several keys of a config must agree on: rules that yield a line for each problem.

A rule that asks for a value that is wrong by itself, or for a part that is not known yet, ends
there: it has nothing to say. What a part can is asked of the part, never of its name.
"""

import functools
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from vae_jax import checks, densities, parts
from vae_jax.validation.built import Built

Values = Mapping[str, Any]
Rule = Callable[[Values, Built], Iterator[str]]


def _check_cadence(values: Values, built: Built) -> Iterator[str]:
  del built
  every = values['train.log_every']
  for key in ('train.evaluate_every', 'train.checkpoint_every'):
    if values[key] % every:
      nearest = max(1, round(values[key] / every)) * every
      expected = f'a multiple of train.log_every={every}; nearest: {nearest}'
      yield checks.problem(key, values[key], expected)


def _check_scale(values: Values, built: Built) -> Iterator[str]:
  low, start = (f'likelihood.{key}' for key in ('min_scale', 'initial_scale'))
  if built.likelihood.at_scale is None or not {low, start} <= values.keys():
    return
  if values[low] >= values[start]:
    yield checks.problem(low, values[low], f'below {start}={values[start]:g}')


def _check_points(values: Values, built: Built) -> Iterator[str]:
  del built
  points = values['lanes.points']
  if points and values['lanes.combine'] != 'list':
    yield checks.problem('lanes.points', points, "it is used with lanes.combine='list' only")


def _check_latents(values: Values, built: Built) -> Iterator[str]:
  """Checks which posterior goes with which prior, and with which form of the KL."""
  posterior, prior = built.posterior, built.prior
  names = _of_latents(values)
  if bool(posterior.lower_size) != bool(prior.lower_size):
    key = 'prior' if posterior.lower_size else 'posterior'
    yield f"{names} do not go together: two layers need both; set {key}.name='two_layer'"
  elif posterior.lower_size != prior.lower_size:
    yield (
      f'{names} do not go together: the lower of two layers has {posterior.lower_size} latents in '
      f'the posterior and {prior.lower_size} in the prior'
    )
  closed_form = densities.has_closed_form(posterior.density, prior.density)
  if values['bound.kl'] == 'analytic' and not closed_form:
    yield checks.problem(
      'bound.kl', 'analytic', f"{names} have no closed form; set bound.kl='sampled'"
    )


def _of_latents(values: Values) -> str:
  return f'posterior.name={values["posterior.name"]!r} and prior.name={values["prior.name"]!r}'


def _check_bound(values: Values, built: Built) -> Iterator[str]:
  """Checks what a bound needs of the KL, the gradient, the posterior and the samples."""
  gradient, analytic = values['bound.gradient'], values['bound.kl'] != 'sampled'
  if gradient != 'reparameterized' and analytic:
    yield checks.problem(
      'bound.gradient',
      gradient,
      "the closed form has no path through z; set bound.kl='sampled', or 'reparameterized'",
    )
  bound, name = built.bound, f'bound.name={values["bound.name"]!r}'
  if bound.is_weighted and analytic:
    yield checks.problem(
      'bound.kl',
      values['bound.kl'],
      f"the weights of {name} need the sampled ratio; set bound.kl='sampled'",
    )
  if bound.has_own_score and gradient != 'reparameterized':
    yield checks.problem('bound.gradient', gradient, f"{name} needs 'reparameterized'")
  elif gradient == 'doubly_reparameterized' and bound.path_weights is None:
    yield checks.problem(
      'bound.gradient', gradient, f"{name} has no weights; set 'sticking_the_landing'"
    )


def _check_factorised(values: Values, built: Built) -> Iterator[str]:
  if not built.bound.needs_factorised:
    return
  if not (built.posterior.density.factorises and built.prior.density.factorises):
    yield (
      f'bound.name={values["bound.name"]!r} needs latents that are independent, such as '
      f"posterior.name='diagonal' and prior.name='standard_normal', and {_of_latents(values)} are "
      'not'
    )


def _check_beta(values: Values, built: Built) -> Iterator[str]:
  """Checks what a bound of all betas at once needs of networks and likelihood."""
  if not built.bound.beta_range:
    return
  name = f'bound.name={values["bound.name"]!r}'
  for part in ('encoder', 'decoder'):
    if not getattr(parts.resolve(part, built.name(part)), 'SEES_BETA', False):
      yield (
        f'{part}.name={values[f"{part}.name"]!r} does not see beta, and {name} trains networks '
        f"that do; set {part}.name='mlp' or 'conv', or bound.name='elbo'"
      )
    elif values[f'{part}.name'] == 'mlp' and not values[f'{part}.hidden']:
      yield f'{part}.hidden=(): {name} has no layer to gate there; set {part}.hidden'
  if built.likelihood.refit is not None:
    yield (
      f"likelihood.scale='optimal' is the best for one beta, and {name} trains all of them at "
      "once; set likelihood.scale='shared' or 'fixed'"
    )


def _check_curve(values: Values, built: Built) -> Iterator[str]:
  """Checks the betas at which lanes are evaluated beside their own."""
  betas, beta_range = values['evaluation.betas'], built.bound.beta_range
  if betas and not beta_range:
    trains = f'bound.name={values["bound.name"]!r} trains each lane for one beta; set ()'
    yield checks.problem('evaluation.betas', betas, trains)
  elif betas and not all(beta_range[0] <= beta <= beta_range[1] for beta in betas):
    low, high = beta_range
    nearest = tuple(min(max(beta, low), high) for beta in betas)
    expected = f'from bound.lowest={low:g} to bound.highest={high:g}; nearest: {nearest}'
    yield checks.problem('evaluation.betas', betas, expected)


def _check_noise(values: Values, built: Built) -> Iterator[str]:
  """Checks what antithetic noise needs."""
  noise, samples = values['bound.noise'], values['bound.num_samples']
  if noise != 'antithetic':
    return
  if built.bound.is_weighted:
    yield checks.problem(
      'bound.noise',
      noise,
      f"the weights of bound.name={values['bound.name']!r} are independent; set 'independent'",
    )
  elif samples % 2:
    yield checks.problem(
      'bound.num_samples', samples, f"even with bound.noise='antithetic'; nearest: {samples + 1}"
    )


def _check_groups(values: Values, built: Built) -> Iterator[str]:
  """Checks that the samples fall into groups of one size."""
  groups, samples = built.bound.num_groups, values['bound.num_samples']
  if samples % groups:
    nearest = max(divisor for divisor in _divisors(samples) if divisor <= groups)
    yield checks.problem(
      'bound.num_groups', groups, f'it divides bound.num_samples={samples}; nearest: {nearest}'
    )


def _divisors(number: int) -> Iterator[int]:
  for divisor in range(1, math.isqrt(number) + 1):
    if number % divisor == 0:
      yield from (divisor, number // divisor)


def _check_schedule(values: Values, built: Built) -> Iterator[str]:
  name = built.name('schedule')
  if parts.is_from_outside(name) or 'factor' not in parts.parameters('schedule', name):
    return
  factor = values['schedule.factor']
  if factor == 1:
    yield checks.problem(
      'schedule.factor',
      factor,
      f'schedule.name={name!r} would stay constant; set it below 1, and schedule.decay_steps',
    )


def _check_convolutions(part: str, values: Values, built: Built) -> Iterator[str]:
  name = built.name(part)
  if parts.is_from_outside(name) or 'channels' not in parts.parameters(part, name):
    return
  sizes = {key: len(values[f'{part}.{key}']) for key in ('channels', 'kernels', 'strides')}
  if len(set(sizes.values())) != 1 or not sizes['channels']:
    yield (
      f'{part}.name={name!r} needs as many {part}.kernels ({sizes["kernels"]}) and {part}.strides '
      f'({sizes["strides"]}) as {part}.channels ({sizes["channels"]}), at least one'
    )


RULES: tuple[Rule, ...] = (
  _check_cadence,
  functools.partial(_check_convolutions, 'encoder'),
  functools.partial(_check_convolutions, 'decoder'),
  _check_scale,
  _check_schedule,
  _check_points,
  _check_latents,
  _check_bound,
  _check_factorised,
  _check_beta,
  _check_curve,
  _check_noise,
  _check_groups,
)
