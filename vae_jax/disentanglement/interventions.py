"""Scores of a classifier that must tell which factor was held fixed: beta-VAE and FactorVAE.

Both fix one factor, draw examples that share its value, and see which latent stays put.
"""

import numpy as np

from vae_jax.disentanglement import inputs

NUM_TRAIN = 2_000  # points from which the classifier learns
NUM_TEST = 1_000  # points on which it is scored: a standard error of at most 0.016
NUM_DRAWS = 64  # L: pairs or examples of one point
INERT_VARIANCE = 0.01  # Burda et al. 2016, section 5.1: a latent below it is not active


def beta_vae_score(codes: np.ndarray, factors: np.ndarray, seed: int) -> float:
  """Accuracy of the beta-VAE metric, from about 1/F (chance) to 1; higher is better.

    d = 1/L sum_l |c(x_1l) - c(x_2l)|        f ~ argmax_f (W d + b)_f

  A point d [Z] comes of L = 64 pairs of examples that share the value of one random factor f; a
  linear classifier (logistic regression) learns f from 2,000 points and is scored on 1,000 others.
  Higgins et al. 2017, section 3 and appendix A.4, openreview.net/forum?id=Sy2fzU9gl. Pairs are
  drawn from the examples given, with replacement. Codes are divided by their standard deviation
  first, so that the scale of a latent does not matter; codes of which none varies score chance.

  Args:
    codes: [n, Z], real.
    factors: [n, F], integer; those with one value only are left out.
    seed: of the pairs.

  Raises:
    InputError: the inputs do not fit.
  """
  from sklearn import linear_model

  codes, factors = inputs.checked(codes, factors)
  if factors.shape[1] == 1:
    return 1.0  # one factor to choose from
  spread = codes.std(axis=0)
  codes = codes / np.where(spread > 0, spread, 1)
  rng = np.random.default_rng(seed)
  fixed = rng.integers(factors.shape[1], size=NUM_TRAIN + NUM_TEST)  # [P]
  first = rng.integers(len(codes), size=(len(fixed), NUM_DRAWS))  # [P, L]
  second = _partners(factors, fixed[:, None], first, rng)
  distance = np.mean(np.abs(codes[first] - codes[second]), axis=1)  # [P, L, Z] -> [P, Z]
  classifier = linear_model.LogisticRegression(max_iter=1000)
  classifier.fit(distance[:NUM_TRAIN], fixed[:NUM_TRAIN])
  return float(classifier.score(distance[NUM_TRAIN:], fixed[NUM_TRAIN:]))


def factor_vae_score(codes: np.ndarray, factors: np.ndarray, seed: int) -> float:
  """Accuracy of the FactorVAE metric, from about 1/F (chance) to 1; higher is better.

    z* = argmin_z Var_l(c_z(x_l)) / Var(c_z)        f ~ argmax_f votes[z*, f]

  A vote comes of L = 64 examples that share the value of one random factor f: the latent z* that
  varies least among them. The classifier is the majority of 2,000 votes, scored on 1,000 others.
  Kim & Mnih 2018, section 4, arxiv.org/abs/1802.05983. Latents with a variance of at most 0.01
  (those that are not active, if the prior is N(0, 1)) have no vote; without any other the score
  is 0. Examples are drawn from those given, with replacement.

  Args:
    codes: [n, Z], real.
    factors: [n, F], integer; those with one value only are left out.
    seed: of the votes.

  Raises:
    InputError: the inputs do not fit.
  """
  codes, factors = inputs.checked(codes, factors)
  variance = codes.var(axis=0)
  active = variance > INERT_VARIANCE
  if not active.any():
    return 0.0
  codes = codes[:, active] / np.sqrt(variance[active])
  rng = np.random.default_rng(seed)
  fixed = rng.integers(factors.shape[1], size=NUM_TRAIN + NUM_TEST)  # [P]
  anchor = rng.integers(len(codes), size=(len(fixed), 1))  # whose value is shared
  chosen = _partners(factors, fixed[:, None], np.repeat(anchor, NUM_DRAWS, axis=1), rng)  # [P, L]
  stillest = np.argmin(codes[chosen].var(axis=1), axis=1)  # [P, L, Z] -> [P]
  votes = np.zeros((codes.shape[1], factors.shape[1]), np.int64)
  np.add.at(votes, (stillest[:NUM_TRAIN], fixed[:NUM_TRAIN]), 1)
  majority = np.argmax(votes, axis=1)  # [Z]
  return float(np.mean(majority[stillest[NUM_TRAIN:]] == fixed[NUM_TRAIN:]))


def _partners(
  factors: np.ndarray, fixed: np.ndarray, examples: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
  """Draws for each of some examples one that has the same value of a factor, with replacement.

  Args:
    factors: [n, F], indices from 0.
    fixed: the factor to share, broadcast against `examples`.
    examples: indices from 0 to n - 1, of any shape.
    rng: of the draws.

  Returns:
    indices, in the shape of `examples`.
  """
  order = np.argsort(factors, axis=0, kind='stable')  # [n, F]: equal values are neighbours
  counts = [np.bincount(column, minlength=factors.max() + 1) for column in factors.T]
  counts = np.stack(counts, axis=1)  # [K, F]
  starts = np.cumsum(counts, axis=0) - counts
  values = factors[examples, fixed]
  offsets = rng.integers(counts[values, fixed])
  return order[starts[values, fixed] + offsets, fixed]
