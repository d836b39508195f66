"""Until which beta the training data can hold a latent: closed forms, quadrature, real spectra."""

import math
import os

import numpy as np
import pytest
import scipy.optimize
import scipy.special
import sklearn.datasets

from experiments import closed_form
from vae_jax import config as settings
from vae_jax import densities, forecast, lanes, study

pytestmark = pytest.mark.math


def gaussian(**settings):
  """Returns what a Gaussian likelihood says of its variance."""
  likelihood = densities.gaussian(**settings)
  learned = likelihood.at_scale is not None
  return likelihood.variance, likelihood.min_scale if learned else None


def with_spectrum(eigenvalues, size, count=40, seed=0):
  """Returns examples [count, size] whose covariance has exactly these eigenvalues, and 0."""
  rng = np.random.default_rng(seed)
  raw = rng.normal(size=(count, len(eigenvalues)))
  scores, _ = np.linalg.qr(raw - raw.mean(axis=0))  # orthonormal, of mean 0
  axes, _ = np.linalg.qr(rng.normal(size=(size, size)))
  return 3.0 + math.sqrt(count) * scores * np.sqrt(eigenvalues) @ axes[:, : len(eigenvalues)].T


def test_of_a_fixed_variance_latents_live_while_their_eigenvalue_is_above_beta_s2():
  found = forecast.forecast(with_spectrum([9.0, 4.0, 1.0], 6), *gaussian(initial_scale=0.5))
  np.testing.assert_allclose(found.onsets, [36.0, 16.0, 4.0])
  counts = [found.active(beta, 10) for beta in (0.0, 3.9, 4.1, 15.9, 16.1, 35.9, 36.1)]
  assert counts == [3, 3, 2, 2, 1, 1, 0]
  assert [found.active(0.1, latent_size) for latent_size in (1, 2, 3)] == [1, 2, 3]


@pytest.mark.parametrize('scale', [0.1, 0.4])
def test_it_is_the_number_of_units_of_the_closed_form_of_the_linear_vae(scale):
  x = sklearn.datasets.load_digits().data / 16.0
  exact = closed_form.spectrum(x, 1.0).eigenvalues
  found = forecast.forecast(x, *gaussian(initial_scale=scale))
  counts = []
  for beta in np.geomspace(0.1, 200, 15):
    units = closed_form.optimum(exact, exact, 20, scale**2, beta).active_units
    assert found.active(beta, 20) == units
    counts.append(units)
  assert len(set(counts)) > 5 and counts[-1] == 0


@pytest.mark.parametrize('latent_size', [1, 3, 6])
@pytest.mark.parametrize('beta', [1.0, 1.6, 5.0])
def test_of_a_learned_variance_it_is_the_best_of_all_variances(latent_size, beta):
  """The optimum of D + beta R over s^2, each with the latents of its own closed form."""
  eigenvalues = np.array([5.0, 2.0, 1.0, 0.4, 0.2, 0.1, 0.06, 0.05, 0.0, 0.0])
  variances = np.geomspace(1e-4, 20.0, 1001)
  optima = [
    closed_form.optimum(eigenvalues, eigenvalues, latent_size, s2, beta) for s2 in variances
  ]
  costs = [optimum.distortion + beta * optimum.rate for optimum in optima]
  best = optima[int(np.argmin(costs))].active_units
  found = forecast.forecast(with_spectrum(eigenvalues[:8], 10), *gaussian(scale='shared'))
  assert found.active(beta, latent_size) == best


def test_of_a_learned_variance_at_beta_1_no_latent_collapses():
  """Probabilistic PCA: the variance is the mean of the discarded eigenvalues, below the others."""
  found = forecast.forecast(with_spectrum([5.0, 2.0, 1.0, 0.9], 8), *gaussian(scale='optimal'))
  assert found.active(1.0, 8) == 4
  # Under a lower bound of s^2 that is above 0.9 the last one collapses.
  for min_scale, active in ((0.92, 4), (0.97, 3)):
    bounded = gaussian(scale='optimal', min_scale=min_scale, initial_scale=1.0)
    found = forecast.forecast(with_spectrum([5.0, 2.0, 1.0, 0.9], 8), *bounded)
    assert found.active(1.0, 8) == active


def best_gain(probabilities, states, beta, seed=0):
  """Returns the most of -D - beta R above collapse that is found from near it, by quadrature.

  One latent, logits b + w z, q(z | x) any Gaussian for each of the states x.
  """
  nodes, weights = np.polynomial.hermite_e.hermegauss(24)
  weights = weights / weights.sum()
  mean = probabilities @ states
  rng, size = np.random.default_rng(seed), states.shape[1]

  def cost(flat):
    b, w, loc, log_scale = np.split(flat, [size, 2 * size, 2 * size + len(states)])
    z = loc[:, None] + np.exp(log_scale)[:, None] * nodes
    logits = b + z[:, :, None] * w  # [X, nodes, D]
    terms = states[:, None] * logits - np.logaddexp(0, logits)
    rate = (np.exp(2 * log_scale) + loc**2 - 1) / 2 - log_scale
    return -probabilities @ (terms.sum(axis=2) @ weights - beta * rate)

  near = 0.1 * rng.normal(size=size + 2 * len(states))
  start = np.concatenate([scipy.special.logit(mean), near])
  found = scipy.optimize.minimize(cost, start, method='BFGS', options=dict(gtol=1e-7))
  collapsed = -(mean * np.log(mean) + (1 - mean) * np.log1p(-mean)).sum()
  return collapsed - found.fun


def test_of_binary_pixels_collapse_is_left_below_their_eigenvalue_and_kept_above_it():
  """By quadrature over z and all images of three pixels: nothing of the forecast is in it."""
  states = np.array([[(i >> j) & 1 for j in range(3)] for i in range(8)], float)
  probabilities = np.array([6, 1, 2, 1, 1, 2, 2, 5]) / 20
  images = np.repeat(states, [6, 1, 2, 1, 1, 2, 2, 5], axis=0)
  found = forecast.forecast(images, densities.bernoulli().variance)
  np.testing.assert_allclose(
    found.onsets, np.sort(np.linalg.eigvalsh(np.corrcoef(images.T)))[::-1], rtol=1e-12
  )
  first = found.onsets[0]
  assert best_gain(probabilities, states, 0.85 * first) > 1e-3
  assert best_gain(probabilities, states, 1.15 * first) < 1e-6


def test_pixels_that_hardly_ever_vary_hold_nothing():
  """Two pixels that light up together in 5 of 10,000 images would hold a latent up to beta 2."""
  rng = np.random.default_rng(0)
  images = (rng.random((10_000, 5)) < 0.3).astype(np.uint8)
  images[:, 3:] = 0
  plain = forecast.forecast(images, densities.bernoulli().variance)
  images[:5, 3:] = 1
  found = forecast.forecast(images, densities.bernoulli().variance)
  np.testing.assert_array_equal(found.onsets, plain.onsets)
  assert len(found.onsets) == 3
  images[:40, 3:] = 1
  assert forecast.forecast(images, densities.bernoulli().variance).active(1.9, 5) == 1
  dark = forecast.forecast(np.zeros((20, 5)), densities.bernoulli().variance)
  assert dark.active(0.0, 10) == 0


def test_likelihoods_say_whether_there_is_a_forecast():
  for scale, variance in (('fixed', 0.25), ('shared', 1.0), ('optimal', 1.0)):
    found = densities.gaussian(scale=scale, initial_scale=0.5).variance(np.zeros(3))
    np.testing.assert_array_equal(found, [variance] * 3)
  assert densities.gaussian(scale='per_pixel').variance is None
  assert densities.discretized_logistic().variance is None
  assert densities.continuous_bernoulli().variance is None
  mean = np.array([0.0, 0.001, 0.25, 0.9995])
  for likelihood in (densities.bernoulli(), densities.cross_entropy()):
    np.testing.assert_allclose(likelihood.variance(mean), [0, 0, 3 / 16, 0])


@pytest.fixture
def narrow(monkeypatch):
  """Events of more than 50 values are wide."""
  monkeypatch.setattr(forecast, '_WIDEST', 50)


def test_wide_examples_have_the_eigenvalues_of_their_products(narrow):
  x = with_spectrum([9.0, 4.0, 1.0], 60)
  found = forecast.forecast(x, *gaussian())
  np.testing.assert_allclose(found.onsets, [9.0, 4.0, 1.0], rtol=1e-5)


def test_the_spectrum_of_a_few_wide_examples_is_not_that_of_their_noise(narrow):
  """Variances along axes that were fitted to other examples: those of noise of variance 1 are 1."""
  rng = np.random.default_rng(0)
  y = rng.normal(size=(200, 60))
  y[:, 0] *= 8.0
  assert np.linalg.eigvalsh(y[:100, 1:].T @ y[:100, 1:] / 100)[-1] > 2.5  # what is avoided
  found = forecast.forecast(y, *gaussian(), is_sample=True).onsets
  deviation = math.sqrt(2 / 100)  # of a variance that is estimated of 100 examples
  assert abs(found[0] / 64 - 1) < 5 * deviation
  assert found[1] < 1 + 5 * deviation


def test_of_wide_examples_fewer_are_taken():
  sizes = (784, 1024, 3072, 12_288, 116_412, 10**12)
  counts = [forecast.num_examples(size) for size in sizes]
  assert counts == [10_000, 10_000, 2551, 1275, 414, 2]


# Of a study


def of_study(**sections):
  """Returns the forecast of a study of the digits, and their values as the model sees them."""
  given = {'data': {}, **sections}
  config = settings.complete(given | {'data': dict(name='digits') | given['data']})
  dataset = study.dataset_of(config)
  x = dataset.train_fixed.reshape(len(dataset.train), -1) / dataset.fixed_scale
  return study.forecast_of(config, dataset), x


def test_of_a_study_it_is_that_of_what_the_likelihood_sees():
  found, x = of_study(data=dict(binarize='dynamic'))
  mean = x.mean(axis=0)
  kept = (mean > 0.001) & (mean < 0.999)
  exact = np.linalg.eigvalsh(np.corrcoef(x[:, kept].T))[::-1]
  np.testing.assert_allclose(found.onsets, exact[: len(found.onsets)], rtol=1e-9)
  gaussian = dict(name='gaussian', initial_scale=0.5)
  data = dict(standardize='per_pixel', scale_to_unit=False)
  found, x = of_study(data=data, likelihood=gaussian)
  spread = x[:, x.std(axis=0) > 0]
  exact = np.linalg.eigvalsh(np.corrcoef(spread.T))[::-1] / 0.25
  np.testing.assert_allclose(found.onsets[:20], exact[:20], rtol=1e-3)  # of nearly constant pixels


def test_where_beta_weighs_something_else_there_is_none():
  binary = dict(binarize='dynamic')
  for sections in (
    dict(data=binary, prior=dict(name='mixture'), bound=dict(kl='sampled')),
    dict(data=binary, bound=dict(name='beta_tcvae')),
    dict(data=binary, bound=dict(name='iwae', kl='sampled')),
    dict(likelihood=dict(name='continuous_bernoulli')),
    dict(likelihood=dict(name='gaussian', scale='per_pixel')),
  ):
    assert of_study(**sections)[0] is None


def test_a_part_of_the_examples_is_a_sample(monkeypatch):
  monkeypatch.setattr(forecast, 'num_examples', lambda size: 100)
  monkeypatch.setattr(forecast, '_WIDEST', 50)
  found, _ = of_study(data=dict(binarize='dynamic'))
  assert len(found.onsets) <= 50  # axes of a half of them


def test_the_line_has_the_betas_of_the_lanes_that_it_concerns():
  found = forecast.Forecast(np.array([7.0, 3.0, 2.0, 0.9]))
  points = [lanes.point(beta, 3) for beta in (8.0, 0.0, 0.5, 2.5)]
  fields = dict(free_bits=0.1), dict(capacity=5.0), dict(target_rate=5.0)
  held = [lanes.point(1.0, 10, **field) for field in fields]
  assert study.foretold(found, [*points, *held]) == (
    'forecast from the spectrum of the training data: of 3 latents 3, 2, 0 can be active at beta '
    '0.5, 2.5, 8; none from beta 7 on'
  )
  assert study.foretold(found, held) == ''
  many = [lanes.point(float(beta), 3) for beta in range(1, 40)]
  assert 'at beta 1, 6, 12, 17, 23, 28, 34, 39;' in study.foretold(found, many)


def mnist(name, split):
  if not os.path.isdir(os.path.join(os.environ.get('TFDS_DATA_DIR', ''), name)):
    pytest.skip(f'{name} is not prepared')
  dataset = study.dataset_of(settings.complete({'data': {'name': name, 'train_split': split}}))
  return dataset.train.reshape(-1, 784) / dataset.scale


@pytest.mark.slow
def test_the_spectrum_of_static_mnist():
  images = mnist('binarized_mnist', 'test')
  every = forecast.forecast(images, lambda mean: mean * (1 - mean))
  ours = forecast.forecast(images, densities.bernoulli().variance)
  assert ((images.mean(axis=0) > 0) & (images.mean(axis=0) < 1)).sum() == 643
  for found in (every, ours):
    assert found.onsets[0] == pytest.approx(33.24, abs=0.01)
  counts = [[found.active(beta, 784) for beta in (1, 2, 4, 8)] for found in (every, ours)]
  assert counts == [[138, 65, 27, 10], [103, 52, 25, 10]]


@pytest.mark.slow
def test_the_linear_vae_of_grey_mnist():
  images = mnist('mnist', 'train')
  exact = closed_form.spectrum(images, 1.0).eigenvalues / 0.05
  found = forecast.forecast(images, *gaussian(initial_scale=math.sqrt(0.05)))
  np.testing.assert_allclose(found.onsets[:50], exact[:50], rtol=1e-6)
  counts = [found.active(beta, 50) for beta in (0.1, 1, 4, 8, 16, 32, 64, 110)]
  assert counts == [50, 50, 45, 28, 15, 7, 3, 0]
