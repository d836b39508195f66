"""Scores that compare the best latent of a factor with the second best: MIG and SAP."""

import numpy as np

from vae_jax.disentanglement import inputs

NUM_BINS = 20  # of equal width, between the smallest and the largest code (Locatello et al. 2019)


def mig(codes: np.ndarray, factors: np.ndarray) -> float:
  """Mutual information gap, from 0 to 1; higher is better.

    MIG = 1/F sum_f (I(c_(1); v_f) - I(c_(2); v_f)) / H(v_f)

  c_(1) and c_(2) are the latents that tell most and second most of factor f, discretised in 20 bins
  of equal width. Chen et al. 2018, eq. 6, arxiv.org/abs/1802.04942; the bins as in Locatello et al.
  2019, arxiv.org/abs/1811.12359. A factor with more than 20 values of equal frequency cannot reach
  1. A constant latent tells nothing, and neither does the second latent of a single one: 0.

  Args:
    codes: [n, Z], real.
    factors: [n, F], integer; those with one value only are left out.

  Raises:
    InputError: the inputs do not fit.
  """
  codes, factors = inputs.checked(codes, factors)
  information = mutual_information(codes, factors)  # [Z, F]
  entropy = np.array([_entropy(np.bincount(factor)) for factor in factors.T])  # [F]
  return float(np.mean(_gap(information, np.zeros_like(entropy)) / entropy))


def mutual_information(codes: np.ndarray, factors: np.ndarray) -> np.ndarray:
  """Returns I(c_z; v_f) in nats, [Z, F], of codes [n, Z] in 20 bins and factors [n, F].

  I = H(c) + H(v) - H(c, v), from the frequencies of the n examples; factors are indices from 0.
  """
  information = np.empty((codes.shape[1], factors.shape[1]))
  for z, code in enumerate(codes.T):
    bins = _bins(code)
    for f, factor in enumerate(factors.T):
      joint = np.bincount(bins * (factor.max() + 1) + factor)
      parts = _entropy(np.bincount(bins)) + _entropy(np.bincount(factor))
      information[z, f] = np.maximum(0.0, parts - _entropy(joint))
  return information


def _bins(code: np.ndarray) -> np.ndarray:
  """Returns the bin of each code, [n], from 0 to NUM_BINS - 1; all 0 for a constant latent."""
  span = np.ptp(code)
  if span == 0:
    return np.zeros(len(code), np.int64)
  place = (code - code.min()) / span * NUM_BINS
  return np.minimum(place.astype(np.int64), NUM_BINS - 1)


def _entropy(counts: np.ndarray) -> float:
  """Returns the entropy of frequencies, in nats."""
  p = counts[counts > 0] / counts.sum()
  return float(-np.sum(p * np.log(p)))


def sap(codes: np.ndarray, factors: np.ndarray) -> float:
  """Separated attribute predictability, from 0 to 1 - 1/K for K values; higher is better.

    SAP = 1/F sum_f (S_(1)f - S_(2)f)

  S_zf is the balanced accuracy (the mean recall over the values) with which K - 1 thresholds on
  latent z alone tell the K values of factor f; S_(1)f and S_(2)f are the largest and the second
  largest over the latents. Kumar et al. 2018, section 3, arxiv.org/abs/1711.00848, for attributes
  with classes. A latent that knows nothing has S = 1/K, as has the second latent of a single one:
  hence the upper end.

  Args:
    codes: [n, Z], real.
    factors: [n, F], integer; those with one value only are left out.

  Raises:
    InputError: the inputs do not fit.
  """
  codes, factors = inputs.checked(codes, factors)
  chance = 1 / (factors.max(axis=0) + 1)  # [F]
  predictability = np.array(
    [[_predictability(code, factor) for factor in factors.T] for code in codes.T]
  )  # [Z, F]
  return float(np.mean(_gap(predictability, chance)))


def _predictability(code: np.ndarray, factor: np.ndarray) -> float:
  """Returns the balanced accuracy of thresholds on one latent [n] for a factor [n]."""
  from sklearn import metrics, tree

  num_values = factor.max() + 1
  classifier = tree.DecisionTreeClassifier(
    max_leaf_nodes=num_values, class_weight='balanced', random_state=0
  )
  predicted = classifier.fit(code[:, None], factor).predict(code[:, None])
  return metrics.balanced_accuracy_score(factor, predicted)


def _gap(scores: np.ndarray, floor: np.ndarray) -> np.ndarray:
  """Returns the best minus the second best of scores [Z, F] over the latents, [F].

  Args:
    scores: [Z, F].
    floor: [F], the score of a latent that knows nothing: the second best of a single latent.
  """
  ordered = np.sort(np.vstack([scores, floor]), axis=0)  # [Z + 1, F]
  return ordered[-1] - ordered[-2]
