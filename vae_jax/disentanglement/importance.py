"""Disentanglement, completeness and informativeness, from how trees use the latents."""

from typing import NamedTuple

import numpy as np

from vae_jax.disentanglement import inputs

NUM_TREES = 20
MIN_LEAF = 5  # examples: smaller leaves learn noise, and spread importance over all latents
DEPTHS = (1, 2, 3, 4, 5, 6, 8, 12)  # of the trees
NUM_FOLDS = 3
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
  publications, so compare within one implementation. Trees that grow until they fit the noise of
  the codes spread importance over all latents; their depth is therefore the smallest whose accuracy
  is within a standard error of the best in 3-fold cross-validation (Breiman et al. 1984, section
  3.4.3). What noise is left in the codes still lowers the scores: they fall as beta rises, at one
  and the same arrangement of the latents.

  A factor for which no latent is of use counts 0 in completeness; without any, disentanglement is
  0. Constant latents count in Z. The accuracy of codes that know nothing is that of the most
  frequent value, about 1/K for K values.

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

  depth = _depth(codes[train], factor[train], seed)
  if depth == 0:
    frequent = np.bincount(factor[train]).argmax()
    return np.zeros(codes.shape[1]), float(np.mean(factor[test] == frequent))
  forest = ensemble.RandomForestClassifier(
    n_estimators=NUM_TREES,
    max_depth=depth,
    max_features=None,
    min_samples_leaf=MIN_LEAF,
    random_state=seed,
  )
  forest.fit(codes[train], factor[train])
  return forest.feature_importances_, float(np.mean(forest.predict(codes[test]) == factor[test]))


def _depth(codes: np.ndarray, factor: np.ndarray, seed: int) -> int:
  """Returns the smallest depth of a tree that is as accurate as any, to a standard error.

  It is 0 where no depth is better than the most frequent value by three standard errors: a tree
  takes one latent or another then, and codes that know nothing would look disentangled. Of single
  trees, as a forest takes 20 times as long.
  """
  from sklearn import model_selection, tree

  if len(codes) < NUM_FOLDS:
    return 0
  folds = list(model_selection.KFold(NUM_FOLDS, shuffle=True, random_state=seed).split(codes))

  def accuracy_of(depth: int) -> float:
    """Returns that of trees of this depth on the folds that were held out."""
    found = []
    for kept, held_out in folds:
      one = tree.DecisionTreeClassifier(
        max_depth=depth, min_samples_leaf=MIN_LEAF, random_state=seed
      )
      one.fit(codes[kept], factor[kept])
      found.append(np.mean(one.predict(codes[held_out]) == factor[held_out]))
    return float(np.mean(found))

  # `validation_curve` of scikit-learn scores the other folds, too, and takes twice as long.
  accuracy = np.array([accuracy_of(depth) for depth in DEPTHS])
  best = accuracy.max()
  stderr = np.sqrt(best * (1 - best) / len(codes))
  if best - 3 * stderr <= np.bincount(factor).max() / len(codes):
    return 0
  return DEPTHS[np.flatnonzero(accuracy >= best - stderr)[0]]


def _concentration(rows: np.ndarray) -> np.ndarray:
  """Returns 1 - H_m(row / sum(row)) of rows [r, m] of importances, [r]; 0 for a row of zeros."""
  total = rows.sum(axis=1, keepdims=True)
  p = rows / np.where(total > 0, total, 1)
  log = np.log(p, where=p > 0, out=np.zeros_like(p))
  entropy = -np.sum(p * log, axis=1) / np.log(max(2, rows.shape[1]))  # of one column: 0 to any base
  return np.where(total[:, 0] == 0, 0, 1 - entropy)
