"""The bounds against quadrature, against models of known evidence, and against laws."""

import jax
import jax.numpy as jnp
import linear_gaussian
import numpy as np
import pytest
import scipy.integrate
import scipy.stats

from vae_jax import bounds, densities

pytestmark = pytest.mark.math

LOC, SCALE = 0.4, 0.6  # q(z | x) of the one-dimensional model
SLOPE, OFFSET = np.array([1.5, -0.7, 0.3]), np.array([0.2, 0.0, -1.0])
X = np.array([1.0, 0.0, 1.0])


def elbo(terms, beta, rate):
  """mean_l log p(x | z_l) - beta R; Higgins et al. 2017, eq. 4."""
  return jnp.mean(terms.log_likelihood) - beta * jnp.sum(rate(terms))


def gaussian_posterior(loc, scale, mask=None):
  loc = jnp.asarray(loc)
  mask = jnp.ones_like(loc) if mask is None else jnp.asarray(mask)
  return densities.DiagonalGaussian(loc, jnp.asarray(scale), mask)


def terms_of(loc, scale, decode, x, noise, mask=None, gradient=None):
  """The terms with a diagonal posterior and a standard normal prior."""
  posterior = gaussian_posterior(loc, scale, mask)
  prior = densities.StandardNormal(posterior.mask)
  return bounds.elbo_terms(posterior, prior, decode, jnp.asarray(x), noise, gradient)


def decode_bernoulli(z):
  return densities.bernoulli().make((jnp.asarray(SLOPE) * z[0] + OFFSET,))


def log_likelihood_at(z):
  """log p(x | z) of the one-dimensional model by SciPy."""
  return scipy.stats.bernoulli.logpmf(X, scipy.special.expit(SLOPE * z + OFFSET)).sum()


def integral(function):
  return scipy.integrate.quad(function, -12, 12, epsabs=1e-10)[0]


@jax.jit
def one_dimensional_terms(noise, loc=LOC, scale=SCALE):
  return terms_of([loc], [scale], decode_bernoulli, X, noise)


def test_elbo_equals_quadrature():
  """E_q[log p(x|z)] and KL by quadrature, for several betas and both forms of the KL."""
  q, p = scipy.stats.norm(LOC, SCALE), scipy.stats.norm()
  likelihood = integral(lambda z: q.pdf(z) * log_likelihood_at(z))
  kl = integral(lambda z: q.pdf(z) * (q.logpdf(z) - p.logpdf(z)))
  noise = np.random.default_rng(0).normal(size=(200_000, 1)).astype('f')
  forms = [(b, r) for b in (0.0, 0.3, 1.0, 4.0) for r in (bounds.analytic_kl, bounds.sampled_kl)]

  @jax.jit
  def estimates(noise):
    terms = one_dimensional_terms(noise)
    return terms.kl, jnp.stack([elbo(terms, *form) for form in forms])

  found_kl, found = estimates(noise)
  _, per_sample = jax.jit(jax.vmap(estimates))(noise[:, None])
  assert found_kl.sum() == pytest.approx(kl, abs=1e-5)
  stderr = np.std(np.float64(per_sample), axis=0) / np.sqrt(len(noise))
  for (beta, _), estimate, error in zip(forms, found, stderr, strict=True):
    assert estimate == pytest.approx(likelihood - beta * kl, abs=5 * float(error))


def test_elbo_is_below_the_evidence_by_the_kl_to_the_true_posterior():
  """log p(x) - ELBO = KL(q || p(z|x)), all by quadrature (Kingma & Welling 2014, eq. 1)."""
  q, p = scipy.stats.norm(LOC, SCALE), scipy.stats.norm()
  evidence = np.log(integral(lambda z: p.pdf(z) * np.exp(log_likelihood_at(z))))

  def gap(z):
    return q.pdf(z) * (q.logpdf(z) - p.logpdf(z) - log_likelihood_at(z) + evidence)

  noise = np.random.default_rng(1).normal(size=(200_000, 1)).astype('f')
  terms = one_dimensional_terms(noise)
  value = jax.jit(lambda terms: elbo(terms, 1.0, bounds.analytic_kl))(terms)
  stderr = np.std(terms.log_likelihood) / np.sqrt(len(noise))
  assert value < evidence
  assert evidence - value == pytest.approx(integral(gap), abs=5 * float(stderr))


@jax.jit
def bounds_of(terms):
  return bounds.iwae_bound(terms), elbo(terms, 1.0, bounds.sampled_kl)


def linear_terms(model, x, loc, scale, noise):
  return jax.jit(lambda *given: terms_of(*given[:2], model.decode, x, given[2]))(loc, scale, noise)


def test_iwae_grows_with_samples_and_stays_below_the_evidence():
  """Burda et al. 2016, theorem 1, on a linear-Gaussian model with a bad posterior."""
  model = linear_gaussian.make(event_size=6, latent_size=2)
  x = np.random.default_rng(1).normal(size=6)
  loc, scale = model.exact_posterior(x)
  evidence = model.log_evidence(x)

  def estimate(num_samples, repeats=20_000):
    noise = np.random.default_rng(num_samples).normal(size=(repeats, num_samples, 2)).astype('f')
    bound = lambda n: bounds.iwae_bound(linear_terms(model, x, loc + 0.3, 1.3 * scale, n))  # noqa: E731
    values = jax.jit(jax.vmap(bound))(noise)
    return np.mean(values), np.std(values) / np.sqrt(repeats)

  means, stderrs = np.array([estimate(k) for k in (1, 2, 5, 20)]).T
  steps = np.diff(means)
  assert np.all(steps > 5 * np.hypot(stderrs[1:], stderrs[:-1]))
  assert np.all(means < evidence + 5 * stderrs)
  assert evidence - means[-1] < 0.1 * (evidence - means[0])


@pytest.mark.parametrize('num_samples', [1, 50])
def test_bounds_are_exact_at_the_exact_posterior(num_samples):
  """There log w is constant: ELBO (sampled KL), IWAE = log p(x), with no variance, for any L."""
  model = linear_gaussian.make(event_size=6, latent_size=3)
  x = np.random.default_rng(2).normal(size=6)
  noise = np.random.default_rng(0).normal(size=(num_samples, 3)).astype('f')
  terms = linear_terms(model, x, *model.exact_posterior(x), noise)
  evidence = model.log_evidence(x)
  assert bounds_of(terms) == pytest.approx((evidence, evidence), abs=1e-4)


def test_sampled_kl_agrees_with_the_analytic_one():
  rng = np.random.default_rng(3)
  loc, log_scale = rng.normal(size=(2, 7)).astype('f')
  noise = rng.normal(size=(100_000, 7)).astype('f')
  decode = lambda z: densities.bernoulli().make((z,))  # noqa: E731
  make = jax.jit(lambda *given: terms_of(*given[:2], decode, jnp.ones(7), given[2]))
  terms = make(loc, np.exp(log_scale), noise)
  stderr = np.std(terms.log_ratio, axis=0) / np.sqrt(len(noise))  # by latent
  both = jax.jit(lambda terms: (bounds.analytic_kl(terms), bounds.sampled_kl(terms)))
  analytic, sampled = map(np.asarray, both(terms))
  assert np.all(np.abs(sampled - analytic) < 5 * stderr)
  scale = np.exp(log_scale)
  closed_form = 0.5 * (np.square(loc) + scale**2 - 1 - 2 * np.asarray(log_scale))
  np.testing.assert_allclose(terms.kl, closed_form, rtol=1e-4, atol=1e-6)


def test_every_axis_is_reduced_where_it_should_be():
  """All sizes differ, so that a sum over the wrong axis cannot go unseen; NumPy is the oracle."""
  n, num_samples, z_size, d = 2, 3, 4, 5
  rng = np.random.default_rng(0)
  x = rng.integers(0, 2, (n, d)).astype(np.float32)
  loc, log_scale = rng.normal(size=(2, n, z_size)).astype(np.float32)
  noise = rng.normal(size=(n, num_samples, z_size)).astype(np.float32)
  weights = rng.normal(size=(d, z_size)).astype(np.float32)
  mask = np.array([1, 1, 1, 0], np.float32)

  def one(x, loc, log_scale, noise):
    decode = lambda z: densities.bernoulli().make((jnp.asarray(weights) @ z,))  # noqa: E731
    return terms_of(loc, jnp.exp(log_scale), decode, x, noise, mask)

  terms = jax.jit(jax.vmap(one))(x, loc, log_scale, noise)
  z = mask * (loc[:, None] + np.exp(log_scale)[:, None] * noise)
  logits = np.einsum('dz,nlz->nld', weights, z, dtype=np.float64)
  log_likelihood = scipy.stats.bernoulli.logpmf(x[:, None], scipy.special.expit(logits)).sum(-1)
  q = scipy.stats.norm(loc[:, None], np.exp(log_scale)[:, None])
  log_ratio = mask * (scipy.stats.norm.logpdf(z) - q.logpdf(z))
  np.testing.assert_allclose(terms.log_likelihood, log_likelihood, rtol=1e-5)
  np.testing.assert_allclose(terms.log_ratio, log_ratio, rtol=1e-4, atol=1e-5)
  np.testing.assert_allclose(terms.z, z, rtol=1e-5)
  log_w = log_likelihood + log_ratio.sum(-1)
  iwae = scipy.special.logsumexp(log_w, axis=1) - np.log(num_samples)
  np.testing.assert_allclose(jax.jit(jax.vmap(bounds.iwae_bound))(terms), iwae, rtol=1e-5)
  assert terms.kl.shape == (n, z_size)


def test_duplicated_pixels_double_the_distortion_and_leave_the_rate_alone():
  """KL and reconstruction are both sums: nothing is averaged over pixels or latents."""
  rng = np.random.default_rng(5)
  logits, noise = rng.normal(size=6).astype('f'), rng.normal(size=(4, 2)).astype('f')
  x = (logits > 0).astype('f')

  def repeated(repeat):
    decode = lambda z: densities.bernoulli().make((jnp.tile(logits * z[0], repeat),))  # noqa: E731
    scale = jnp.exp(jnp.array([-0.5, 0.1]))
    return terms_of([0.3, -1.0], scale, decode, jnp.tile(x, repeat), noise)

  @jax.jit
  def parts():
    return [
      (bounds.distortion(terms), bounds.analytic_kl(terms), bounds.sampled_kl(terms))
      for terms in (repeated(1), repeated(2))
    ]

  once, twice = parts()
  assert twice[0] == pytest.approx(2 * float(once[0]), rel=1e-6)
  np.testing.assert_array_equal(twice[1], once[1])
  np.testing.assert_array_equal(twice[2], once[2])


@pytest.mark.parametrize(('loc', 'scale'), [(3.0, 1e-3), (10.0, 1e-5), (3.0, 1e-7)])
def test_log_q_does_not_cancel_where_the_posterior_is_narrow(loc, scale):
  """log q(mu + s e) = log N(e; 0, 1) - log s exactly, however small s is beside mu."""
  noise = np.linspace(-2, 2, 9)[:, None]
  terms = one_dimensional_terms(noise, loc, scale)
  log_q = scipy.stats.norm.logpdf(noise[:, 0]) - np.log(scale)
  log_p = scipy.stats.norm.logpdf(loc + scale * noise[:, 0])
  np.testing.assert_allclose(terms.log_ratio[:, 0], log_p - log_q, rtol=1e-5)


def test_wrong_ranks_are_refused():
  with pytest.raises(AssertionError):
    terms_of([0.0, 0.0], [1.0, 1.0], decode_bernoulli, X, jnp.zeros(2))
