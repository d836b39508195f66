"""Every kind of posterior, prior and likelihood at the front door, from random parameters.

The oracle is written out: z by its noise, and log p(x | z) + log p(z) - log q(z | x) of each.
"""

import functools
import itertools
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import small_config
from latent_kinds import randomized

from vae_jax import config as settings
from vae_jax import errors, lanes, learner, study
from vae_jax.front import Lane, images, loading
from vae_jax.runs import model_file

pytestmark = pytest.mark.run

POSTERIORS = {
  'diagonal': {},
  'full_covariance': {},
  'flow': dict(num_layers=2, hidden=(4,)),
  'two_layer': dict(lower_size=4, hidden=(5,)),
}
PRIORS = {
  'standard_normal': {},
  'mixture': dict(num_components=3),
  'vamp': dict(num_components=2),
  'flow': dict(num_layers=2, hidden=(4,)),
  'two_layer': dict(hidden=(5,)),
}
# What a likelihood is over, and what of it is set.
LIKELIHOODS = {
  'bernoulli': ('binary', {}),
  'cross_entropy': ('unit', {}),
  'continuous_bernoulli': ('unit', {}),
  'gaussian': ('real', dict(scale='per_pixel', initial_scale=0.5)),
  'discretized_logistic': ('uint8', dict(initial_scale=0.2, num_components=2)),
  'categorical': ('uint8', {}),
}
PAIRS = [
  (q, p)
  for q, p in itertools.product(POSTERIORS, PRIORS)
  if ('two_layer' in q) == ('two_layer' in p)
]
# Moments in closed form and by draws, two layers, bytes, a prior that is mixed of posteriors;
# `test_models` and `test_likelihoods` have every kind.
FEW = [
  ('diagonal', 'mixture', 'gaussian'),
  ('flow', 'vamp', 'bernoulli'),
  ('two_layer', 'two_layer', 'discretized_logistic'),
]
KINDS = [
  pytest.param(q, p, name, marks=() if (q, p, name) in FEW else pytest.mark.slow)
  for (q, p), name in itertools.product(PAIRS, LIKELIHOODS)
]
SEED, SAMPLES = 3, 7
ELBO, NLL = slice(0, 2), slice(2, 2 + SAMPLES)  # of the noise that is written out


def lane_of(posterior, prior, likelihood):
  """A lane of 3 latents padded to 5, with random weights, and its model."""
  support, keys = LIKELIHOODS[likelihood]
  config = small_config()
  config['posterior'] = dict(name=posterior, **POSTERIORS[posterior])
  config['prior'] = dict(name=prior, **PRIORS[prior])
  config['likelihood'] = dict(name=likelihood, **keys)
  config['data'] |= dict(binarize='none', scale_to_unit=False, kind='auto')
  config['bound'] |= dict(kl='sampled', num_samples=2)
  config['evaluation'] |= dict(batch_size=12)
  config = settings.complete(config)
  facts = model_file.Facts(
    event=(3, 2, 1),
    num_train=100,
    sha256='',
    stored_support=support,
    white=255.0,
    support=support,
    scale=1.0,
    range=(0.0, 1.0),
    standard=None,
    smallest_batch=1,
    largest_batch=None,
  )
  built = study.trained_of(config, facts.stand_in(), facts.num_train)
  point = dict(beta=1.0, latent_size=3, seed=SEED)
  arrays = lanes.Lane(**{name: np.float32(0) for name in lanes.Lane._fields})
  mask = (np.arange(5 + built.lower_size) < 3 + built.lower_size).astype('f')
  arrays = arrays._replace(seed=np.uint32(SEED), mask=mask)
  shapes = jax.eval_shape(built.model.init, jax.random.key(0), mask)
  params = randomized(shapes, seed=1, size=0.3)
  lane = Lane('b1-z3-s3', point, 'done', 0, params, loading.shared_of(config, facts, built), arrays)
  return lane, built.model


def data_of(likelihood):
  rng = np.random.default_rng(2)
  greys = rng.integers(0, 256, (5, 3, 2, 1), np.uint8)
  support = LIKELIHOODS[likelihood][0]
  return {
    'binary': (greys > 99).astype(np.uint8),
    'unit': (greys / 255).astype('f'),
    'real': rng.normal(size=greys.shape).astype('f'),
    'uint8': greys,
  }[support]


def written_out(model, params, mask, x, noise):
  """Centres [N, Z], log p(x | z) and log p(z) - log q(z | x) [N, L] for noise [N, L, Z]."""

  @jax.jit
  def all_of(x, noise):
    prior = model.prior(params, mask)

    def one(x, noise):
      q = model.encode(params, x, mask)

      def of_sample(noise):
        z, log_q = q.sample(noise)
        log_ratio = prior.log_prob(z).sum() - log_q.sum()
        return model.decode(params, z, mask).log_prob(x), log_ratio

      return q.loc, *jax.vmap(of_sample)(noise)

    return jax.vmap(one)(x, noise)

  return jax.device_get(all_of(jnp.asarray(x, 'f'), noise))


@functools.cache
def noise_of(size):
  """What `elbo` and `log_likelihood` draw of seed 1 for the five examples, [5, L, Z]."""

  @jax.jit
  def drawn():
    keys = learner.lane_keys(types.SimpleNamespace(seed=np.uint32(SEED + 1)))
    # Batches of 12 // 2 images; noise by batch, see `Learner.evaluate`.
    noise = learner.draw_noise(jax.random.fold_in(keys.evaluation, 0), 5, 2, size)

    # Batches of 12 // 3 images, and chunks of 3 samples, of which the last two are not wanted.
    def of_chunk(batch, chunk):
      key = jax.random.fold_in(jax.random.fold_in(keys.nll, batch), chunk)
      return learner.draw_noise(key, 4, 3, size)

    over_chunks = jax.vmap(of_chunk, (None, 0), out_axes=1)
    of_nll = jax.vmap(over_chunks, (0, None))(jnp.arange(2), jnp.arange(3))  # [2, 4, 3, 3, Z]
    return jnp.concatenate([noise, of_nll.reshape(8, 9, size)[:5, :SAMPLES]], axis=1)

  return jax.device_get(drawn())


@pytest.mark.parametrize('posterior, prior, likelihood', KINDS)
def test_every_kind_is_what_its_terms_say(posterior, prior, likelihood):
  lane, model = lane_of(posterior, prior, likelihood)
  x, size = data_of(likelihood), lane.arrays.mask.size
  centres, *terms = written_out(model, lane.params, lane.arrays.mask, x, noise_of(size))
  (log_p, log_ratio), of_nll = ([term[:, part] for term in terms] for part in (ELBO, NLL))
  own = lane.num_latents
  np.testing.assert_allclose(lane.encode(x), centres[:, :own], rtol=1e-4, atol=1e-5)
  np.testing.assert_allclose(lane.distortion(x, 2, seed=1), -log_p.mean(axis=1), rtol=1e-4)
  np.testing.assert_allclose(lane.rate(x, 2, seed=1), -log_ratio.mean(axis=1), rtol=1e-3, atol=1e-3)
  elbo = (log_p + log_ratio).mean(axis=1)
  np.testing.assert_allclose(lane.elbo(x, 2, seed=1), elbo, rtol=1e-4, atol=1e-3)
  means = lane.decode(lane.encode(x))
  assert means.shape == x.shape and np.isfinite(means).all()
  np.testing.assert_array_equal(lane.reconstruct(x), means)
  assert lane.sample(3).shape == (3, 3, 2, 1)
  found = lane.posterior(x)
  assert found.mean.shape == found.scale.shape == (5, own) and (found.scale > 0).all()
  if not lane.shared.is_density:
    return
  expected = np.logaddexp.reduce(sum(of_nll), axis=1) - np.log(SAMPLES)
  np.testing.assert_allclose(
    lane.log_likelihood(x, SAMPLES, seed=1), expected, rtol=1e-4, atol=1e-3
  )


def test_what_is_no_density_has_no_likelihood():
  lane, _ = lane_of('diagonal', 'standard_normal', 'cross_entropy')
  with pytest.raises(errors.InputError, match='is no density'):
    lane.log_likelihood(data_of('cross_entropy'))


def test_moments_in_closed_form_are_those_of_draws():
  """Of a full covariance, against 100,000 samples: 5 standard errors."""
  lane, model = lane_of('full_covariance', 'standard_normal', 'bernoulli')
  x = data_of('bernoulli')
  found = lane.posterior(x)

  @jax.jit
  def draws(x, noise):
    q = model.encode(lane.params, x, lane.arrays.mask)
    return jax.vmap(lambda noise: q.sample(noise)[0])(noise)

  for i in range(2):
    noise = np.random.default_rng(i).normal(size=(100_000, 5)).astype('f')
    z = np.asarray(draws(np.float32(x[i]), noise))[:, :3]
    error = 5 * found.scale[i] / np.sqrt(len(z))
    assert (abs(z.mean(axis=0) - found.mean[i]) < error).all()
    assert (abs(z.std(axis=0) - found.scale[i]) < error).all()


def test_the_images_here_are_those_of_their_support():
  lane, _ = lane_of('diagonal', 'standard_normal', 'gaussian')
  x = data_of('gaussian')
  np.testing.assert_array_equal(images.prepare(x, lane.shared.facts, lane.shared.data), x)
