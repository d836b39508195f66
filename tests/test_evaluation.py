"""Evaluation against a model of known evidence, SciPy and NumPy."""

import functools
import types

import distrax
import jax
import jax.numpy as jnp
import linear_gaussian
import numpy as np
import pytest
import scipy.special
import scipy.stats

from vae_jax import bounds, data, densities, evaluation, lanes, learner, networks, objectives

pytestmark = pytest.mark.math

EVENT_SIZE, LATENT_SIZE = 6, 2


@pytest.fixture(scope='module')
def truth():
  return linear_gaussian.make(EVENT_SIZE, LATENT_SIZE)


@pytest.fixture(scope='module')
def images():
  return np.random.default_rng(3).normal(size=(23, EVENT_SIZE)).astype(np.float32)


@pytest.fixture(scope='module')
def exact(truth, images):
  """(num_samples, chunk) -> the evidence of all images at the exact posterior."""
  return functools.cache(functools.partial(evidence_of, model_of(truth), new_lane(), images))


@pytest.fixture
def lane():
  return new_lane()


def new_lane():
  stacked = lanes.stack([lanes.point(1.0, LATENT_SIZE, 5, 1e-3)], LATENT_SIZE)
  return jax.tree.map(lambda leaf: leaf[0], stacked)


def model_of(truth, shift=0.0, stretch=1.0):
  """The linear-Gaussian model with its exact posterior, or one shifted and stretched."""
  precision = np.eye(LATENT_SIZE) + truth.weights.T @ truth.weights / truth.scale**2
  gain = np.linalg.inv(precision) @ truth.weights.T / truth.scale**2
  scale = jnp.asarray(stretch * np.sqrt(np.diag(np.linalg.inv(precision))), jnp.float32)

  def encode(params, x, mask):
    del params
    loc = jnp.asarray(gain) @ (x - truth.bias) + shift
    return densities.DiagonalGaussian(loc, scale, mask)

  return networks.Model(
    init=None,
    encode=encode,
    prior=lambda params, mask: densities.StandardNormal(mask),
    outputs=lambda params, z, mask: z,
    likelihood=lambda params, z: truth.decode(z),
    refit=None,
  )


def evidence_of(model, lane, images, num_samples, chunk, batch_size=10):
  """Evidence of every image: [images, ...]."""
  batches = evaluation.cut(images, batch_size)
  program = lambda *given: evaluation.evidence(model, None, *given, 1.0, num_samples, chunk)  # noqa: E731
  found = jax.jit(program)(lane, batches)
  return jax.tree.map(lambda values: np.asarray(values)[batches.weights > 0], found)


def aggregate(model, lane, batches):
  return jax.jit(lambda *given: evaluation.aggregate(model, None, *given, 1.0))(lane, batches)


def evaluate(of_lane, lane, batches, scale, step):
  program = lambda *given: evaluation.evaluate(of_lane, None, *given, scale, step)  # noqa: E731
  return jax.jit(program)(lane, batches)


def estimate(*arguments):
  return evidence_of(*arguments).curve[:, -1]


@pytest.mark.parametrize(('num_samples', 'chunk'), [(1, 1), (7, 3), (50, 50)])
def test_nll_is_the_exact_evidence_at_the_exact_posterior(truth, images, exact, num_samples, chunk):
  """log w is constant there, so any number of samples gives log p(x) of every image, once each."""
  values = exact(num_samples, chunk).curve[:, -1]
  np.testing.assert_allclose(values, truth.log_evidence(images), atol=2e-4)


def test_nll_converges_to_the_evidence_from_a_wrong_posterior(truth, images, lane):
  model, images = model_of(truth, shift=0.3, stretch=1.4), images[:10]  # one batch of them
  batches = evaluation.cut(images, 10)
  of_seed = lambda seed: evaluation.evidence(  # noqa: E731
    model, None, lane._replace(seed=seed), batches, 1.0, num_samples=2000, chunk=300
  ).curve[..., -1]
  values = jax.jit(jax.vmap(of_seed))(np.arange(20, dtype=np.uint32))
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
    q = model.encode(None, image, jnp.ones(LATENT_SIZE))
    z = np.asarray(q.loc) + np.asarray(q.scale) * noise[:, None]
    likelihood = scipy.stats.norm(z @ truth.weights.T + truth.bias, truth.scale)
    log_weights = likelihood.logpdf(image).sum(1) + (
      scipy.stats.norm.logpdf(z) - scipy.stats.norm(q.loc, q.scale).logpdf(z)
    ).sum(1)
    expected = scipy.special.logsumexp(log_weights) - np.log(num_samples)
    assert value == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(('num_samples', 'chunk'), [(50, 50), (50, 7)])
def test_weights_are_even_at_the_exact_posterior(images, exact, num_samples, chunk):
  """There every sample counts the same: ESS = K, the largest weight 1 / K, and L_1 = L_K."""
  found = exact(num_samples, chunk)
  np.testing.assert_allclose(found.effective, num_samples, rtol=1e-3)
  np.testing.assert_allclose(found.largest, 1 / num_samples, rtol=1e-2)
  assert found.curve.shape == (len(images), 3)  # 1, 10, 50
  np.testing.assert_allclose(found.curve[:, 0], found.curve[:, -1], atol=1e-3)


def test_the_evidence_is_at_the_beta_of_the_lane_and_of_what_is_beside(lane):
  """x ~ N(z + m, 1), m = beta params + c: of its exact posterior even weights, log N(x; m, 2)."""
  params, white = np.float32([0.5, -0.3]), 4.0
  x, c = np.random.default_rng(0).normal(size=(2, 7, 2)).astype(np.float32)
  model = types.SimpleNamespace(
    at_beta=lambda params, beta: beta * params,
    knowing=lambda params, beside: params + beside.condition,
    encode=lambda m, x, mask: densities.DiagonalGaussian((x - m) / 2, jnp.full(2, 0.5**0.5), mask),
    decode=lambda m, z, mask: distrax.Independent(distrax.Normal(z + m, 1.0), 1),
    prior=lambda params, mask: densities.StandardNormal(mask),
  )
  batches = evaluation.cut(white * x, 7, data.Beside(c))
  found = jax.jit(lambda lane: evaluation.evidence(model, params, lane, batches, white, 20, 20))(
    lane._replace(beta=jnp.float32(3.0))
  )
  exact = scipy.stats.norm(3 * params + c, 2**0.5).logpdf(x).sum(axis=1)
  np.testing.assert_allclose(found.curve[0, :, -1], exact, rtol=1e-4)
  np.testing.assert_allclose(found.effective[0], 20, rtol=1e-4)


def test_the_curve_and_the_weights_against_numpy(truth, images, lane, monkeypatch):
  """L_k is the mean of log-mean-exp over disjoint groups of k; ESS from the same weights."""
  seen = {}
  num_samples, model = 24, model_of(truth, shift=0.5, stretch=1.5)

  def draw_noise(key, batch_size, num_drawn, latent_size):
    rng = np.random.default_rng(4)
    seen['noise'] = rng.normal(size=(batch_size, num_drawn, latent_size)).astype(np.float32)
    return jnp.asarray(seen['noise'])

  monkeypatch.setattr(learner, 'draw_noise', draw_noise)
  found = evidence_of(model, lane, images[:2], num_samples, num_samples, 2)
  for n, image in enumerate(images[:2]):
    q = model.encode(None, image, jnp.ones(LATENT_SIZE))
    z = np.asarray(q.loc) + np.asarray(q.scale) * seen['noise'][n]
    likelihood = scipy.stats.norm(z @ truth.weights.T + truth.bias, truth.scale)
    log_w = likelihood.logpdf(image).sum(1) + (
      scipy.stats.norm.logpdf(z) - scipy.stats.norm(q.loc, q.scale).logpdf(z)
    ).sum(1)
    distortion = -likelihood.logpdf(image).sum(1).mean()
    assert found.distortion[n] == pytest.approx(distortion, rel=1e-4)
    ten = [scipy.special.logsumexp(log_w[a : a + 10]) - np.log(10) for a in (0, 10)]
    whole = scipy.special.logsumexp(log_w) - np.log(num_samples)
    expected = [log_w.mean(), np.mean(ten), whole]
    np.testing.assert_allclose(found.curve[n], expected, rtol=1e-4)
    w = np.exp(log_w - log_w.max())
    assert found.effective[n] == pytest.approx(float(w.sum() ** 2 / (w**2).sum()), rel=1e-3)
    assert found.largest[n] == pytest.approx(float(1 / w.sum()), rel=1e-3)


@pytest.mark.parametrize(
  ('num_samples', 'expected'),
  [(1, (1,)), (2, (1, 2)), (10, (1, 10)), (1000, (1, 10, 100, 1000)), (50, (1, 10, 50))],
)
def test_the_curve_has_the_powers_of_ten_and_the_last(num_samples, expected):
  assert evaluation.curve_samples(num_samples) == expected


def evidence_with(log_evidence):
  """Evidence whose bound is `log_evidence` [G, B, N] and whose first point is 1 below it."""
  values = np.asarray(log_evidence)
  effective = np.where(values < -2.5, 1.5, 4.0)
  return evaluation.Evidence(
    np.stack([values - 1, values], -1), effective, 1 / effective, 2 - values
  )


def test_nll_of_averages_in_nats_and_bits():
  found = evidence_with([[[-1.0, -3.0], [-5.0, 99.0]], [[-2.0, -2.0], [-2.0, 99.0]]])
  result = evaluation.nll_of(found, np.array([[1, 1], [1, 0]]), event_size=4)
  np.testing.assert_allclose(result.mean, [3.0, 2.0])
  stderr = [np.std([1, 3, 5], ddof=1) / np.sqrt(3), 0]
  np.testing.assert_allclose(result.stderr, stderr)
  np.testing.assert_allclose(result.bits_per_dim, np.array([3.0, 2.0]) / 4 / np.log(2))
  np.testing.assert_allclose(result.curve, [[-4.0, -3.0], [-3.0, -2.0]])
  np.testing.assert_allclose(result.curve_stderr, np.stack([stderr, stderr], -1))
  np.testing.assert_allclose(result.effective, [(4 + 1.5 + 1.5) / 3, 4])
  np.testing.assert_allclose(result.largest, [(1 / 4 + 2 / 1.5) / 3, 1 / 4])
  np.testing.assert_allclose(result.lonely, [2 / 3, 0])
  np.testing.assert_allclose(result.distortions, [[3, 5, 7], [4, 4, 4]])


def test_nll_of_one_image_has_no_standard_error():
  result = evaluation.nll_of(evidence_with([[[-1.0]]]), np.array([[1.0]]), event_size=4)
  assert result.mean == [1.0]
  assert np.isnan(result.stderr[0])


def test_an_effective_size_that_is_not_known_is_no_low_one():
  found = evidence_with([[[-1.0, -3.0]], [[-1.0, -1.0]]])
  found.effective[0, 0, 1] = np.nan
  result = evaluation.nll_of(found, np.ones((1, 2)), event_size=4)
  np.testing.assert_array_equal(result.lonely, [np.nan, 0])
  found.effective[1, 0] = [1.99, 2.0]
  assert evaluation.nll_of(found, np.ones((1, 2)), event_size=4).lonely[1] == 0.5


def known_codes():
  """Three images [3], the centres of their codes [3, 2] and the scales that all share."""
  return np.eye(3, dtype=np.float32), np.array([[0, 0], [1.2, -0.4], [-0.5, 2.0]]), [0.5, 0.8]


def code_model():
  images, centres, scale = known_codes()

  def encode(params, x, mask):
    del params
    return densities.DiagonalGaussian(x @ jnp.asarray(centres, jnp.float32), jnp.array(scale), mask)

  prior = lambda params, mask: densities.StandardNormal(mask)  # noqa: E731
  return networks.Model(None, encode, prior, None, None, None), images


def parts_of_the_rate_by_quadrature():
  _, centres, scale = known_codes()
  grid = np.linspace(-8, 8, 801)
  cell = grid[1] - grid[0]
  one = scipy.stats.norm(centres[:, :, None], np.array(scale)[:, None]).pdf(grid)  # [3, 2, points]
  joint = np.einsum('ia,ib->ab', one[:, 0], one[:, 1]) / 3
  marginals, p = one.mean(axis=0), scipy.stats.norm.pdf(grid)
  kl = lambda q, p, cell: np.sum(scipy.special.rel_entr(q, p)) * cell  # noqa: E731
  return {
    'mutual_information': np.mean(
      [kl(np.outer(a, b), joint, cell**2) for a, b in zip(one[:, 0], one[:, 1], strict=True)]
    ),
    'marginal_kl': kl(joint, np.outer(p, p), cell**2),
    'total_correlation': kl(joint, np.outer(*marginals), cell**2),
    'dimension_wise_kl': kl(marginals[0], p, cell) + kl(marginals[1], p, cell),
  }


def test_the_parts_of_the_rate_equal_quadrature(lane):
  """Of the mixture of three known Gaussians; that each stands 40 times leaves q(z) as it is."""
  model, images = code_model()
  batches = evaluation.cut(np.repeat(images, 40, axis=0), 50)  # 3 batches, 30 of them filling
  parts = jax.jit(
    jax.vmap(lambda seed: evaluation.aggregate(model, None, lane._replace(seed=seed), batches, 1.0))
  )(jnp.arange(100, dtype=jnp.uint32))
  for name, expected in parts_of_the_rate_by_quadrature().items():
    values = np.asarray(parts[name])
    stderr = float(values.std(ddof=1) / np.sqrt(len(values)))
    assert values.mean() == pytest.approx(float(expected), abs=5 * stderr), name


def test_inert_latents_have_no_part_in_the_rate(lane):
  model, images = code_model()
  batches = evaluation.cut(images, 3)
  parts = aggregate(model, lane._replace(mask=jnp.array([1.0, 0.0])), batches)
  assert parts['total_correlation'] == pytest.approx(0, abs=1e-5)
  assert parts['marginal_kl'] == pytest.approx(float(parts['dimension_wise_kl']), abs=1e-5)


def test_codes_far_apart_tell_which_image_it_was(lane):
  """Then I(x; z) = log n exactly; with codes that are the same it is 0."""
  model, images = code_model()
  for factor, expected in ((1e3, np.log(3)), (0.0, 0.0)):
    batches = evaluation.cut(factor * images, 3)
    parts = aggregate(model, lane, batches)
    assert parts['mutual_information'] == pytest.approx(float(expected), abs=1e-5)


def test_without_latents_of_their_own_there_is_no_total_correlation(lane):
  model, images = code_model()
  mixture = networks.mixture(3)
  params = jax.jit(mixture.init)(jax.random.key(0), jnp.ones(2))
  model = model._replace(prior=lambda _, mask: mixture.make(params, mask, None))
  parts = aggregate(model, lane, evaluation.cut(images, 3))
  assert np.isnan(parts['total_correlation'])
  assert np.isnan(parts['dimension_wise_kl'])
  assert np.isfinite(parts['mutual_information'])
  assert np.isfinite(parts['marginal_kl'])


@pytest.mark.parametrize(('size', 'batch_size'), [(10, 5), (11, 5), (3, 5), (1, 1)])
def test_cut_counts_every_image_once(size, batch_size):
  images = np.arange(1, size + 1)[:, None]
  batches = evaluation.cut(images, batch_size)
  assert batches.images.shape[1] == batches.weights.shape[1] == batch_size
  np.testing.assert_array_equal(batches.images[batches.weights > 0], images)


def fake_learner(evaluate_batch):
  objective = objectives.beta_elbo()
  estimator = learner.Estimator(None, objective, bounds.analytic_kl, bounds.reparameterized)
  return learner.Learner(estimator, 1, None, None, None, evaluate_batch)


@pytest.mark.parametrize('batch_size', [4, 7, 23])
def test_evaluate_averages_over_images_whatever_the_batches(lane, batch_size):
  """A fake learner whose averages are known functions of x; NumPy is the oracle."""
  rng = np.random.default_rng(0)
  images = rng.integers(0, 255, (23, 3)).astype(np.uint8)
  lane = lane._replace(mask=jnp.array([1.0, 1.0, 1.0, 0.0]), beta=jnp.float32(3.0))
  lane = lane._replace(warmup=jnp.int32(1), warmup_steps=jnp.float32(10.0))
  rates = jnp.array([1.0, 2.0, 3.0, 0.0])

  def evaluate_batch(params, lane, batch, index, weights, beside):
    del params, lane, index
    first = weights @ batch[:, 0] / weights.sum()
    # Variances 0.0101, 0.0099 and 0 around a large mean, and an inert latent that varies a lot.
    unit = (batch[:, 1] - mean) / deviation
    columns = [100 + unit * 0.0101**0.5, 100 + unit * 0.0099**0.5, 0 * unit, 9 * unit]
    averages = {'distortion': 7 * first, 'rates': first * rates, 'extra': -first}
    return averages, jnp.stack(columns, axis=1)

  x = images / 255.0
  mean, deviation = x[:, 1].mean(), x[:, 1].std()
  batches = evaluation.cut(images, batch_size)
  result = evaluate(fake_learner(evaluate_batch), lane, batches, 255.0, 5)
  first = x[:, 0].mean()
  expected = {
    'distortion': 7 * first,
    'rate': 6 * first,
    'elbo': -13 * first,
    'objective': -(7 + 0.5 * 3 * 6) * first,  # half way up the warm-up
    'extra': -first,
    'active_units': 1,
  }
  assert set(result.metrics) == set(expected)
  for name, value in expected.items():
    assert result.metrics[name] == pytest.approx(float(value), rel=1e-5), name
  np.testing.assert_allclose(result.rates, first * rates, rtol=1e-5)
  np.testing.assert_allclose(result.variances, [0.0101, 0.0099, 0, 0], rtol=1e-3)


@pytest.mark.parametrize(('count', 'bad'), [(1, False), (3, True), (3, False)])
def test_activity_is_not_known_of_one_image_or_of_nan(lane, count, bad):
  """A count of 0 would be a collapse; NaN is no count. Inert latents have the variance 0."""
  lane = lane._replace(mask=jnp.array([1.0, 1.0, 0.0]))

  def evaluate_batch(params, lane, batch, index, weights, beside):
    centres = jnp.stack([batch[:, 0], 0 * batch[:, 0], 0 * batch[:, 0]], axis=1)
    averages = {'distortion': jnp.float32(1.0), 'rates': jnp.ones(3)}
    return averages, centres.at[0, 1].set(jnp.nan) if bad else centres

  images = np.arange(count, dtype=np.float32)[:, None]
  result = evaluate(fake_learner(evaluate_batch), lane, evaluation.cut(images, count), 1.0, 0)
  known = count > 1 and not bad
  assert np.isnan(result.metrics['active_units']) != known
  assert not known or result.metrics['active_units'] == 1
  assert np.isnan(result.variances[1]) != known
  assert result.variances[2] == 0
  assert np.isfinite(result.metrics['rate'])


@pytest.mark.parametrize('limits', [(1, None), (2, None), (2, 7), (2, 40)])
def test_a_fitting_size_leaves_no_batch_of_too_few(limits):
  """By trying every size: the nearest that is allowed."""
  smallest, largest = limits
  for count in (1, 2, 3, 7, 13, 31):
    for wanted in (0, 1, 2, 5, 12, 30, 99):
      found = evaluation.fitting_size(count, wanted, smallest, largest)
      sizes = [min(size, count - first) for size in (found,) for first in range(0, count, size)]
      allowed = [
        size
        for size in range(smallest, min(count, largest or count) + 1)
        if all(min(size, count - first) >= smallest for first in range(0, count, size))
      ]
      if allowed:
        assert min(sizes) >= smallest and found in allowed
        assert abs(found - wanted) == min(abs(size - wanted) for size in allowed)
      else:
        assert 1 <= found <= count


def test_evaluation_runs_at_the_highest_precision(lane):
  seen = []

  def evaluate_batch(params, lane, batch, index, weights, beside):
    del params, lane, index, weights
    seen.append(jax.config.jax_default_matmul_precision)
    averages = {'distortion': batch.sum(), 'rates': jnp.zeros(LATENT_SIZE)}
    return averages, jnp.zeros((len(batch), LATENT_SIZE))

  batches = evaluation.cut(np.ones((2, 1), np.float32), 2)
  evaluate(fake_learner(evaluate_batch), lane, batches, 1.0, 0)
  assert set(seen) == {'highest'}


def model_that_shows_its_code():
  shown = lambda params, z: distrax.Deterministic(z)  # noqa: E731
  return networks.Model(None, None, None, lambda params, z, mask: z, shown, None)


def traverse(model, lane, usage):
  program = jax.jit(lambda *given: evaluation.traverse(model, None, *given, 3))
  return np.asarray(program(lane, usage))


def test_a_traversal_moves_the_two_latents_that_are_used_most(lane):
  """The decoder shows its z: down the second, across the first in use, the others at 0."""
  lane = lane._replace(mask=jnp.array([1.0, 1.0, 1.0, 0.0]))
  model = model_that_shows_its_code()
  usage = jnp.array([0.1, 0.5, 0.3, 9.0])
  grid = traverse(model, lane, usage)
  axis = np.array([-1.0, 0.0, 1.0])
  np.testing.assert_allclose(grid[..., 1], np.tile(axis, (3, 1)))
  np.testing.assert_allclose(grid[..., 2], np.tile(axis[:, None], (1, 3)))
  np.testing.assert_allclose(grid[..., [0, 3]], 0)


def test_a_traversal_of_one_latent_repeats_its_row(lane):
  model = model_that_shows_its_code()
  one = traverse(model, lane._replace(mask=jnp.ones(1)), jnp.ones(1))
  np.testing.assert_allclose(one[..., 0], np.tile([-1.0, 0.0, 1.0], (3, 1)))
  padded = lane._replace(mask=jnp.array([1.0, 0.0]))
  two = traverse(model, padded, jnp.array([1.0, 0.0]))
  np.testing.assert_allclose(two[..., 0], np.tile([-1.0, 0.0, 1.0], (3, 1)))
  np.testing.assert_allclose(two[..., 1], 0)


def test_usage_that_is_not_known_does_not_move_what_is_inert(lane):
  """Of one test image no variance is known: the first latents move, not the padding."""
  lane = lane._replace(mask=jnp.array([1.0, 1.0, 1.0, 0.0]))
  usage = jnp.array([jnp.nan, jnp.nan, jnp.nan, 0.0])
  grid = traverse(model_that_shows_its_code(), lane, usage)
  assert np.ptp(grid[..., 0]) == np.ptp(grid[..., 1]) == 2
  np.testing.assert_array_equal(grid[..., 2:], 0)


def test_a_traversal_of_two_layers_moves_what_the_decoder_reads(lane):
  """The upper latents are used more, and are not read: the lower move, in units of their scales."""
  lane = lane._replace(mask=jnp.ones(5))
  below = lambda params, z_2, mask: densities.DiagonalGaussian(  # noqa: E731
    jnp.array([5.0, 6.0, 7.0]) + z_2.sum(), jnp.array([0.5, 1.0, 2.0]), jnp.ones(3)
  )
  prior = lambda params, mask: densities.TwoLayerPrior((), mask, 3, below)  # noqa: E731
  model = model_that_shows_its_code()._replace(prior=prior, lower_size=3)
  grid = traverse(model, lane, jnp.array([1, 3, 2, 9, 8.0]))
  axis = np.array([-1.0, 0.0, 1.0])
  np.testing.assert_allclose(grid[..., 1], np.tile(6 + axis, (3, 1)))
  np.testing.assert_allclose(grid[..., 2], np.tile((7 + 2 * axis)[:, None], (1, 3)))
  np.testing.assert_allclose(grid[..., 0], 5)


def test_a_walk_moves_one_latent_a_row_that_used_most_first(lane):
  """Rows of latents that the lane does not have, or none has, are at 0: all have as many rows."""
  lane = lane._replace(mask=jnp.array([1.0, 1.0, 1.0, 0.0]))
  usage, model = jnp.array([0.1, 0.5, 0.3, 9.0]), model_that_shows_its_code()
  walk = jax.jit(lambda *given: evaluation.walk(model, None, *given, 6, 5))(lane, usage)
  expected = np.zeros((6, 5, 4))
  for row, latent in enumerate((1, 2, 0)):
    expected[row, :, latent] = [-2, -1, 0, 1, 2]
  np.testing.assert_allclose(walk, expected, atol=1e-6)


def test_what_lies_between_codes_is_on_a_straight_line():
  z = np.array([[0.0, 1.0], [4.0, -1.0], [2.0, 2.0], [2.0, 3.0], [9.0, 9.0]], np.float32)
  found = jax.jit(evaluation.between, static_argnums=1)(z, 3)
  expected = [[[0, 1], [2, 0], [4, -1]], [[2, 2], [2, 2.5], [2, 3]]]
  np.testing.assert_allclose(found, expected, atol=1e-6)
