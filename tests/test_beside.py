"""What is known of an example beside x, and what of x is missing: by NumPy and closed forms."""

import types

import distrax
import jax
import jax.numpy as jnp
import latent_kinds as kinds
import linear_gaussian
import numpy as np
import pytest
import scipy.stats

from vae_jax import data, densities, errors, evaluation, networks
from vae_jax.data import beside
from vae_jax.front.given import beside_of, columns_of

pytestmark = pytest.mark.math

KEY = jax.random.key(3)
NAN = np.nan


def test_text_whole_numbers_and_booleans_are_classes_and_others_numbers():
  columns = {
    'sex': np.array(['m', 'f', 'f', 'm']),
    'label': np.array([7, 3, 3, 9], np.int32),
    'smokes': np.array([True, False, True, True]),
    'age': np.array([20.0, 30.0, 40.0, 50.0]),
  }
  asked = ('sex', 'label', 'smokes', 'age', 'label:number')
  found = beside.conditions_of(asked, columns, 'the file')
  assert [each.classes for each in found] == [('f', 'm'), (3, 7, 9), (False, True), (), ()]
  encoded = beside.condition(found, columns, 'the file')
  assert encoded.dtype == np.float32
  standard = lambda values: (values - np.mean(values)) / np.std(values)  # noqa: E731
  expected = np.column_stack(
    [
      [[0, 1], [1, 0], [1, 0], [0, 1]],
      [[0, 1, 0], [1, 0, 0], [1, 0, 0], [0, 0, 1]],
      [[0, 1], [1, 0], [0, 1], [0, 1]],
      standard(columns['age']),
      standard(columns['label'].astype(float)),
    ]
  )
  np.testing.assert_allclose(encoded, expected, rtol=1e-6)
  first = 0
  for each in found:
    part = encoded[:, first : first + each.size]
    first += each.size
    decoded, wanted = each.decoded(part), columns[each.name]
    assert np.array_equal(decoded, wanted) if each.classes else np.allclose(decoded, wanted)


@pytest.mark.parametrize(
  ('asked', 'line'),
  [
    ('label:numbers', "data.conditions='label:numbers': 'numbers' is neither 'classes' nor"),
    ('sex:number', "the file: column 'sex' has more than finite numbers"),
    ('many', "data.conditions='many': the column has 1,001 different values; set 'many:number'"),
  ],
)
def test_a_column_that_is_no_condition_is_refused(asked, line):
  columns = {
    'label': np.arange(1001) % 3,
    'sex': np.array(['f', 'm'] * 500 + ['f']),
    'many': np.arange(1001),
  }
  with pytest.raises(errors.InputError, match=line):
    beside.conditions_of((asked,), columns, 'the file')


def test_a_class_that_the_training_split_lacks_is_refused():
  condition = beside.Condition('sex', ('f', 'm'))
  with pytest.raises(errors.InputError, match=r"the test split has 'x'.* it has 'f', 'm'"):
    condition.encoded(np.array(['f', 'x']), 'the test split')


def test_a_size_is_a_column_or_the_sum_of_a_row():
  x = np.array([[1.0, NAN, 2.0], [4.0, 0.0, 1.0]])
  np.testing.assert_array_equal(beside.sizes('row_sum', x, {}, 'x'), [3, 5])
  np.testing.assert_array_equal(beside.sizes('depth', x, {'depth': np.array([7, 9])}, 'x'), [7, 9])
  with pytest.raises(errors.InputError, match=r"data.size_factor='row_sum': example 1 of x has"):
    beside.sizes('row_sum', np.array([[1.0, 0.0], [0.0, 0.0]]), {}, 'x')


def test_sums_that_are_given_are_not_computed():
  """As where x is a part of what was counted."""
  columns = {'row_sum': np.array([30, 50])}
  np.testing.assert_array_equal(beside.sizes('row_sum', np.ones((2, 3)), columns, 'x'), [30, 50])


def test_a_number_that_never_varies_is_0():
  (found,) = beside.conditions_of(('age',), {'age': np.full(3, 7.5)}, 'the file')
  np.testing.assert_array_equal(found.encoded(np.array([7.5, 8.5]), 'x'), [[0], [1]])


SEX = beside.Condition('sex', ('f', 'm', 'x'))
AGE = beside.Condition('age', (), 40.0, 10.0)
TOWN = beside.Condition('town', ('Bern', 'Oslo'))


def test_a_typical_example_is_of_the_commonest_classes_and_the_mean():
  columns = {
    'sex': np.array(['m', 'x', 'm', 'f', 'm']),
    'age': np.array([20.0, 30.0, 90.0, 30.0, 30.0]),
    'town': np.array(['Bern', 'Oslo', 'Bern', 'Oslo', 'Oslo']),
  }
  conditions = (SEX, AGE, TOWN)
  c = beside.condition(conditions, columns, 'x')
  found = beside.typical(conditions, data.Beside(c, np.float32([0.5, 1, 2, 3, 4])))
  np.testing.assert_array_equal(found.condition, [0, 1, 0, 0, 0, 1])
  assert found.size == 1
  assert beside.typical((), data.NOTHING) == data.NOTHING


def test_examples_are_told_apart_by_the_first_condition_alone():
  typical = data.Beside(np.float32([0, 1, 0, 0, 0, 1]), np.float32(1))
  found, names = beside.told_apart((SEX, AGE, TOWN), typical)
  np.testing.assert_array_equal(found.condition, [[*row, 0, 0, 1] for row in np.eye(3)])
  np.testing.assert_array_equal(found.size, [1, 1, 1])
  assert names == ['sex f', 'sex m', 'sex x']
  found, names = beside.told_apart((AGE, TOWN), data.Beside(np.float32([0, 0, 1])))
  np.testing.assert_array_equal(found.condition, [[sigma, 0, 1] for sigma in (-2, -1, 0, 1, 2)])
  assert found.size is None and names == ['age 20', 'age 30', 'age 40', 'age 50', 'age 60']
  many = beside.Condition('digit', tuple(range(12)))
  found, names = beside.told_apart((many,), data.Beside(np.float32(np.eye(12)[3])))
  np.testing.assert_array_equal(found.condition, np.eye(12)[:10])
  assert names[-1] == 'digit 9'
  assert beside.told_apart((), data.NOTHING) == (None, [])


def test_what_is_given_by_name_is_what_the_model_sees_and_back():
  """Sizes are over their mean in training; of examples without any they are that mean."""
  facts = types.SimpleNamespace(conditions=(SEX, AGE, TOWN), mean_size=4.0)
  own = {'sex': ['m', 'x'], 'age': [50.0, 20.0], 'town': 'Oslo'}
  found = beside_of(own | {'depth': [2.0, 8.0]}, facts, 'depth', 2)
  np.testing.assert_array_equal(found.condition, [[0, 1, 0, 1, 0, 1], [0, 0, 1, -2, 0, 1]])
  np.testing.assert_array_equal(found.size, [0.5, 2])
  columns = columns_of(found, facts, 'depth')
  expected = own | {'town': ['Oslo', 'Oslo'], 'depth': [2.0, 8.0]}
  assert {name: column.tolist() for name, column in columns.items()} == expected
  np.testing.assert_array_equal(beside_of(own, facts, 'depth', 2).size, [1, 1])
  x = np.array([[1.0, NAN, 3.0], [6.0, 6.0, 4.0]])
  np.testing.assert_array_equal(beside_of(own, facts, 'row_sum', 2, x).size, [1, 4])
  with pytest.raises(errors.InputError, match=r"the lane needs given=\{'depth': sizes \[2\]\}"):
    beside_of(own, facts, 'depth', 2, x)
  with pytest.raises(errors.InputError, match=r"given='row_sum': the run knows .* 'depth'"):
    beside_of(own | {'row_sum': 3.0}, facts, 'depth', 2)


def model_of(latent_size=2, condition_size=3, conv=False, has_missing=False, **others):
  event = (4, 4, 1) if conv else (5,)
  return networks.make_model(
    kinds.encoder(conv, hidden=(3,), activation='tanh'),
    kinds.POSTERIORS['diagonal'],
    kinds.PRIORS['standard_normal'],
    kinds.decoder(event, conv=conv, hidden=()),
    others.pop('likelihood', densities.gaussian()),
    event,
    condition_size=condition_size,
    has_missing=has_missing,
    **others,
  )


def test_encoder_and_decoder_read_the_condition():
  """The encoder's vector is (x, c), the decoder's (c, z), with c never inert."""
  model, mask = model_of(), jnp.array([1.0, 0.0])
  x, z, c = (np.random.default_rng(0).normal(size=n).astype(np.float32) for n in (5, 2, 3))

  @jax.jit
  def computed():
    params = model.init(KEY, mask)
    known = model.knowing(params, data.Beside(condition=c))
    return params, model.encode(known, x, mask).loc, model.outputs(known, z, mask)

  params, loc, outputs = computed()
  hidden = params['encoder']['params']['mlp']['hidden_0']
  h = np.tanh(kinds.dense(hidden, np.concatenate([x, c])))
  expected = mask * kinds.dense(params['posterior']['params']['loc'], h)
  np.testing.assert_allclose(loc, expected, rtol=1e-5, atol=1e-6)
  output = params['decoder']['params']['output']
  expected = kinds.dense(output, np.concatenate([c, mask * z]))
  np.testing.assert_allclose(outputs[0], expected, rtol=1e-5, atol=1e-6)
  assert np.all(output['kernel'][-1] == 0)  # of the inert latent
  assert np.all(output['kernel'][:-1] != 0)


def test_a_padded_lane_with_a_condition_draws_the_weights_of_the_unpadded_one():
  model = model_of()
  params = [jax.jit(model.init)(KEY, mask) for mask in (jnp.ones(2), jnp.array([1.0, 1.0, 0.0]))]
  kernels = [each['decoder']['params']['output']['kernel'] for each in params]
  np.testing.assert_array_equal(kernels[0], kernels[1][:-1])
  deviation = 1 / np.sqrt(3 + 2)  # LeCun's, of the inputs that are not inert
  wide = jax.jit(model_of(condition_size=300).init)(KEY, jnp.ones(2))
  found = wide['decoder']['params']['output']['kernel'].std()
  assert abs(found / (1 / np.sqrt(302)) - 1) < 5 / np.sqrt(2 * 302 * 5)
  assert kernels[0].std() < 3 * deviation


def test_an_encoder_of_images_reads_constant_channels():
  model, mask = model_of(conv=True), jnp.ones(2)
  c = np.array([0.3, -1.0, 2.0], np.float32)
  x = np.random.default_rng(1).normal(size=(4, 4, 1)).astype(np.float32)
  network = kinds.encoder(True, hidden=(3,), activation='tanh')

  @jax.jit
  def both():
    params = model.init(KEY, mask)
    known = model.knowing(params, data.Beside(condition=c))
    by_hand = jnp.concatenate([x, jnp.broadcast_to(c, (4, 4, 3))], axis=-1)
    features = network.apply(params['encoder'], by_hand)
    q = kinds.POSTERIORS['diagonal'].make(params['posterior'], features, mask)
    return model.encode(known, x, mask).loc, q.loc

  np.testing.assert_allclose(*both(), rtol=1e-6)


@pytest.mark.parametrize('standardised', [False, True])
def test_what_is_missing_leaves_likelihood_encoder_and_gradient(standardised):
  """log p of what is observed by SciPy; the encoder reads 0, which is the mean if standardised."""
  standard = (np.arange(5.0, dtype=np.float32), np.arange(1, 6, dtype=np.float32) / 2)
  given = standard if standardised else (np.zeros(5), np.ones(5))
  model = model_of(condition_size=0, has_missing=True, standard=standard if standardised else None)
  mask, z = jnp.ones(2), jnp.array([0.5, -1.0])
  x = np.array([0.3, NAN, -1.2, NAN, 4.0], np.float32)

  @jax.jit
  def computed(x):
    params = model.init(KEY, mask)

    def log_prob(params):
      q = model.encode(params, x, mask)
      return model.decode(params, z + q.loc, mask).log_prob(x), q.loc

    (value, loc), grads = jax.value_and_grad(log_prob, has_aux=True)(params)
    filled = jnp.where(jnp.isnan(x), given[0], x)
    return value, loc, model.encode(params, filled, mask).loc, params, grads

  value, loc, of_filled, params, grads = computed(x)
  np.testing.assert_array_equal(loc, of_filled)
  assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(grads))
  mean = kinds.dense(params['decoder']['params']['output'], z + loc)
  seen = ~np.isnan(x)
  law = scipy.stats.norm(given[0] + given[1] * mean, given[1])
  np.testing.assert_allclose(value, law.logpdf(x)[seen].sum(), rtol=1e-5)
  gradient = grads['decoder']['params']['output']['bias']
  np.testing.assert_array_equal(gradient != 0, seen)


def test_the_evidence_of_what_is_observed_is_that_of_the_marginal():
  """x ~ N(b, W W' + s^2 I): of the observed values the same law without the other rows."""
  known = linear_gaussian.make(5, 2)
  model = networks.make_model(
    kinds.encoder(hidden=(3,)),
    kinds.POSTERIORS['diagonal'],
    kinds.PRIORS['standard_normal'],
    kinds.decoder((5,), hidden=()),
    densities.gaussian(initial_scale=known.scale),
    (5,),
    has_missing=True,
  )
  rng = np.random.default_rng(2)
  z = rng.normal(size=(6, 2))
  x = z @ known.weights.T + known.bias + known.scale * rng.normal(size=(6, 5))
  missing = rng.random((6, 5)) < 0.4
  missing[:, 0] = False
  x = np.where(missing, NAN, x).astype(np.float32)
  lane = types.SimpleNamespace(mask=jnp.ones(2), beta=1.0, seed=np.uint32(0))
  num_samples = 20_000

  @jax.jit
  def estimated():
    params = model.init(KEY, lane.mask)
    output = {'kernel': jnp.asarray(known.weights.T), 'bias': jnp.asarray(known.bias)}
    params = params | {'decoder': {'params': {'output': output}}}
    # q is the prior, so that the weights are those of the likelihood alone.
    params = params | {'posterior': jax.tree.map(jnp.zeros_like, params['posterior'])}
    batches = evaluation.cut(x, 6)
    found = evaluation.evidence(model, params, lane, batches, 1.0, num_samples, num_samples)
    return found.curve[0, :, -1], found.effective[0]

  estimates, effective = estimated()
  covariance = known.weights @ known.weights.T + known.scale**2 * np.eye(5)
  for value, size, row, absent in zip(estimates, effective, x, missing, strict=True):
    seen = np.flatnonzero(~absent)
    law = scipy.stats.multivariate_normal(known.bias[seen], covariance[np.ix_(seen, seen)])
    # The relative error of a mean of K weights is sqrt(1 / ESS - 1 / K).
    error = np.sqrt(1 / size - 1 / num_samples)
    assert error < 0.1
    assert abs(value - law.logpdf(row[seen])) < 5 * error


def test_a_likelihood_that_is_no_product_has_nothing_to_leave_out():
  whole = distrax.MultivariateNormalDiag(jnp.zeros(3), jnp.ones(3))
  assert not densities.is_product(whole)
  with pytest.raises(errors.InputError, match=r"set data.missing='refused'"):
    densities.of_observed(whole, None)


@pytest.mark.parametrize(
  ('sizes', 'missing'), [(None, False), (None, True), ([0.5, 2.0, 3.0], False)]
)
def test_a_constant_decoder_knows_sizes_and_what_is_missing(sizes, missing):
  """Against a Poisson of SciPy, whose rates are the sizes times exp(output)."""
  x = np.array([[1.0, 4.0], [0.0, 2.0], [5.0, 3.0]], np.float32)
  if missing:
    x[1, 0] = NAN
  first = np.log([2.0, 3.0]).astype(np.float32)
  sizes = None if sizes is None else np.array(sizes, np.float32)
  distortion = jax.jit(evaluation.constant_distortion, static_argnums=(0, 4))
  found = distortion(densities.poisson(), first, x, sizes, missing)
  rates = np.array([2.0, 3.0]) * (np.ones(3) if sizes is None else sizes)[:, None]
  logs = scipy.stats.poisson(rates).logpmf(np.nan_to_num(x))
  np.testing.assert_allclose(found, -np.where(np.isnan(x), 0, logs).sum(axis=1).mean(), rtol=1e-5)
