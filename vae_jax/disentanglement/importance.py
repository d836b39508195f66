"""Disentanglement, completeness and informativeness, from how trees use the latents."""

from typing import NamedTuple

import numpy as np

from vae_jax.disentanglement import inputs

NUM_TREES = 20
MIN_LEAF = 5  # examples: smaller leaves learn noise, and spread importance over all latents
TEST_PART = 0.25  # held out to measure informativeness


class Dci(NamedTuple):
  """The three scores of Eastwood & Williams, each from 0 to 1; higher is better."""

  disentanglement: float
  completeness: float
  informativeness: float


def dci(codes: np.ndarray, factors: np.ndarray, seed: int) -> Dci:
  """Disentanglement, completeness and informativeness, each from 0 to 1; higher is better.

    disentanglement = sum_z w_z (1 - H_F(R_z. / sum_f R_zf)),  w_z = sum_f R_zf / sum_zf R_zf
    completeness    = 1/F sum_f (1 - H_Z(R_.f / sum_z R_zf))
    informativeness = 1/F sum_f accuracy_f

  R_zf [Z, F] is the importance of latent z for the prediction of factor f, H_m an entropy to the
  base m, accuracy_f that on the quarter of the examples that was held out. Eastwood & Williams
  2018, section 2, openreview.net/forum?id=By-7dz-AZ. Importances are those of 20 trees on bootstrap
  samples, each free to choose among all latents: not the lasso or the boosting of other
  publications, so compare within one implementation. A factor for which no latent is of use counts
  0 in completeness; without any, disentanglement is 0. Constant latents count in Z. The accuracy of
  codes that know nothing is that of the most frequent value, about 1/K for K values.

  Args:
    codes: [n, Z], real.
    factors: [n, F], integer; those with one value only are left out.
    seed: of the trees and of the held-out examples.

  Raises:
    InputError: the inputs do not fit.
  """
  codes, factors = inputs.checked(codes, factors)
  rng = np.random.default_rng(seed)
  order = rng.permutation(len(codes))
  test, train = np.split(order, [max(1, round(TEST_PART * len(codes)))])
  fits = [_fit(codes, factor, train, test, int(rng.integers(2**31))) for factor in factors.T]
  importance = np.stack([importance for importance, _ in fits], axis=1)  # [Z, F]
  weight = importance.sum(axis=1) / max(importance.sum(), 1e-300)  # [Z]
  return Dci(
    disentanglement=float(weight @ _concentration(importance)),
    completeness=float(np.mean(_concentration(importance.T))),
    informativeness=float(np.mean([accuracy for _, accuracy in fits])),
  )


def _fit(
  codes: np.ndarray, factor: np.ndarray, train: np.ndarray, test: np.ndarray, seed: int
) -> tuple[np.ndarray, float]:
  """Returns the importance of each latent for a factor, [Z], and the accuracy on the test part."""
  from sklearn import ensemble

  forest = ensemble.RandomForestClassifier(
    n_estimators=NUM_TREES, max_features=None, min_samples_leaf=MIN_LEAF, random_state=seed
  )
  forest.fit(codes[train], factor[train])
  return forest.feature_importances_, float(np.mean(forest.predict(codes[test]) == factor[test]))


def _concentration(rows: np.ndarray) -> np.ndarray:
  """Returns 1 - H_m(row / sum(row)) of rows [r, m] of importances, [r]; 0 for a row of zeros."""
  total = rows.sum(axis=1, keepdims=True)
  p = rows / np.where(total > 0, total, 1)
  log = np.log(p, where=p > 0, out=np.zeros_like(p))
  entropy = -np.sum(p * log, axis=1) / np.log(max(2, rows.shape[1]))  # of one column: 0 to any base
  return np.where(total[:, 0] > 0, 1 - entropy, 0)
