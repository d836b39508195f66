"""The aggregate posterior's parts of the rate: their range, their error, and which there are."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats

from vae_jax import densities, evaluation, lanes, networks

pytestmark = pytest.mark.math

SEEDS = jnp.arange(60, dtype=jnp.uint32)


def lane_of(latent_size):
  stacked = lanes.stack([lanes.point(1.0, latent_size, 5, 1e-3)], latent_size)
  return jax.tree.map(lambda leaf: leaf[0], stacked)


def parts_of(posterior_of, prior, count, latent_size, seeds=None, batch_size=None):
  """The parts of the rate of `count` images, the i-th of which has posterior_of(one-hot i)."""
  model = networks.Model(None, lambda _, x, mask: posterior_of(x), lambda *_: prior, *[None] * 3)
  batches = evaluation.cut(np.eye(count, dtype=np.float32), batch_size or count)

  def one(seed):
    lane = lane_of(latent_size)._replace(seed=seed)
    return evaluation.aggregate(model, None, lane, batches, 1.0)

  return jax.jit(one)(jnp.uint32(5)) if seeds is None else jax.jit(jax.vmap(one))(seeds)


def gaussians(centres, scale):
  """One-hot x -> a diagonal Gaussian about its centre."""
  centres = jnp.asarray(centres, jnp.float32)

  def posterior_of(x):
    loc = centres[jnp.argmax(x)]
    return densities.DiagonalGaussian(loc, jnp.full(loc.shape, scale), jnp.ones(loc.shape))

  return posterior_of


def standard(latent_size):
  return densities.StandardNormal(jnp.ones(latent_size))


def test_information_stays_in_its_range_at_small_scales():
  """Two of five codes coincide: I = log 5 - 2/5 log 2, also where z is rounded to float32."""
  centres = np.random.default_rng(0).normal(size=(5, 3))
  coinciding = centres[[0, 0, 1, 2, 3]]
  found = jax.jit(lambda *given: parts_of(gaussians(*given), standard(3), 5, 3))
  for size in (1.0, 300.0):
    for relative in (1e-3, 1e-5, 1e-6, 1e-7, 1e-8):
      two = found(size * coinciding, size * relative)['mutual_information']
      assert two == pytest.approx(float(np.log(5) - 0.4 * np.log(2)), abs=2e-5)
      apart = found(size * centres, size * relative)['mutual_information']
      assert apart == pytest.approx(float(np.log(5)), abs=5e-6)
      assert apart <= np.float32(np.log(5))


def information_by_quadrature(centres, scale):
  """I(x; z) of a mixture of Gaussians of one latent, and KL(q(z) || N(0, 1))."""
  line = np.linspace(-8, 8, 4001)
  q = scipy.stats.norm(centres[:, None], scale).pdf(line)  # [n, points]
  mixture = np.maximum(q.mean(axis=0), 1e-300)
  p = scipy.stats.norm.pdf(line)
  step = line[1] - line[0]
  information = scipy.special.rel_entr(q, mixture).sum(axis=1).mean() * step
  return float(information), float(scipy.special.rel_entr(mixture, p).sum() * step)


@pytest.mark.parametrize(('scale', 'gain'), [(0.1, 1.8), (0.8, 0.8)])
def test_information_has_less_noise_than_one_draw_and_an_error_that_holds(scale, gain):
  """Of 120 overlapping codes in one latent: quadrature, and the noise of draws by NumPy."""
  centres = np.sort(np.random.default_rng(1).normal(size=120))
  parts = parts_of(gaussians(centres[:, None], scale), standard(1), 120, 1, SEEDS)
  found = np.asarray(parts['mutual_information'], np.float64)
  expected, kl = information_by_quadrature(centres, scale)
  error = found.std(ddof=1) / np.sqrt(len(found))
  assert found.mean() == pytest.approx(expected, abs=5 * error)
  assert error < 0.01
  found_kl = np.asarray(parts['marginal_kl'], np.float64)
  assert found_kl.mean() == pytest.approx(kl, abs=5 * found_kl.std(ddof=1) / np.sqrt(len(found)))
  z = centres + scale * np.random.default_rng(2).normal(size=(100, 120))
  log_q = scipy.stats.norm(centres[:, None], scale).logpdf(z[:, None])  # [draws, n, n]
  raw = np.diagonal(log_q, axis1=1, axis2=2) - scipy.special.logsumexp(log_q, axis=1) + np.log(120)
  assert found.std(ddof=1) * gain < raw.mean(axis=1).std(ddof=1)
  # The images differ, and the error counts that as noise: it is at or above what the draws make.
  stderr = np.asarray(parts['mutual_information_stderr'], np.float64)
  assert found.std(ddof=1) < 1.3 * stderr.mean()
  assert stderr.mean() < 4 * found.std(ddof=1)


def test_the_error_is_that_of_the_draws_where_all_images_are_alike():
  """Codes in pairs, the pairs far apart: every image has the same I, and the error is exact."""
  centres = np.repeat(50.0 * np.arange(60), 2) + np.tile([0.0, 1.0], 60)
  parts = parts_of(gaussians(centres[:, None], 1.0), standard(1), 120, 1, SEEDS)
  found = np.asarray(parts['mutual_information'], np.float64)
  pair, _ = information_by_quadrature(np.array([0.0, 1.0]), 1.0)
  assert found.mean() == pytest.approx(np.log(60) + pair, abs=5 * found.std(ddof=1) / 60**0.5)
  stderr = np.asarray(parts['mutual_information_stderr']).mean()
  # The spread of 60 values is known to 9 per cent.
  assert stderr == pytest.approx(found.std(ddof=1), rel=5 * 0.09)


def test_the_parts_add_up():
  """I + KL(q(z) || p) is the rate, and the latter the total correlation and the latents' KL."""
  rng = np.random.default_rng(3)
  centres = rng.normal(size=(90, 4))
  posterior_of = gaussians(centres, 0.6)
  parts = parts_of(posterior_of, standard(4), 90, 4, batch_size=13)
  total = parts['total_correlation'] + parts['dimension_wise_kl']
  assert total == pytest.approx(float(parts['marginal_kl']), abs=1e-4)
  rate = np.mean(np.sum(0.5 * (0.36 + centres**2 - 1) - np.log(0.6), axis=1))
  # The draws of log p(z) differ from its mean by some 1/sqrt(n) of their spread.
  found = parts['mutual_information'] + parts['marginal_kl']
  assert found == pytest.approx(float(rate), abs=5 * 2 / np.sqrt(90))
  # Of batches of 13 and of all at once: the same n, the same draws.
  whole = parts_of(posterior_of, standard(4), 90, 4)
  assert set(whole) == {
    *('mutual_information', 'mutual_information_stderr', 'marginal_kl'),
    *('total_correlation', 'dimension_wise_kl'),
  }


def test_one_image_shares_nothing():
  parts = parts_of(gaussians(np.zeros((1, 2)), 0.5), standard(2), 1, 2)
  assert all(np.isnan(value) for value in parts.values())


def two_layers(means):
  """z_1 ~ N(m_x, 0.5^2), z_2 | z_1 ~ N(0.8 z_1, 0.6^2); p: z_2 ~ N(0, 1), z_1 | z_2 ~ N(z_2, 1)."""
  means = jnp.asarray(means, jnp.float32)
  one = jnp.ones(1)

  def posterior_of(x):
    lower = densities.DiagonalGaussian(means[jnp.argmax(x)][None], 0.5 * one, one)
    upper = lambda params, z_1, mask: densities.DiagonalGaussian(0.8 * z_1, 0.6 * one, mask)  # noqa: E731
    return densities.TwoLayerPosterior(lower, (), one, upper)

  below = lambda params, z_2, mask: densities.DiagonalGaussian(z_2, one, one)  # noqa: E731
  return posterior_of, densities.TwoLayerPrior((), jnp.ones(2), 1, below)


def test_two_layers_have_no_marginals_to_compare():
  """Their log q comes by latent, as a chain: I and KL by quadrature, the rest is empty."""
  means = np.linspace(-1.5, 1.5, 40)
  posterior_of, prior = two_layers(means)
  parts = parts_of(posterior_of, prior, 40, 2, SEEDS)
  assert np.all(np.isnan(parts['total_correlation']))
  assert np.all(np.isnan(parts['dimension_wise_kl']))
  line = np.linspace(-8, 8, 401)
  z_1, z_2 = np.meshgrid(line, line, indexing='ij')
  cell = (line[1] - line[0]) ** 2
  upper = scipy.stats.norm(0.8 * z_1, 0.6).pdf(z_2)
  q = scipy.stats.norm(means[:, None], 0.5).pdf(line).mean(axis=0)[:, None] * upper
  p = scipy.stats.norm.pdf(z_2) * scipy.stats.norm(z_2, 1).pdf(z_1)
  expected = {
    'mutual_information': information_by_quadrature(means, 0.5)[0],  # z_2 knows what z_1 knows
    'marginal_kl': scipy.special.rel_entr(q, p).sum() * cell,
  }
  for name, value in expected.items():
    found = np.asarray(parts[name], np.float64)
    error = found.std(ddof=1) / np.sqrt(len(found))
    assert found.mean() == pytest.approx(float(value), abs=5 * error), name


@pytest.mark.parametrize('latent_size', [1, 2])
def test_a_posterior_that_does_not_factorise_has_no_parts_by_latent(latent_size):
  """Of one latent there is nothing to factorise: no total correlation, and the KL is its own."""

  def posterior_of(x):
    loc = jnp.full(latent_size, jnp.argmax(x).astype(jnp.float32))
    return densities.FullGaussian(loc, 0.5 * jnp.eye(latent_size), jnp.ones(latent_size))

  parts = parts_of(posterior_of, standard(latent_size), 6, latent_size)
  if latent_size > 1:
    assert np.isnan(parts['total_correlation']) and np.isnan(parts['dimension_wise_kl'])
  else:
    assert parts['total_correlation'] == pytest.approx(0, abs=1e-6)
    assert parts['dimension_wise_kl'] == pytest.approx(float(parts['marginal_kl']), abs=1e-6)


def test_what_factorises_is_said_by_the_types():
  """`by_latent` and `factorises` of every posterior and prior; a chain has the first alone."""
  said = {
    kind.__name__: (kind.by_latent, kind.factorises)
    for kind in (
      *(densities.DiagonalGaussian, densities.FullGaussian, densities.FlowPosterior),
      *(densities.TwoLayerPosterior, densities.StandardNormal, densities.Mixture),
      *(densities.FlowPrior, densities.TwoLayerPrior),
    )
  }
  both = {name for name, (_, factorises) in said.items() if factorises}
  assert both == {'DiagonalGaussian', 'StandardNormal'}
  assert {name for name, (by_latent, _) in said.items() if by_latent} - both == {
    'TwoLayerPosterior',
    'TwoLayerPrior',
  }
