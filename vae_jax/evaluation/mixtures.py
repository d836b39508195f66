"""A Gaussian mixture fitted to the aggregate posterior q(z) of a lane: where its codes lie.

Where q(z) is far from the prior, prior samples meet codes that the decoder has never seen, and are
bad though reconstructions are good. Samples of a mixture that is fitted to the codes are not: Ghosh
et al. 2020, "From variational to deterministic autoencoders", section 4, arxiv.org/abs/1903.12436.
"""

import warnings
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from vae_jax import data, learner, networks
from vae_jax.data import Beside
from vae_jax.evaluation.batches import Batches, highest_precision
from vae_jax.lanes import Lane

_STEPS = 60  # of the EM algorithm
_LEAST_VARIANCE = 1e-4  # that is added along each latent, in units of its variance
_SMALLEST = 1e-6  # that a latent may vary by


class Mixture(NamedTuple):
  """m(z) = sum_k w_k N(z; mean_k, L_k L_k'), with a leading axis [G] for all lanes.

  Attributes:
    log_weights: [K] log w.
    means: [K, Z], 0 of an inert latent.
    factors: L [K, Z, Z], lower triangles, 0 of an inert latent.
  """

  log_weights: Array
  means: Array
  factors: Array

  def sample(self, key: Array, count: int, mask: Array) -> Array:
    """Returns draws [count, Z] of a lane, 0 of an inert latent."""
    which_key, noise_key = jax.random.split(key)
    which = jax.random.categorical(which_key, self.log_weights, shape=(count,))
    noise = learner.draw_noise(noise_key, count, 1, mask.size)[:, 0]
    return mask * (self.means[which] + jnp.einsum('nij,nj->ni', self.factors[which], mask * noise))


@highest_precision
def drawn_codes(
  model: networks.Model, params: Any, lane: Lane, batches: Batches, scale: float, index: int
) -> tuple[Array, Array]:
  """Returns one z ~ q(z | x) of every example [n, Z], and log p(z) [n] under the prior, in nats.

  Args:
    model: of one example.
    params, lane: of one lane.
    batches: as stored.
    scale: the model sees stored / scale.
    index: of the draw; each has a noise of its own.
  """
  params = model.at_beta(params, lane.beta)
  flat = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), batches)
  x = data.to_values(flat.images, scale)
  key = jax.random.fold_in(learner.lane_keys(lane).aggregate, index)
  noise = learner.draw_noise(key, len(x), 1, lane.mask.size)[:, 0]

  def one(x: Array, beside: Beside, noise: Array) -> Array:
    return model.encode(model.knowing(params, beside), x, lane.mask).sample(noise)[0]

  z = lane.mask * jax.vmap(one)(x, flat.beside, noise)
  prior = model.prior(params, lane.mask)
  return z, jax.vmap(lambda z: prior.log_prob(z).sum())(z)


def fit(
  z: np.ndarray,
  held_out: np.ndarray,
  log_prior: np.ndarray,
  mask: np.ndarray,
  num_components: int,
  seed: int,
) -> tuple[Mixture, float]:
  """Returns the mixture of a lane's codes, and what it knows of others that the prior does not.

    gain = E_q(z)[log m(z) - log p(z)] = KL(q(z) || p(z)) - KL(q(z) || m)

  in nats: at most the marginal KL, and 0 or less where nothing is to be gained over the prior. The
  fit is scikit-learn's, with a full covariance: on the host, once for each lane. Of codes that are
  not finite all is NaN.

  Args:
    z: codes [n, Z] that it is fitted to.
    held_out: codes [m, Z] of other examples, by which the gain is measured.
    log_prior: log p [m] of these.
    mask: [Z] of the lane: inert latents are left out.
    num_components: K; where there are fewer codes, as many as these have a weight.
    seed: of where it begins.
  """
  active, size = np.flatnonzero(mask), len(mask)
  log_weights = np.full(num_components, -np.inf, np.float32)
  means = np.zeros((num_components, size), np.float32)
  factors = np.zeros((num_components, size, size), np.float32)
  if not (np.isfinite(z).all() and np.isfinite(held_out).all()):
    return Mixture(*(np.full_like(a, np.nan) for a in (log_weights, means, factors))), np.nan
  from sklearn import exceptions, mixture  # a second that only the end of a run costs

  codes, others = (np.asarray(each, np.float64)[:, active] for each in (z, held_out))
  unit = np.maximum(codes.std(axis=0), _SMALLEST)
  count = min(num_components, len(codes))
  found = mixture.GaussianMixture(
    count,
    reg_covar=_LEAST_VARIANCE,
    max_iter=_STEPS,
    init_params='k-means++',
    random_state=seed,
  )
  with warnings.catch_warnings():  # of so many steps it need not have come to rest
    warnings.simplefilter('ignore', exceptions.ConvergenceWarning)
    found.fit(codes / unit)
  log_weights[:count] = np.log(found.weights_)
  means[:count, active] = unit * found.means_
  triangles = unit[:, None] * np.linalg.cholesky(found.covariances_)
  factors[np.ix_(range(count), active, active)] = triangles
  gains = found.score_samples(others / unit) - np.log(unit).sum() - log_prior
  return Mixture(log_weights, means, factors), float(gains.mean())
