"""Objectives of a batch against closed forms, brute force and laws."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats

from vae_jax import bounds, densities, lanes, objectives

pytestmark = pytest.mark.math

N, L, Z = 5, 3, 4
MASK = np.array([1.0, 1.0, 1.0, 0.0])


def lane_of(**fields):
  point = lanes.point(3.0, 3, 0, 1e-3) | fields
  return jax.tree.map(lambda leaf: leaf[0], lanes.stack([point], Z))


@pytest.fixture(scope='module')
def batch():
  """Posteriors of N examples, and the terms of L samples of each; all sizes differ."""
  rng = np.random.default_rng(0)
  loc = rng.normal(size=(N, Z)).astype(np.float32)
  scale = np.exp(0.5 * rng.normal(size=(N, Z))).astype(np.float32)
  mask = np.broadcast_to(MASK, (N, Z)).astype(np.float32)
  # As the heads leave them: an inert latent has the posterior N(0, 1).
  posteriors = densities.DiagonalGaussian(
    jnp.asarray(mask * loc), jnp.asarray(scale**mask), jnp.asarray(mask)
  )
  noise = jnp.asarray(rng.normal(size=(N, L, Z)), jnp.float32)
  decode = lambda z: densities.bernoulli().make((z,))  # noqa: E731
  prior = densities.StandardNormal(jnp.asarray(MASK, jnp.float32))
  one = lambda q, n: bounds.elbo_terms(q, prior, decode, jnp.ones(Z), n)  # noqa: E731
  return jax.device_get((jax.jit(jax.vmap(one))(posteriors, noise), posteriors))


stratified_weights = jax.jit(objectives.stratified_weights, static_argnums=1)


def terms_of(objective, terms, posteriors, weights=None, mask=MASK):
  """What the objective makes of a batch, in one program."""
  weights = np.ones(len(posteriors.loc)) if weights is None else weights
  return jax.jit(objective.terms)(terms, posteriors, np.float32(weights), np.float32(mask))


def log_q_pairs(terms, posteriors):
  """log q(z_il | x_j) by latent, with SciPy: [i, l, j, Z]."""
  z = np.asarray(terms.z, np.float64)[:, :, None]
  q = scipy.stats.norm(np.asarray(posteriors.loc), np.asarray(posteriors.scale))
  return MASK * q.logpdf(z)


def brute_force_weights(size, num_examples):
  """Row by row: itself, one that stands for the rest of the data, the others."""
  others = size - 1
  w = np.zeros((size, size))
  for i in range(size):
    for j in range(size):
      w[i, j] = 1 / others
    w[i, (i + 1) % size] = (num_examples - others) / (num_examples * others)
    w[i, i] = 1 / num_examples
  return w


@pytest.mark.parametrize(('size', 'num_examples'), [(5, 5), (5, 100), (2, 7)])
def test_stratified_weights_stand_on_the_diagonal_and_sum_to_one(size, num_examples):
  found = np.exp(stratified_weights(np.ones(size, 'f'), num_examples))
  np.testing.assert_allclose(found, brute_force_weights(size, num_examples), rtol=1e-5)
  np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)


def test_what_fills_a_batch_up_has_no_weight():
  weights = np.float32([1, 1, 1, 0, 0])
  found = np.exp(stratified_weights(weights, 20))
  np.testing.assert_allclose(found[:3, :3], brute_force_weights(3, 20), rtol=1e-5)
  assert not np.any(found[:, 3:])


@pytest.mark.parametrize('size', [2, 3, 5])
def test_the_stratified_estimate_of_the_aggregate_posterior_is_unbiased(size):
  """Averaged over every batch of 2, 3 or all of 5 examples in every order, it is q(z) exactly."""
  rng = np.random.default_rng(1)
  density = rng.uniform(size=(5, 5))  # q(z_i | x_j)
  estimates = {i: [] for i in range(5)}
  w = np.exp(np.asarray(stratified_weights(np.ones(size, 'f'), 5), np.float64))
  for order in itertools.permutations(range(5), size):
    for row, i in enumerate(order):
      estimates[i].append(w[row] @ density[i, list(order)])
  for i, values in estimates.items():
    assert np.mean(values) == pytest.approx(density[i].mean(), rel=1e-5)


@pytest.mark.parametrize(
  ('weights', 'num_examples'),
  [([1], 7), ([1, 0, 0], 7), ([1] * 6, 5), ([1] * 7, 5), ([1, 1, 1, 0], 2)],
)
def test_one_example_and_more_than_there_are_know_no_aggregate_posterior(weights, num_examples):
  found = np.asarray(stratified_weights(np.float32(weights), num_examples))
  assert np.all(np.isnan(found[: sum(weights), : sum(weights)]))


@pytest.mark.parametrize(
  'make', [lambda: objectives.beta_tcvae(40), lambda: objectives.dip_vae_i(1.0)]
)
def test_one_example_compares_with_none(batch, make):
  terms, posteriors = jax.tree.map(lambda leaf: leaf[:1], batch)
  found = terms_of(make(), terms, posteriors)
  assert all(np.isnan(value) for value in found.values())


def test_the_terms_of_the_beta_tcvae_against_numpy(batch):
  terms, posteriors = batch
  num_examples = 40
  pairs = log_q_pairs(terms, posteriors)
  log_w = np.log(brute_force_weights(N, num_examples))[:, None, :]
  joint = scipy.special.logsumexp(log_w + pairs.sum(-1), axis=2)
  marginals = MASK * scipy.special.logsumexp(log_w[..., None] + pairs, axis=2)
  own = np.stack([pairs[i, :, i] for i in range(N)])
  log_p = MASK * scipy.stats.norm.logpdf(terms.z)
  expected = {
    'stratified_mutual_information': (own.sum(-1) - joint).mean(),
    'stratified_total_correlation': (joint - marginals.sum(-1)).mean(),
    'stratified_dimension_wise_kl': (marginals - log_p).sum(-1).mean(),
  }
  objective = objectives.beta_tcvae(num_examples)
  found = terms_of(objective, terms, posteriors)
  assert set(found) == set(expected)
  for name, value in expected.items():
    assert found[name] == pytest.approx(float(value), rel=1e-4, abs=1e-5), name
  rate = jax.jit(lambda terms: jax.vmap(bounds.sampled_kl)(terms).sum(-1).mean())(terms)
  assert sum(found.values()) == pytest.approx(float(rate), rel=1e-4)
  means = {'distortion': jnp.float32(7.0), **found}
  value = objective.combine(means, lane_of(warmup='linear', warmup_steps=10), 5)
  parts = 1.5 * expected['stratified_total_correlation']
  parts += expected['stratified_mutual_information'] + expected['stratified_dimension_wise_kl']
  assert value == pytest.approx(float(-7 - parts), rel=1e-4)


@pytest.mark.parametrize('independent', [True, False])
def test_total_correlation_tells_a_grid_of_codes_from_a_line(independent):
  """On a grid of two latents q(z) factorises; on the diagonal one latent tells the other."""
  side = np.linspace(-2, 2, 12)
  grid = np.stack(np.meshgrid(side, side), -1).reshape(-1, 2)
  loc = grid if independent else np.repeat(np.linspace(-2, 2, 144)[:, None], 2, axis=1)
  loc = np.random.default_rng(0).permutation(loc)  # the rows of W have an order
  size = len(loc)
  posteriors = densities.DiagonalGaussian(
    loc.astype('f'), np.full((size, 2), 0.3, 'f'), np.ones((size, 2), 'f')
  )
  noise, ones = np.random.default_rng(1).normal(size=(size, 20, 2)).astype('f'), np.ones(2, 'f')
  prior, decode = densities.StandardNormal(ones), lambda z: densities.bernoulli().make((z,))
  one = lambda q, n: bounds.elbo_terms(q, prior, decode, ones, n)  # noqa: E731
  terms = jax.jit(jax.vmap(one))(posteriors, noise)
  found = terms_of(objectives.beta_tcvae(size), terms, posteriors, mask=np.ones(2))
  if independent:
    assert found['stratified_total_correlation'] == pytest.approx(0, abs=0.03)
  else:
    assert found['stratified_total_correlation'] > 0.5


@pytest.mark.parametrize('kind', ['I', 'II'])
def test_the_terms_of_the_dip_vae_against_numpy(batch, kind):
  terms, posteriors = batch
  loc, scale = np.asarray(posteriors.loc)[:, :3], np.asarray(posteriors.scale)[:, :3]
  covariance = np.cov(loc.T, bias=True)
  if kind == 'II':
    covariance += np.diag((scale**2).mean(0))
  off = (covariance**2).sum() - (np.diag(covariance) ** 2).sum()
  diagonal = ((np.diag(covariance) - 1) ** 2).sum()
  objective = {'I': objectives.dip_vae_i, 'II': objectives.dip_vae_ii}[kind](diagonal_ratio=10.0)
  found = terms_of(objective, terms, posteriors)
  assert found['covariance_off_diagonal'] == pytest.approx(float(off), rel=1e-4)
  assert found['covariance_diagonal'] == pytest.approx(float(diagonal), rel=1e-4)
  means = {'distortion': jnp.float32(7.0), 'rates': jnp.array([1.0, 2.0, 0.0, 0.0]), **found}
  value = objective.combine(means, lane_of(covariance_weight=0.5), 0)
  assert value == pytest.approx(float(-7 - 3 * 3 - 0.5 * (off + 10 * diagonal)), rel=1e-4)


@pytest.mark.parametrize('make', [lambda: objectives.dip_vae_ii(1.0)])
def test_filling_changes_no_term(batch, make):
  terms, posteriors = batch
  objective = make()
  filled = jax.tree.map(lambda leaf: np.concatenate([leaf, 50 + leaf[:2]]), (terms, posteriors))
  weights = [1.0] * N + [0.0] * 2
  found = terms_of(objective, *filled, weights)
  for name, value in terms_of(objective, terms, posteriors).items():
    assert found[name] == pytest.approx(float(value), rel=1e-5), name


def test_filling_changes_no_term_of_the_beta_tcvae(batch):
  terms, posteriors = batch
  objective = objectives.beta_tcvae(40)
  filled = jax.tree.map(lambda leaf: np.concatenate([leaf, leaf[:2]]), (terms, posteriors))
  weights = [1.0] * N + [0.0] * 2
  found = terms_of(objective, *filled, weights)
  for name, value in terms_of(objective, terms, posteriors).items():
    assert found[name] == pytest.approx(float(value), rel=1e-5), name


def test_importance_weighted_objectives_average_the_bound_and_have_no_beta(batch):
  terms, posteriors = batch
  objective = objectives.iwae()
  weights = [1.0, 1.0, 1.0, 0.0, 0.0]
  found = terms_of(objective, terms, posteriors, weights)
  log_w = np.asarray(terms.log_likelihood) + np.asarray(terms.log_ratio).sum(-1)
  expected = (scipy.special.logsumexp(log_w, axis=1) - np.log(L))[:3].mean()
  assert found['bound'] == pytest.approx(float(expected), rel=1e-5)
  assert objective.combine(found, lane_of(), 0) == found['bound']


@pytest.mark.parametrize(('num_groups', 'elbo_weight'), [(1, 0.0), (2, 0.0), (6, 0.0), (1, 0.25)])
def test_miwae_and_ciwae_against_numpy(num_groups, elbo_weight):
  rng = np.random.default_rng(2)
  log_w = rng.normal(size=6)
  terms = bounds.ElboTerms(None, log_w.astype('f'), np.zeros((6, 2), 'f'), None)
  groups = scipy.special.logsumexp(log_w.reshape(num_groups, -1), axis=1)
  expected = (groups - np.log(6 / num_groups)).mean()
  if elbo_weight:
    expected = elbo_weight * log_w.mean() + (1 - elbo_weight) * expected
    found = jax.jit(bounds.ciwae_bound)(terms, elbo_weight)
  else:
    found = jax.jit(bounds.miwae_bound, static_argnums=1)(terms, num_groups)
  assert found == pytest.approx(float(expected), rel=1e-5)


def test_the_beta_elbo_weighs_the_rate_of_the_step():
  objective = objectives.beta_elbo()
  means = {'distortion': jnp.float32(7.0), 'rates': jnp.array([0.1, 2.0, 0.4, 0.0])}
  lane = lane_of(warmup='linear', warmup_steps=10, free_bits=0.5)
  assert objective.combine(means, lane, 5) == pytest.approx(-7 - 1.5 * 3.0, rel=1e-6)
  assert objective.combine(means, lane_of(), 5) == pytest.approx(-7 - 3 * 2.5, rel=1e-6)
