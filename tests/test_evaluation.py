"""Evaluation against a model of known evidence, SciPy and NumPy."""

import distrax
import jax
import jax.numpy as jnp
import linear_gaussian
import numpy as np
import pytest
import scipy.special
import scipy.stats

from vae_jax import evaluation, lanes, learner, networks

EVENT_SIZE, LATENT_SIZE = 6, 2


@pytest.fixture(scope='module')
def truth():
  return linear_gaussian.make(EVENT_SIZE, LATENT_SIZE)


@pytest.fixture(scope='module')
def images():
  return np.random.default_rng(3).normal(size=(23, EVENT_SIZE)).astype(np.float32)


@pytest.fixture
def lane():
  stacked = lanes.stack([lanes.Point(1.0, LATENT_SIZE, 5, 1e-3)], LATENT_SIZE)
  return jax.tree.map(lambda leaf: leaf[0], stacked)


def model_of(truth, shift=0.0, stretch=1.0):
  """The linear-Gaussian model with its exact posterior, or one shifted and stretched."""
  precision = np.eye(LATENT_SIZE) + truth.weights.T @ truth.weights / truth.scale**2
  gain = np.linalg.inv(precision) @ truth.weights.T / truth.scale**2
  scale = jnp.asarray(stretch * np.sqrt(np.diag(np.linalg.inv(precision))), jnp.float32)

  def encode(params, x, mask):
    del params, mask
    return distrax.Normal(jnp.asarray(gain) @ (x - truth.bias) + shift, scale)

  return networks.Model(None, encode, lambda params, z, mask: truth.decode(z))


def estimate(model, lane, images, num_samples, chunk, batch_size=10):
  batches = evaluation.cut(images, batch_size)
  values = evaluation.log_evidence(model, None, lane, batches, 1.0, num_samples, chunk)
  return np.asarray(values)[batches.weights > 0]


@pytest.mark.parametrize(('num_samples', 'chunk'), [(1, 1), (7, 3), (50, 50)])
def test_nll_is_the_exact_evidence_at_the_exact_posterior(truth, images, lane, num_samples, chunk):
  """log w is constant there, so any number of samples gives log p(x) of every image, once each."""
  values = estimate(model_of(truth), lane, images, num_samples, chunk)
  np.testing.assert_allclose(values, truth.log_evidence(images), atol=2e-4)


def test_nll_converges_to_the_evidence_from_a_wrong_posterior(truth, images, lane):
  model = model_of(truth, shift=0.3, stretch=1.4)
  batches = evaluation.cut(images, 10)
  values = jax.vmap(
    lambda seed: evaluation.log_evidence(
      model, None, lane._replace(seed=seed), batches, 1.0, num_samples=2000, chunk=300
    )
  )(jnp.arange(20, dtype=jnp.uint32))
  values = np.asarray(values)[:, batches.weights > 0]
  stderr = values.std(axis=0, ddof=1) / np.sqrt(len(values))
  error = np.abs(values.mean(axis=0) - truth.log_evidence(images))
  assert np.all(error < 5 * stderr + 1e-3)  # the bias of log-mean-exp is below a thousandth here


@pytest.mark.parametrize(('num_samples', 'chunk'), [(7, 3), (7, 7), (6, 3), (2, 5)])
def test_nll_uses_exactly_the_samples_it_was_asked_for(
  truth, images, lane, monkeypatch, num_samples, chunk
):
  """Every chunk gets the noise 0, 0.5, 1 ...: exactly the first K weights (by SciPy) count."""
  pattern = 0.5 * np.arange(chunk)
  calls = []

  def draw_noise(key, batch_size, num_drawn, latent_size):
    return jnp.broadcast_to(jnp.asarray(pattern)[None, :, None], (batch_size, chunk, latent_size))

  monkeypatch.setattr(learner, 'draw_noise', draw_noise)
  model = model_of(truth, shift=0.4, stretch=1.3)
  encode = lambda *arguments: calls.append(1) or model.encode(*arguments)  # noqa: E731
  found = estimate(model._replace(encode=encode), lane, images[:3], num_samples, chunk, 3)
  assert len(calls) == 1  # the encoder is in the program once, outside the loop over chunks
  noise = np.resize(pattern, num_samples)
  for image, value in zip(images[:3], found, strict=True):
    q = model.encode(None, image, None)
    z = np.asarray(q.loc) + np.asarray(q.scale) * noise[:, None]
    likelihood = scipy.stats.norm(z @ truth.weights.T + truth.bias, truth.scale)
    log_weights = likelihood.logpdf(image).sum(1) + (
      scipy.stats.norm.logpdf(z) - scipy.stats.norm(q.loc, q.scale).logpdf(z)
    ).sum(1)
    expected = scipy.special.logsumexp(log_weights) - np.log(num_samples)
    assert value == pytest.approx(expected, rel=1e-5)


def test_nll_of_averages_in_nats_and_bits():
  log_evidence = np.array([[[-1.0, -3.0], [-5.0, 99.0]], [[-2.0, -2.0], [-2.0, 99.0]]])
  result = evaluation.nll_of(log_evidence, np.array([[1, 1], [1, 0]]), event_size=4)
  np.testing.assert_allclose(result.mean, [3.0, 2.0])
  np.testing.assert_allclose(result.stderr, [np.std([1, 3, 5], ddof=1) / np.sqrt(3), 0])
  np.testing.assert_allclose(result.bits_per_dim, np.array([3.0, 2.0]) / 4 / np.log(2))


def test_nll_of_one_image_has_no_standard_error():
  result = evaluation.nll_of(np.array([[[-1.0]]]), np.array([[1.0]]), event_size=4)
  assert result.mean == [1.0]
  assert np.isnan(result.stderr[0])


@pytest.mark.parametrize(('size', 'batch_size'), [(10, 5), (11, 5), (3, 5), (1, 1)])
def test_cut_counts_every_image_once(size, batch_size):
  images = np.arange(1, size + 1)[:, None]
  batches = evaluation.cut(images, batch_size)
  assert batches.images.shape[1] == batches.weights.shape[1] == batch_size
  np.testing.assert_array_equal(batches.images[batches.weights > 0], images)


@pytest.mark.parametrize('batch_size', [4, 7, 23])
def test_evaluate_averages_over_images_whatever_the_batches(lane, batch_size):
  """A fake learner whose metrics are known functions of x; NumPy is the oracle."""
  rng = np.random.default_rng(0)
  images = rng.integers(0, 255, (23, 3)).astype(np.uint8)
  lane = lane._replace(mask=jnp.array([1.0, 1.0, 1.0, 0.0]))

  def evaluate_batch(params, lane, batch, index):
    del params, lane, index
    names = ('elbo', 'rate', 'distortion', 'objective')
    metrics = {name: (i + 1) * batch[:, 0] for i, name in enumerate(names)}
    # Variances 0.0101, 0.0099 and 0 around a large mean, and an inert latent that varies a lot.
    unit = (batch[:, 1] - mean) / deviation
    columns = [100 + unit * 0.0101**0.5, 100 + unit * 0.0099**0.5, 0 * unit, 9 * unit]
    return metrics, jnp.stack(columns, axis=1)

  x = images / 255.0
  mean, deviation = x[:, 1].mean(), x[:, 1].std()
  result = evaluation.evaluate(
    evaluate_batch, None, lane, evaluation.cut(images, batch_size), 255.0
  )
  for i, name in enumerate(('elbo', 'rate', 'distortion', 'objective')):
    assert result[name] == pytest.approx((i + 1) * x[:, 0].mean(), rel=1e-5)
  assert result['active_units'] == 1


def test_evaluation_runs_at_the_highest_precision(lane):
  seen = []

  def evaluate_batch(params, lane, batch, index):
    del params, lane, index
    seen.append(jax.config.jax_default_matmul_precision)
    names = ('elbo', 'rate', 'distortion', 'objective')
    return {name: batch[:, 0] for name in names}, jnp.zeros((len(batch), LATENT_SIZE))

  evaluation.evaluate(
    evaluate_batch, None, lane, evaluation.cut(np.ones((2, 1), np.float32), 2), 1.0
  )
  assert set(seen) == {'highest'}
