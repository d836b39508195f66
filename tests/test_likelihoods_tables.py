"""Likelihoods of counts, of real values with outliers and of tables, against SciPy."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats

from vae_jax import densities, errors
from vae_jax.densities import counts

pytestmark = pytest.mark.math

COUNTS = np.arange(400.0)
LARGEST = 24 * math.log(2)


@functools.partial(jax.jit, static_argnums=0)
def log_probs(likelihood, outputs, shared, x):
  """log p of one value at each x, [n]; outputs [heads], the same for each x."""

  def one(x):
    heads = [head[None] for head in outputs]
    return likelihood.make((*heads, *shared)).log_prob(x[None])

  return jax.vmap(one)(x)


def dispersion_of(raw, initial, lowest):
  """The learned dispersion, by NumPy: at raw = 0 it is the initial one."""
  start = initial - lowest
  return lowest + np.logaddexp(0, raw + start + np.log(-np.expm1(-start)))


@pytest.mark.parametrize('output', [-2.0, 0.3, 3.0])
def test_a_poisson_is_scipys(output):
  likelihood = densities.poisson()
  found = log_probs(likelihood, np.array([output], np.float32), (), COUNTS.astype(np.float32))
  expected = scipy.stats.poisson(math.exp(output)).logpmf(COUNTS)
  np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
  assert np.exp(np.float64(found)).sum() == pytest.approx(1, abs=1e-5)
  assert likelihood.supports == ('count',)
  assert likelihood.is_density


@pytest.mark.parametrize(
  ('kind', 'raw', 'initial'),
  [('fixed', None, 0.4), ('shared', 0.0, 0.4), ('shared', 2.0, 0.4), ('per_value', -1.0, 2.0)],
)
def test_a_negative_binomial_is_scipys(kind, raw, initial):
  """Of mean m and variance m + a m^2, which SciPy has as n = 1 / a and p = 1 / (1 + a m)."""
  likelihood, output = densities.negative_binomial(kind, initial, 0.01), 1.3
  a = initial if raw is None else dispersion_of(raw, initial, 0.01)
  heads = [output, raw] if kind == 'per_value' else [output]
  shared = (np.float32(raw),) if kind == 'shared' else ()
  x = COUNTS.astype(np.float32)
  found = log_probs(likelihood, np.array(heads, np.float32), shared, x)
  mean = math.exp(output)
  law = scipy.stats.nbinom(1 / a, 1 / (1 + a * mean))
  np.testing.assert_allclose(found, law.logpmf(COUNTS), rtol=2e-5, atol=2e-5)
  mass = np.exp(np.float64(found))
  assert mass @ COUNTS == pytest.approx(mean, rel=1e-4)
  assert mass @ COUNTS**2 - mean**2 == pytest.approx(mean + a * mean**2, rel=1e-3)


def test_a_rate_is_exp_as_far_as_there_are_counts_and_goes_on_along_its_tangent():
  outputs = np.array([-20.0, 0.0, 5.0, LARGEST - 0.1, LARGEST + 1.0, 1e4], np.float32)
  found = np.asarray(jax.vmap(counts.log_rate)(outputs), np.float64)
  np.testing.assert_allclose(found[:4], outputs[:4], rtol=1e-6)
  beyond = outputs[4:].astype(np.float64) - LARGEST
  np.testing.assert_allclose(found[4:], np.log(2.0**24 * (1 + beyond)), rtol=1e-5)
  mean = np.array([1e-9, 0.5, 7.0])
  again = np.exp(counts.output_of_rate(mean))
  np.testing.assert_allclose(again, [1e-3, 0.5, 7.0], rtol=1e-5)


@pytest.mark.parametrize('learned', [False, True])
def test_a_student_t_is_scipys(learned):
  likelihood = densities.student_t(df=3.0, learn_df=learned, scale='shared', initial_scale=0.5)
  x = np.linspace(-30, 30, 61)
  raw = np.float32(0.7)
  shared = (raw, np.float32(-0.4)) if learned else (raw,)
  found = log_probs(likelihood, np.array([1.5], np.float32), shared, x.astype(np.float32))
  df = dispersion_of(-0.4, 3.0, 1.0) if learned else 3.0
  law = scipy.stats.t(df, 1.5, dispersion_of(0.7, 0.5, 0.001))
  np.testing.assert_allclose(found, law.logpdf(x), rtol=2e-5)


def test_a_wide_student_t_is_a_gaussian():
  x = np.linspace(-4, 4, 9, dtype=np.float32)
  student = densities.student_t(df=1e6, scale='per_pixel', initial_scale=0.8)
  found = log_probs(student, np.array([0.2, 0.0], np.float32), (), x)
  np.testing.assert_allclose(found, scipy.stats.norm(0.2, 0.8).logpdf(x), atol=1e-3)


LIKELIHOODS = {
  'poisson': densities.poisson(),
  **{f'negative_binomial_{d}': densities.negative_binomial(d) for d in ('shared', 'per_value')},
  **{f'student_t_{s}': densities.student_t(3.0, s == 'shared', s) for s in ('shared', 'per_pixel')},
}


@pytest.mark.parametrize('name', LIKELIHOODS)
def test_values_and_gradients_are_finite_at_extreme_outputs(name):
  likelihood = LIKELIHOODS[name]
  x = jnp.array([0.0, 3.0, 2.0**24])

  def log_prob(outputs):
    heads, shared = outputs[: likelihood.num_heads], outputs[likelihood.num_heads :]
    return likelihood.make((*(jnp.full(3, h) for h in heads), *shared)).log_prob(x)

  number = likelihood.num_heads + likelihood.num_shared
  extremes = np.array(np.meshgrid(*[[-1e4, -90.0, 0.0, 90.0, 1e4]] * number)).reshape(number, -1).T
  values, grads = jax.jit(jax.vmap(jax.value_and_grad(log_prob)))(extremes.astype(np.float32))
  assert np.isfinite(values).all()
  assert np.isfinite(grads).all()


def test_samples_have_the_mean_and_the_variance():
  """Of 10,000 draws, within five standard errors."""
  size, draws = np.array([0.5, 1.0, 3.0]), 10_000
  heads = np.log(np.array([2.0, 40.0, 0.3])).astype(np.float32)
  mean = size * np.array([2.0, 40.0, 0.3])

  @jax.jit
  def drawn(size):
    poisson = densities.poisson().sized(size).make(heads[None])
    negative = densities.negative_binomial('fixed', 0.5).sized(size).make(heads[None])
    student = densities.student_t(8.0, scale='fixed', initial_scale=0.5).make(heads[None])
    keys = jax.random.split(jax.random.key(0), 3)
    each = zip((poisson, negative, student), keys, strict=True)
    return [(d.sample(seed=key, sample_shape=(draws,)), d.mean()) for d, key in each]

  found = drawn(size.astype(np.float32))
  variances = mean, mean + 0.5 * mean**2, np.full(3, 0.25 * 8 / 6)
  for (samples, told), variance, expected in zip(
    found, variances, (mean, mean, heads), strict=True
  ):
    samples = np.asarray(samples, np.float64)
    np.testing.assert_allclose(told, expected, rtol=1e-5)
    errors_of_mean = np.sqrt(variance / draws)
    assert (np.abs(samples.mean(axis=0) - expected) < 5 * errors_of_mean).all()
    squares = (samples - expected) ** 2
    assert (np.abs(squares.mean(axis=0) - variance) < 5 * squares.std(axis=0) / draws**0.5).all()
  assert all((np.rint(samples) == samples).all() for samples, _ in found[:2])


def test_a_size_multiplies_the_rate():
  x = COUNTS[:50].astype(np.float32)
  sized = densities.poisson().sized(2.5)
  found = log_probs(sized, np.array([0.4], np.float32), (), x)
  np.testing.assert_allclose(found, scipy.stats.poisson(2.5 * math.exp(0.4)).logpmf(x), rtol=1e-5)


COLUMNS = ('income', 'smokes', 'region', 'visits', 'debt', 'age')
DISCRETE = (1, 2, 3)
KINDS = ('smokes=bernoulli', 'region=categorical:3', 'visits=poisson', 'debt=student_t')


@pytest.fixture(scope='module')
def table():
  return densities.by_column((6,), [densities.Column(name) for name in COLUMNS], KINDS)


@pytest.fixture(scope='module')
def row(table):
  """Outputs [heads, D], a row, and the law of each column by SciPy."""
  outputs = np.random.default_rng(0).normal(size=(table.num_heads, 6)).astype(np.float32)
  scale = [dispersion_of(outputs[1, i], 1.0, 0.001) for i in (0, 4, 5)]
  laws = [
    scipy.stats.norm(outputs[0, 0], scale[0]),
    scipy.stats.bernoulli(scipy.special.expit(outputs[0, 1])),
    scipy.stats.rv_discrete(values=(range(3), scipy.special.softmax(outputs[:, 2]))),
    scipy.stats.poisson(np.exp(outputs[0, 3])),
    scipy.stats.t(4.0, outputs[0, 4], scale[1]),
    scipy.stats.norm(outputs[0, 5], scale[2]),
  ]
  return outputs, np.array([0.3, 1.0, 2.0, 4.0, -1.5, 0.9], np.float32), laws


def logs_of(laws, x):
  pairs = enumerate(zip(laws, x, strict=True))
  return np.array([law.logpmf(v) if i in DISCRETE else law.logpdf(v) for i, (law, v) in pairs])


def test_a_table_is_the_sum_of_its_columns(table, row):
  outputs, x, laws = row
  assert table.num_heads == 3  # of the categorical
  assert table.standardises == (True, False, False, False, True, True)
  log_prob = jax.jit(lambda outputs, x: table.make(outputs).log_prob(x))
  np.testing.assert_allclose(log_prob(outputs, x), logs_of(laws, x).sum(), rtol=1e-5)
  unseen = x.copy()
  unseen[[1, 2]] = np.nan
  observed = jax.jit(
    lambda outputs, x: densities.of_observed(table.make(outputs), None).log_prob(x)
  )
  np.testing.assert_allclose(
    observed(outputs, unseen), logs_of(laws, x)[[0, 3, 4, 5]].sum(), rtol=1e-5
  )


def test_means_and_samples_of_a_table_are_in_the_order_of_its_columns(table, row):
  outputs, _, laws = row
  draws = 20_000

  @jax.jit
  def computed(outputs):
    law = table.make(outputs)
    return law.mean(), law.sample(seed=jax.random.key(1), sample_shape=(draws,))

  mean, samples = computed(outputs)
  expected = [law.mean() for law in laws]
  expected[2] = np.argmax(outputs[:, 2])  # codes have no mean
  np.testing.assert_allclose(mean, expected, rtol=1e-5)
  samples = np.asarray(samples, np.float64)
  for column, law in zip(samples.T, laws, strict=True):
    assert abs(column.mean() - law.mean()) < 5 * law.std() / draws**0.5


def test_columns_of_two_kinds_have_noise_of_their_own():
  draws, pair = 20_000, densities.by_column((2,), columns_as=('1=bernoulli',))
  law = pair.make(jnp.zeros((2, 2)))
  samples = jax.jit(lambda key: law.sample(seed=key, sample_shape=(draws,)))(jax.random.key(1))
  assert abs(np.corrcoef(samples.T)[0, 1]) < 5 / draws**0.5


def test_a_size_multiplies_the_rates_of_a_table_alone(table, row):
  outputs, x, laws = row
  laws = [scipy.stats.poisson(2.5 * law.mean()) if i == 3 else law for i, law in enumerate(laws)]
  found = jax.jit(lambda size: table.sized(size).make(outputs).log_prob(x))(2.5)
  np.testing.assert_allclose(found, logs_of(laws, x).sum(), rtol=1e-5)
  assert densities.by_column((2,)).sized is None  # of real columns


def test_the_encoder_reads_codes_apart_and_counts_by_their_logarithm(table):
  x = np.array([0.3, 1.0, 2.0, 4.0, -1.5, 0.9], np.float32)
  encoder_input = jax.jit(table.encoder_input)
  seen = np.sort(encoder_input(x))
  np.testing.assert_allclose(seen, np.sort([0.3, -1.5, 0.9, 1.0, 0, 0, 1, np.log(5)]), rtol=1e-6)
  x[2] = np.nan
  assert np.isnan(encoder_input(x)).sum() == 3


def test_the_first_outputs_of_a_table_have_its_means(table):
  mean = np.array([2.0, 0.3, 1.0, 5.0, -3.0, 0.9], np.float32)
  first = jax.jit(table.output_of_mean)(mean)
  outputs = np.stack([first, *np.zeros((2, 6), np.float32)])
  found = jax.jit(lambda outputs: table.make(outputs).mean())(outputs)
  np.testing.assert_allclose(np.delete(found, 2), np.delete(mean, 2), rtol=1e-4)


@pytest.mark.parametrize(
  ('texts', 'line'),
  [
    (('smoke=bernoulli',), r"there is no column 'smoke', only 'income', .*; did you mean 'smokes'"),
    (
      ('tea=bernoulli',),
      r"no column 'tea', only .*; set likelihood.columns_as=\(\) for real numbers",
    ),
    (('smokes',), r"'smokes' is not 'NAME=KIND'"),
    (('smokes=bernouli',), r"valid kinds are .* did you mean 'bernoulli'"),
    (('region=categorical',), r"how many categories are there\? say 'categorical:K'"),
    (('region=categorical:1',), r'the number of categories is from 2 to 256'),
  ],
)
def test_a_wrong_column_is_named(texts, line):
  with pytest.raises(errors.InputError, match=line):
    densities.by_column((6,), [densities.Column(name) for name in COLUMNS], texts)


def test_categories_that_the_data_name_are_said_to_be_some():
  columns = [densities.Column('sex', ('f', 'm')), densities.Column('age')]
  with pytest.raises(errors.InputError, match=r"column 'sex' has 2 categories; add 'sex=categor"):
    densities.by_column((2,), columns)
  assert densities.by_column((2,), columns, ('sex=categorical',)).num_heads == 2


@pytest.mark.parametrize(
  ('column', 'value', 'what'),
  [(1, 2.0, 'bernoulli is for 0 and 1'), (2, 3.0, 'codes from 0 to 2'), (3, 0.5, 'whole numbers')],
)
def test_values_that_are_not_of_the_kind_are_named(table, column, value, what):
  values = np.array([[0.3, 1.0, 2.0, 4.0, -1.5, 0.9], [np.nan] * 6])
  assert table.check(values) == ''
  values[0, column] = value
  assert f'column {COLUMNS[column]!r}' in table.check(values)
  assert what in table.check(values)
