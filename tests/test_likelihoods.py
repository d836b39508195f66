"""Likelihoods against SciPy, quadrature, sums and exact decimals; all of them at extremes."""

import decimal
import functools
import math
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.optimize
import scipy.special
import scipy.stats
from tensorflow_probability.substrates import jax as tfp

from vae_jax import densities
from vae_jax.densities import gaussians, levels, likelihoods

pytestmark = pytest.mark.math

SCALES = ('fixed', 'shared', 'optimal', 'per_pixel')
LIKELIHOODS = {
  'bernoulli': likelihoods.bernoulli(),
  'cross_entropy': likelihoods.cross_entropy(),
  'continuous_bernoulli': likelihoods.continuous_bernoulli(),
  **{f'gaussian_{scale}': gaussians.gaussian(scale, 0.7, 0.1, 'identity') for scale in SCALES},
  'gaussian_sigmoid': gaussians.gaussian('fixed', 0.3, 0.1, 'sigmoid'),
  'discretized_logistic': levels.discretized_logistic(1, 0.1, 1e-3),
  'discretized_logistic_3': levels.discretized_logistic(3, 0.1, 1e-3),
  'categorical': levels.categorical(),
}
CONTINUOUS = LIKELIHOODS['continuous_bernoulli']
LOGISTIC = LIKELIHOODS['discretized_logistic']
LEVELS = ('discretized_logistic', 'discretized_logistic_3', 'categorical')
DENSITIES = [name for name, likelihood in LIKELIHOODS.items() if likelihood.is_density]
OF_MEAN = [name for name, likelihood in LIKELIHOODS.items() if likelihood.output_of_mean]
# Negative, zero and positive; about the series of the continuous Bernoulli, and far from it.
SIZES = np.array([0, 1e-6, 1e-3, 0.05, 0.2, 0.3, 1, 5, 15, 20, 50])
LOGITS = [*-SIZES[1:], *SIZES]
EVENT = (2, 3, 1)  # one for all tests that can: each shape is another program
every_likelihood = pytest.mark.parametrize('name', LIKELIHOODS)


def random_outputs(likelihood, event, seed):
  """Heads [*event], then shared scalars."""
  rng = np.random.default_rng(seed)
  shapes = [event] * likelihood.num_heads + [()] * likelihood.num_shared
  return tuple(np.asarray(rng.normal(size=shape), np.float32) for shape in shapes)


def own_support(likelihood):
  """The line of a density on it, also where its data lie in [0, 1]."""
  return 'real' if likelihood.lost_on_unit is not None else likelihood.supports[0]


def nodes(support):
  """Points x and weights w such that sum w f(x) is the sum or the integral over the support."""
  if support == 'unit':
    x, w = np.polynomial.legendre.leggauss(100)
    return (x + 1) / 2, w / 2
  if support == 'real':
    return np.linspace(-40, 40, 8001), np.full(8001, 0.01)
  x = np.arange(2.0 if support == 'binary' else 256.0)
  return x, np.ones_like(x)


def given(outputs):
  """Many heads come stacked, see `test_heads_may_come_stacked`: 256 arrays are many to trace."""
  return np.stack(outputs) if len(outputs) > 9 else outputs


@functools.partial(jax.jit, static_argnums=0)
def log_prob_as_it_comes(likelihood, outputs, x):
  return likelihood.make(outputs).log_prob(x)


def log_prob(likelihood, outputs, x):
  return log_prob_as_it_comes(likelihood, given(outputs), x)


gradients = jax.jit(jax.value_and_grad(log_prob, 1), static_argnums=0)


def mean(likelihood, outputs):
  return _mean(likelihood, given(outputs))


@functools.partial(jax.jit, static_argnums=0)
def _mean(likelihood, outputs):
  return likelihood.make(outputs).mean()


def sample(likelihood, outputs, key, shape):
  return _sample(likelihood, given(outputs), key, shape)


@functools.partial(jax.jit, static_argnums=(0, 3))
def _sample(likelihood, outputs, key, shape):
  return likelihood.make(outputs).sample(seed=key, sample_shape=shape)


@functools.partial(jax.jit, static_argnums=0)
def _mean_and_log_probs(likelihood, outputs, x):
  law = likelihood.make(outputs)
  return law.mean(), jax.vmap(law.log_prob)(x)


def mean_and_log_probs(likelihood, outputs, x):
  """The mean of one pixel [1], and log p at each x: float64 [len(x)]."""
  found = _mean_and_log_probs(likelihood, given(outputs), np.float32(x)[:, None])
  return map(np.float64, found)


def log_probs(likelihood, outputs, x):
  return list(mean_and_log_probs(likelihood, outputs, x))[1]


@functools.partial(jax.jit, static_argnums=0)
def _samples_and_mean(likelihood, outputs):
  law = likelihood.make(outputs)
  samples = law.sample(seed=jax.random.key(1), sample_shape=(1_000,))
  return samples, law.mean(), law.log_prob(samples[0])


@functools.cache
def samples_and_mean(name):
  """Outputs of EVENT; a thousand samples of them, their mean, and log p of the first sample."""
  outputs = random_outputs(LIKELIHOODS[name], EVENT, seed=1)
  return outputs, *jax.device_get(_samples_and_mean(LIKELIHOODS[name], given(outputs)))


@pytest.mark.parametrize(
  ('name', 'supports'),
  [
    ('bernoulli', ('binary',)),
    ('cross_entropy', ('unit',)),
    ('continuous_bernoulli', ('unit',)),
    ('gaussian_fixed', ('unit', 'real')),
    ('gaussian_sigmoid', ('unit',)),
    ('discretized_logistic', ('uint8',)),
    ('categorical', ('uint8',)),
  ],
)
def test_the_supports_are_declared(name, supports):
  assert LIKELIHOODS[name].supports == supports
  assert LIKELIHOODS[name].is_density == (name != 'cross_entropy')


@every_likelihood
def test_pixels_in_rows_are_the_same_pixels(name):
  likelihood = LIKELIHOODS[name]
  outputs, samples, expected_mean, expected = samples_and_mean(name)
  rows = [output.ravel() if output.ndim else output for output in outputs]

  def in_rows(rows):
    flat = densities.Shaped(likelihood.make(rows), EVENT)
    assert flat.event_shape == EVENT
    return flat

  found = jax.jit(lambda rows, x: (in_rows(rows).log_prob(x), in_rows(rows).mean()))
  log_p, mean = found(given(rows), samples[0])
  assert log_p == pytest.approx(float(expected), rel=1e-6)
  np.testing.assert_allclose(mean, expected_mean, rtol=1e-6)
  for shape in ((), (4,)):
    draw = functools.partial(_sample, likelihood._replace(make=in_rows), shape=shape)
    assert jax.eval_shape(draw, given(rows), jax.random.key(0)).shape == (*shape, *EVENT)


@every_likelihood
def test_twice_the_pixels_double_log_prob(name):
  outputs, samples, _, value = samples_and_mean(name)
  twice = tuple(np.concatenate([output] * 2) if output.ndim else output for output in outputs)
  assert value.shape == () and value.dtype == jnp.float32
  doubled = log_prob(LIKELIHOODS[name], twice, np.concatenate([samples[0]] * 2))
  assert doubled == pytest.approx(2 * float(value), rel=1e-6)


@pytest.mark.parametrize('name', ['bernoulli', 'gaussian_per_pixel', *LEVELS])
def test_heads_may_come_stacked(name):
  likelihood, x = LIKELIHOODS[name], np.ones(EVENT, np.float32)
  outputs = random_outputs(likelihood, x.shape, seed=3)
  expected = float(log_prob_as_it_comes(likelihood, outputs, x))
  found = log_prob_as_it_comes(likelihood, np.stack(outputs), x)
  assert found == pytest.approx(expected, rel=1e-6)


@every_likelihood
def test_samples_agree_with_the_mean(name):
  likelihood, count = LIKELIHOODS[name], 1_000
  _, samples, expected, _ = samples_and_mean(name)
  samples = np.float64(samples)
  assert samples.shape == (count, *EVENT) and expected.shape == EVENT
  error = samples.mean(0) - expected
  assert np.all(np.abs(error) < 5 * samples.std(0) / np.sqrt(count) + 1e-6)
  if likelihood.supports == ('uint8',):
    assert np.all((samples == np.round(samples)) & (samples >= 0) & (samples <= 255))
  elif own_support(likelihood) != 'real':
    assert np.all((samples >= 0) & (samples <= 1))


@pytest.mark.parametrize('name', DENSITIES)
@pytest.mark.parametrize('seed', range(4))
def test_a_density_sums_to_one_and_has_its_mean(name, seed):
  likelihood = LIKELIHOODS[name]
  x, weights = nodes(own_support(likelihood))
  outputs = random_outputs(likelihood, (1,), seed)
  (mean,), logs = mean_and_log_probs(likelihood, outputs, x)
  masses = weights * np.exp(logs)
  assert masses.sum() == pytest.approx(1, abs=2e-6)
  assert (masses * x).sum() == pytest.approx(mean, rel=2e-5)


def mass_between(outputs, name, low, high):
  """The mass of a Gaussian pixel between two values, by SciPy: of its location and its scale."""
  loc, *raw = map(float, outputs)
  scale = 0.3 if name == 'gaussian_sigmoid' else 0.7
  if raw:
    # The scale is 0.1 + softplus(r + c), 0.7 where r = 0.
    scale = 0.1 + np.logaddexp(0, raw[0] + np.log(np.expm1(0.6)))
  normal = scipy.stats.norm(scipy.special.expit(loc) if name == 'gaussian_sigmoid' else loc, scale)
  return normal.cdf(high) - normal.cdf(low)


@pytest.mark.parametrize('seed', range(3))
@pytest.mark.parametrize('name', DENSITIES)
def test_the_mass_on_every_support_is_one_but_for_a_gaussian_on_an_interval(name, seed):
  """A Gaussian is a density on the line: on [0, 1] it has what the normal law has there."""
  likelihood = LIKELIHOODS[name]
  outputs = random_outputs(likelihood, (1,), seed)
  for support in likelihood.supports:
    x, weights = nodes(support)
    mass = weights @ np.exp(log_probs(likelihood, outputs, x))
    if support == 'unit' and likelihood.lost_on_unit is not None:
      expected = mass_between([np.squeeze(output) for output in outputs], name, 0, 1)
      assert expected < 0.95
    else:
      expected = 1.0
    assert mass == pytest.approx(expected, abs=3e-6), support


@every_likelihood
def test_values_and_gradients_are_finite_at_extreme_outputs(name):
  likelihood = LIKELIHOODS[name]
  num_outputs = likelihood.num_heads + likelihood.num_shared
  rng = np.random.default_rng(2)
  extremes = jnp.asarray(rng.choice([-1e4, 0.0, 1e4], (100, num_outputs)), jnp.float32)
  x = nodes(likelihood.supports[0])[0]

  def of_one_pixel(outputs, x):
    heads, shared = outputs[: likelihood.num_heads, None], outputs[likelihood.num_heads :]
    stacked = heads if not likelihood.num_shared else (*heads, *shared)  # 256 are many to trace
    return likelihood.make(stacked).log_prob(x[None])

  over_x = jax.vmap(jax.value_and_grad(of_one_pixel), (None, 0))
  x = jnp.asarray([x[0], x[len(x) // 2], x[-1]], jnp.float32)
  values, gradients = jax.jit(jax.vmap(over_x, (0, None)))(extremes, x)
  assert np.isfinite(values).all() and np.isfinite(gradients).all()


@pytest.mark.parametrize('name', OF_MEAN)
def test_output_of_mean_gives_back_the_mean(name):
  likelihood = LIKELIHOODS[name]
  size = 255 if likelihood.supports == ('uint8',) else 1
  target = size * np.array([0.012, 0.2, 0.5, 0.501, 0.93, 0.985]).reshape(EVENT)
  others = random_outputs(likelihood, target.shape, seed=0)[1:]
  outputs = (likelihood.output_of_mean(target), *map(np.zeros_like, others))
  np.testing.assert_allclose(mean(likelihood, outputs), target, rtol=1e-5)


@pytest.mark.parametrize(
  ('name', 'largest', 'output'),
  [
    ('bernoulli', 1.0, scipy.special.logit(0.999)),
    ('gaussian_sigmoid', 1.0, scipy.special.logit(0.999)),
    ('continuous_bernoulli', 1.0, 100.0),
    ('discretized_logistic', 255.0, None),
  ],
)
def test_a_pixel_that_never_varies_starts_near_its_value(name, largest, output):
  likelihood = LIKELIHOODS[name]
  black, white = likelihood.output_of_mean(np.array([0, largest]))
  assert white == pytest.approx(-float(black), rel=1e-3)
  if output is None:  # that of a mean 0.255 levels from white
    outputs = (white[None], jnp.zeros(1))
    assert mean(likelihood, outputs)[0] == pytest.approx(0.999 * 255, abs=1e-3)
  else:
    assert white == pytest.approx(output, rel=1e-4)


def test_bernoulli_equals_scipy():
  rng = np.random.default_rng(0)
  logits = rng.normal(size=(4, 3, 1)).astype(np.float32)
  x = rng.integers(0, 2, logits.shape).astype(np.float32)
  expected = scipy.stats.bernoulli.logpmf(x, scipy.special.expit(logits)).sum()
  likelihood = LIKELIHOODS['bernoulli']
  assert log_prob(likelihood, (logits,), x) == pytest.approx(expected, rel=1e-6)
  np.testing.assert_allclose(mean(likelihood, (logits,)), scipy.special.expit(logits), rtol=1e-6)


@pytest.mark.parametrize('logit', [-1e4, -90.0, 90.0, 1e4])
@pytest.mark.parametrize('x', [0.0, 1.0])
def test_bernoulli_at_extreme_logits(logit, x):
  """log sigmoid(l) -> min(l, 0) and its derivative -> x - [l > 0]."""
  value, (gradient,) = gradients(LIKELIHOODS['bernoulli'], (jnp.array([logit]),), jnp.array([x]))
  assert value == pytest.approx(min(logit, 0) if x else min(-logit, 0), abs=1e-6)
  assert gradient[0] == pytest.approx(x - (logit > 0), abs=1e-6)


def test_cross_entropy_is_the_formula_and_no_density():
  logits, x = np.array([0.3, -2.0, 40.0]), np.array([0.1, 0.6, 0.9])
  likelihood, outputs = LIKELIHOODS['cross_entropy'], (np.float32(logits),)
  expected = (x * logits - np.logaddexp(0, logits)).sum()
  assert log_prob(likelihood, outputs, x) == pytest.approx(expected, rel=1e-6)
  np.testing.assert_allclose(mean(likelihood, outputs), scipy.special.expit(logits), rtol=1e-6)
  points, weights = nodes('unit')
  integral = weights @ np.exp(log_probs(likelihood, (np.zeros(1, np.float32),), points))
  assert integral == pytest.approx(0.5)


@pytest.mark.parametrize('logit', LOGITS)
def test_continuous_bernoulli_equals_quadrature(logit):
  """Value, gradient and mean; the integrals are shifted so that they do not overflow."""
  outputs = (jnp.array([logit], jnp.float32),)
  logit, top = np.float64(outputs[0][0]), max(logit, 0)
  rule, weights = nodes('unit')
  masses = weights * np.exp(logit * rule - top)
  normaliser = scipy.integrate.quad(lambda t: np.exp(logit * t - top), 0, 1, epsabs=1e-12)[0]
  assert masses.sum() == pytest.approx(normaliser, rel=1e-9)
  expected_mean = masses @ rule / normaliser
  for x in (0.0, 0.25, 1.0):
    value, (gradient,) = gradients(CONTINUOUS, outputs, jnp.array([x]))
    assert value == pytest.approx(x * logit - top - math.log(normaliser), rel=1e-6, abs=1e-6)
    assert gradient[0] == pytest.approx(x - expected_mean, abs=5e-6)
  assert mean(CONTINUOUS, outputs)[0] == pytest.approx(expected_mean, rel=1e-6)


@pytest.mark.parametrize('logit', [-1e4, 1e4])
def test_continuous_bernoulli_becomes_an_exponential(logit):
  """p(x) -> |l| exp(-|l| distance to the near end), of mean distance 1 / |l|."""
  outputs, end = (jnp.array([logit]),), float(logit > 0)
  for x in (0.0, 0.25, 1.0):
    value, (gradient,) = gradients(CONTINUOUS, outputs, jnp.array([x]))
    assert value == pytest.approx(math.log(1e4) - 1e4 * abs(x - end), rel=1e-6)
    assert gradient[0] == pytest.approx(x - end + 1 / logit, rel=1e-3)
  assert abs(mean(CONTINUOUS, outputs)[0] - end) == pytest.approx(1e-4, abs=1e-7)


@pytest.mark.parametrize('logit', [-30.0, -1.0, 1e-3, 4.0])
def test_continuous_bernoulli_samples_are_truncated_exponentials(logit):
  x = np.float64(sample(CONTINUOUS, (jnp.array([logit]),), jax.random.key(3), (4000,)))[:, 0]
  law = scipy.stats.truncexpon(b=abs(logit), scale=1 / abs(logit))
  assert scipy.stats.kstest(1 - x if logit > 0 else x, law.cdf).pvalue > 1e-3


@pytest.mark.parametrize('scale', SCALES)
def test_gaussian_equals_scipy_and_starts_at_its_initial_scale(scale):
  likelihood = LIKELIHOODS[f'gaussian_{scale}']
  loc, x = np.random.default_rng(1).normal(size=(2, 5, 2)).astype(np.float32)
  zeros = random_outputs(likelihood, loc.shape, seed=0)[1:]
  outputs = (loc, *map(np.zeros_like, zeros))
  assert log_prob(likelihood, outputs, x) == pytest.approx(
    scipy.stats.norm.logpdf(x, loc, 0.7).sum(), rel=1e-5
  )


@pytest.mark.parametrize('initial_scale', [1e-5, 1.0, 1e3, 1e6])
def test_a_learned_scale_starts_where_it_should_in_any_unit(initial_scale):
  likelihood = gaussians.gaussian('shared', initial_scale, initial_scale / 100, 'identity')
  zeros = np.zeros(2, np.float32)
  assert log_prob(likelihood, (zeros, zeros[0]), zeros) == pytest.approx(
    2 * scipy.stats.norm.logpdf(0, 0, initial_scale), rel=1e-5
  )


@pytest.mark.parametrize('scale', ['shared', 'per_pixel'])
@pytest.mark.parametrize(('raw', 'expected'), [(-1e4, 0.1), (1e4, 1e4)])
def test_a_learned_scale_is_bounded_below(scale, raw, expected):
  x = np.full(3, 0.05, np.float32)
  raw = np.full(3 if scale == 'per_pixel' else (), raw, np.float32)
  outputs = (np.zeros(3, np.float32), raw)
  assert log_prob(LIKELIHOODS[f'gaussian_{scale}'], outputs, x) == pytest.approx(
    scipy.stats.norm.logpdf(np.float64(x), 0, expected).sum(), rel=1e-3
  )


def test_sigmoid_mean():
  found = mean(LIKELIHOODS['gaussian_sigmoid'], (np.float32([0, 2]),))
  np.testing.assert_allclose(found, scipy.special.expit([0.0, 2.0]), rtol=1e-6)


OPTIMAL = gaussians.gaussian('optimal', 1.0, 1e-4, 'identity')


@jax.jit
def mean_log_likelihood(shared, loc, x):
  """Over the batch [N, D], in nats per example."""
  return jnp.mean(jax.vmap(lambda loc, x: OPTIMAL.make((loc, *shared)).log_prob(x))(loc, x))


refit = jax.jit(OPTIMAL.refit, static_argnums=1)


def scale_of(shared):
  """From the density at its mode: log p(0) = -log s - 1/2 log(2 pi)."""
  zeros = np.zeros(1, np.float32)
  at_mode = log_prob(OPTIMAL, (zeros, *shared), zeros)
  return float(np.exp(-np.float64(at_mode) - 0.5 * np.log(2 * np.pi)))


@pytest.mark.parametrize('spread', [0.03, 0.5, 20.0])
def test_the_optimal_scale_is_the_likeliest_of_the_batch(spread):
  rng = np.random.default_rng(4)
  loc, x = np.float32(rng.normal(size=(2, 6, 50)) * spread / np.sqrt(2))
  start = (jnp.array(0.4),)
  shared = refit(mean_log_likelihood(start, loc, x), 50, start)

  def nll(log_scale):
    return -scipy.stats.norm.logpdf(np.float64(x), np.float64(loc), np.exp(log_scale)).sum()

  best = scipy.optimize.minimize_scalar(
    nll, bounds=(-6, 6), method='bounded', options={'xatol': 1e-9}
  )
  assert scale_of(shared) == pytest.approx(np.exp(best.x), rel=1e-3)
  again = refit(mean_log_likelihood(shared, loc, x), 50, shared)
  assert scale_of(again) == pytest.approx(np.exp(best.x), rel=1e-5)


def test_at_the_optimal_scale_the_gradient_is_that_of_the_log_of_the_square_error():
  """max_s log N(x; m, s^2) = -D/2 log MSE + constant, so their gradients are one."""
  loc, x = np.float32(np.random.default_rng(5).normal(size=(2, 4, 7)))
  shared = (jnp.zeros(()),)
  shared = refit(mean_log_likelihood(shared, loc, x), 7, shared)
  of_shared, of_loc = jax.jit(jax.grad(mean_log_likelihood, (0, 1)))(shared, loc, x)
  of_log = jax.grad(lambda loc: -7 / 2 * jnp.log(jnp.mean((x - loc) ** 2)))
  expected = jax.jit(of_log)(loc)
  np.testing.assert_allclose(of_loc, expected, rtol=1e-4)
  assert of_shared == (0,)


def test_a_far_optimal_scale_is_reached_from_above_without_overshoot():
  """At the start its square error is 1e-6 s^2: float32 loses it beside the normaliser."""
  x = np.float32(1e-3 * np.random.default_rng(6).choice([-1, 1], (8, 1000)))
  loc, shared, scales = np.zeros_like(x), (jnp.zeros(()),), []
  for _ in range(3):
    shared = refit(mean_log_likelihood(shared, loc, x), 1000, shared)
    scales.append(scale_of(shared))
  assert scales == [pytest.approx(s, rel=1e-2) for s in (1e-2, 1e-3, 1e-3)]


def test_the_optimal_scale_is_bounded_below():
  x = np.zeros((2, 3), np.float32)
  shared = (jnp.zeros(()),)
  for _ in range(4):
    shared = refit(mean_log_likelihood(shared, x, x), 3, shared)
    assert np.isfinite(shared[0])
  assert scale_of(shared) == pytest.approx(1e-4, rel=1e-3)
  others = set(LIKELIHOODS) - {'gaussian_optimal'}
  assert not any(LIKELIHOODS[name].refit for name in others)


def exact_log_bin(x, loc, scale):
  """log of the logistic's mass on x's bin, edge bins with their tails, by 60-digit decimals."""
  if x > loc:  # mirror to the left tail, where sigmoid keeps its digits
    return exact_log_bin(255 - x, 255 - loc, scale)
  with decimal.localcontext(prec=60, Emax=decimal.MAX_EMAX, Emin=decimal.MIN_EMIN):
    sigmoid = lambda t: 1 / (1 + (-t).exp())  # noqa: E731
    below, above = (
      (decimal.Decimal(x) + h - decimal.Decimal(loc)) / decimal.Decimal(scale)
      for h in (decimal.Decimal('-0.5'), decimal.Decimal('0.5'))
    )
    mass = sigmoid(above) if x < 255 else decimal.Decimal(1)
    return float((mass - (sigmoid(below) if x > 0 else 0)).ln())


@pytest.mark.parametrize('u', [0.0, 0.1371, -0.5, 0.5, 0.7, 40.0, -1e4, 1e4])
@pytest.mark.parametrize('raw', [-1e4, -4.0, 0.0, 3.0, 1e4])
def test_discretized_logistic_is_exact_and_sums_to_one(u, raw):
  """At raw = 0 the scale is 25.5 levels; at -1e4 it is 0.255; at 1e4 a bin holds 1e-7 of it."""
  likelihood = LOGISTIC
  outputs = (jnp.array([u]), jnp.array([raw]))
  values = log_probs(likelihood, outputs, np.arange(256))
  assert np.exp(values).sum() == pytest.approx(1, abs=3e-6)
  loc = 127.5 + 255 * np.float64(np.float32(u))
  scale = 255 * (1e-3 + np.logaddexp(0, raw + np.log(np.expm1(0.099))))
  for x in (0, 1, 100, 128, 254, 255):
    assert values[x] == pytest.approx(exact_log_bin(x, loc, scale), rel=2e-5, abs=1e-6)


def test_discretized_logistic_equals_scipy_in_the_middle():
  u, x = np.float32([0.1, -0.3]), np.array([140.0, 60.0])
  loc, scale = 127.5 + 255 * np.float64(u), 25.5
  mass = np.diff(scipy.stats.logistic.cdf([x - 0.5, x + 0.5], loc, scale), axis=0)
  outputs = (u, np.zeros(2, np.float32))
  assert log_prob(LOGISTIC, outputs, x) == pytest.approx(np.log(mass).sum(), rel=1e-6)


def test_discretized_logistic_samples_have_its_probabilities():
  """At a scale below one level, where rounding to another level shows."""
  outputs, count = (jnp.array([-0.1067]), jnp.array([-4.0])), 8_000
  x = sample(LOGISTIC, outputs, jax.random.key(9), (count,))[:, 0]
  expected = np.exp(log_probs(LOGISTIC, outputs, np.arange(256)))
  error = np.bincount(np.asarray(x, int), minlength=256) / count - expected
  assert np.all(np.abs(error) < 5 * np.sqrt(expected / count) + 1e-3)


def test_black_and_white_mirror_each_other():
  likelihood = LOGISTIC
  u, raw = jnp.array([0.2]), jnp.array([0.4])
  x = np.arange(256)
  np.testing.assert_allclose(
    log_probs(likelihood, (u, raw), x), log_probs(likelihood, (-u, raw), 255 - x), rtol=1e-5
  )
  assert mean(likelihood, (jnp.zeros(1), raw))[0] == pytest.approx(127.5, rel=1e-6)


def test_a_mixture_of_logistics_is_the_weighted_sum_of_its_components():
  mixture, single = LIKELIHOODS['discretized_logistic_3'], LOGISTIC
  outputs = random_outputs(mixture, (1,), seed=7)
  u, raw, logits = outputs[:3], outputs[3:6], outputs[6:]
  weights = scipy.special.softmax(np.float64(logits), axis=0)
  components = [(u[0], raw[0]), (u[0] + u[1], raw[1]), (u[0] + u[2], raw[2])]
  x = np.arange(256)
  expected = sum(
    weight * np.exp(log_probs(single, component, x))
    for weight, component in zip(weights, components, strict=True)
  )
  np.testing.assert_allclose(np.exp(log_probs(mixture, outputs, x)), expected, rtol=1e-4)


def test_categorical_equals_scipy():
  likelihood = LIKELIHOODS['categorical']
  logits = np.random.default_rng(8).normal(size=(256, 3)).astype(np.float32)
  x = np.array([0, 17, 255])
  expected = scipy.special.log_softmax(np.float64(logits), axis=0)[x, np.arange(3)].sum()
  for dtype in (np.float32, np.uint8):  # a pixel as the model sees it, and as it is stored
    found = log_prob(likelihood, tuple(logits), x.astype(dtype))
    assert found == pytest.approx(expected, rel=1e-6)
  assert likelihood.output_of_mean is None


@pytest.mark.parametrize('name', ['StudentT', 'Poisson'])
def test_a_draw_says_nothing_of_64_bits(name):
  """Samplers of TFP ask for them, and JAX has none; the draw is that of the sampler."""
  arguments = {'StudentT': (5.0, jnp.zeros(3), 1.0), 'Poisson': (jnp.ones(3),)}[name]
  make, key = getattr(tfp.distributions, name), jax.random.key(0)
  with warnings.catch_warnings():
    warnings.filterwarnings('error', 'Explicitly requested dtype', UserWarning)
    found = jax.jit(lambda *of: densities.drawn(make(*of), key, (4,)))(*arguments)
    with pytest.raises(UserWarning):
      jax.eval_shape(lambda *of: make(*of).sample(seed=key), *arguments)
  with warnings.catch_warnings():
    warnings.simplefilter('ignore')
    expected = jax.jit(lambda *of: make(*of).sample((4,), seed=key))(*arguments)
  np.testing.assert_array_equal(found, expected)
