"""What several keys of a config must agree on: rules that yield a line for each problem.

A rule that asks for a value that is wrong by itself ends there: it has nothing to say.
"""

import functools
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from vae_jax import checks
from vae_jax.validation import keys

Rule = Callable[[Mapping[str, Any]], Iterator[str]]


def _check_cadence(values: Mapping[str, Any]) -> Iterator[str]:
  every = values['train.log_every']
  for key in ('train.evaluate_every', 'train.checkpoint_every'):
    if values[key] % every:
      nearest = max(1, round(values[key] / every)) * every
      expected = f'a multiple of train.log_every={every}; nearest: {nearest}'
      yield checks.problem(key, values[key], expected)


def _check_scale(values: Mapping[str, Any]) -> Iterator[str]:
  name, scale = values['likelihood.name'], values['likelihood.scale']
  learned = name == 'discretized_logistic' or (name == 'gaussian' and scale != 'fixed')
  if learned and values['likelihood.min_scale'] >= values['likelihood.initial_scale']:
    yield checks.problem(
      'likelihood.min_scale',
      values['likelihood.min_scale'],
      f'below likelihood.initial_scale={values["likelihood.initial_scale"]:g}',
    )


def _check_points(values: Mapping[str, Any]) -> Iterator[str]:
  points = values['lanes.points']
  if points and values['lanes.combine'] != 'list':
    yield checks.problem('lanes.points', points, "it is used with lanes.combine='list' only")


def _check_latents(values: Mapping[str, Any]) -> Iterator[str]:
  """Checks which posterior goes with which prior, and with which form of the KL."""
  posterior, prior = values['posterior.name'], values['prior.name']
  if (posterior == 'two_layer') != (prior == 'two_layer'):
    key = 'prior' if posterior == 'two_layer' else 'posterior'
    yield (
      f'posterior.name={posterior!r} and prior.name={prior!r} do not go together: two layers need '
      f"both; set {key}.name='two_layer'"
    )
  for part in ('posterior', 'prior'):
    if values[f'{part}.name'] == 'flow' and not values[f'{part}.hidden']:
      yield checks.problem(
        f'{part}.hidden', values[f'{part}.hidden'], 'a flow needs a layer, such as (64,)'
      )
  closed_form = posterior in ('diagonal', 'full_covariance') and prior == 'standard_normal'
  if values['bound.kl'] == 'analytic' and not closed_form:
    yield checks.problem(
      'bound.kl',
      'analytic',
      f'posterior.name={posterior!r} and prior.name={prior!r} have no closed form; '
      "set bound.kl='sampled'",
    )


def _check_bound(values: Mapping[str, Any]) -> Iterator[str]:
  """Checks what a bound needs of the KL, the gradient, the posterior and the samples."""
  bound, gradient = values['bound.name'], values['bound.gradient']
  weighted = bound in keys.IMPORTANCE_WEIGHTED
  if weighted and values['bound.kl'] != 'sampled':
    yield checks.problem(
      'bound.kl',
      values['bound.kl'],
      f"the weights of bound.name={bound!r} need the sampled ratio; set bound.kl='sampled'",
    )
  if gradient != 'reparameterized' and values['bound.kl'] != 'sampled':
    yield checks.problem(
      'bound.gradient',
      gradient,
      "the closed form has no path through z; set bound.kl='sampled', or 'reparameterized'",
    )
  if bound == 'beta_tcvae' and gradient != 'reparameterized':
    yield checks.problem(
      'bound.gradient', gradient, f"bound.name={bound!r} needs 'reparameterized'"
    )
  elif gradient == 'doubly_reparameterized' and not weighted:
    yield checks.problem(
      'bound.gradient', gradient, f"bound.name={bound!r} has no weights; set 'sticking_the_landing'"
    )
  latents = (values['posterior.name'], values['prior.name'])
  if bound in ('beta_tcvae', 'dip_vae_i', 'dip_vae_ii') and latents != (
    'diagonal',
    'standard_normal',
  ):
    yield (
      f"bound.name={bound!r} needs posterior.name='diagonal' and prior.name='standard_normal', "
      f'and they are {latents[0]!r} and {latents[1]!r}'
    )


def _check_noise(values: Mapping[str, Any]) -> Iterator[str]:
  """Checks what antithetic noise needs."""
  weighted = values['bound.name'] in keys.IMPORTANCE_WEIGHTED
  noise, samples = values['bound.noise'], values['bound.num_samples']
  if noise == 'antithetic' and weighted:
    yield checks.problem(
      'bound.noise',
      noise,
      f"the weights of bound.name={values['bound.name']!r} are independent; set 'independent'",
    )
  elif noise == 'antithetic' and samples % 2:
    yield checks.problem(
      'bound.num_samples', samples, f"even with bound.noise='antithetic'; nearest: {samples + 1}"
    )


def _check_groups(values: Mapping[str, Any]) -> Iterator[str]:
  """Checks the numbers that MIWAE and CIWAE have and the other bounds have not."""
  bound = values['bound.name']
  groups, samples, weight = (
    values[f'bound.{key}'] for key in ('num_groups', 'num_samples', 'elbo_weight')
  )
  if bound != 'miwae' and groups != 1:
    yield checks.problem('bound.num_groups', groups, f'bound.name={bound!r} has one group; set 1')
  elif samples % groups:
    nearest = max(divisor for divisor in _divisors(samples) if divisor <= groups)
    yield checks.problem(
      'bound.num_groups', groups, f'it divides bound.num_samples={samples}; nearest: {nearest}'
    )
  if bound != 'ciwae' and weight:
    yield checks.problem('bound.elbo_weight', weight, "it is for bound.name='ciwae'; set 0.0")


def _divisors(number: int) -> Iterator[int]:
  for divisor in range(1, math.isqrt(number) + 1):
    if number % divisor == 0:
      yield from (divisor, number // divisor)


def _check_schedule(values: Mapping[str, Any]) -> Iterator[str]:
  name, factor = values['schedule.name'], values['schedule.factor']
  if name != 'constant' and factor == 1:
    yield checks.problem(
      'schedule.factor',
      factor,
      f'schedule.name={name!r} would stay constant; set it below 1, and schedule.decay_steps',
    )
  if name == 'exponential' and factor == 0:
    yield checks.problem('schedule.factor', factor, "above 0 with schedule.name='exponential'")


def _check_convolutions(part: str, values: Mapping[str, Any]) -> Iterator[str]:
  sizes = {key: len(values[f'{part}.{key}']) for key in ('channels', 'kernels', 'strides')}
  if values[f'{part}.name'] == 'conv':
    if len(set(sizes.values())) != 1 or not sizes['channels']:
      yield (
        f"{part}.name='conv' needs as many {part}.kernels ({sizes['kernels']}) and {part}.strides "
        f'({sizes["strides"]}) as {part}.channels ({sizes["channels"]}), at least one'
      )
  elif any(sizes.values()):
    key = next(key for key, size in sizes.items() if size)
    yield checks.problem(
      f'{part}.{key}', values[f'{part}.{key}'], f"{part}.name='mlp' has none; set ()"
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
  _check_noise,
  _check_groups,
)
