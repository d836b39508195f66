"""Unsupervised disentanglement ranking: whether seeds of one setting find the same latents.

Nobody has to know a factor: a model whose latents are those of the data finds them again from other
initial weights, up to their order and their signs; one whose latents are any mixture finds another.
Duan et al. 2020, section 4, arxiv.org/abs/1905.12614.
"""

from collections.abc import Callable, Sequence

import numpy as np
from scipy import stats

from vae_jax import errors
from vae_jax.disentanglement.inputs import is_finite

INFORMATIVE_RATE = 0.01  # nats: a latent with less says nothing (appendix A.2 of the paper)
MOST_OTHERS = 30  # models that one is compared with; pairs of all grow with their square
LASSO_WEIGHT = 0.1  # of the absolute coefficients

Similarity = Callable[[np.ndarray, np.ndarray], np.ndarray]  # [n, Z], [n, Y] -> [Z, Y]


def spearman(codes: np.ndarray, others: np.ndarray) -> np.ndarray:
  """Returns |rho| [Z, Y] of the ranks of two models' codes [n, Z] and [n, Y], from 0 to 1.

  Of a constant latent it is 0.
  """
  return np.abs(_unit(stats.rankdata(codes, axis=0)).T @ _unit(stats.rankdata(others, axis=0)))


def lasso(codes: np.ndarray, others: np.ndarray) -> np.ndarray:
  """Returns |w| [Z, Y] of the Lasso that predicts codes [n, Y] of a model from those of another.

    w_y = argmin 1/(2n) |y - C w|^2 + 0.1 |w|_1

  Both are standardised. A perfect match has 0.9: the penalty takes its weight. Of a constant latent
  it is 0.
  """
  from sklearn import linear_model

  size = np.sqrt(len(codes))
  codes, others = size * _unit(codes), size * _unit(others)
  model = linear_model.Lasso(alpha=LASSO_WEIGHT, fit_intercept=False)
  return np.abs(model.fit(codes, others).coef_).reshape(others.shape[1], -1).T


def _unit(values: np.ndarray) -> np.ndarray:
  """Returns columns [n, Z] about their means, of length 1; 0 of a constant one."""
  values = np.asarray(values, np.float64)
  centred = values - values.mean(axis=0)
  length = np.linalg.norm(centred, axis=0)
  varies = np.ptp(values, axis=0) > 0  # a mean is rounded: a length may be no zero
  return np.where(varies, centred / np.where(varies, length, 1), 0.0)


def pair_score(similarity: np.ndarray) -> float:
  """Returns how far the informative latents of two models are the same, from 0 to 1.

    UDR_ij = 1/(Z + Y) [sum_y r_y^2 / sum_z R_zy + sum_z r_z^2 / sum_y R_zy]

  r_y = max_z R_zy and r_z = max_y R_zy: 1 where each latent is like one of the other model and
  unlike all others. Duan et al. 2020, eq. 3. Without latents on both sides it is 0.

  Args:
    similarity: R [Z, Y], at least 0, of informative latents alone.
  """
  if not similarity.size:
    return 0.0
  parts = []
  for axis in (0, 1):
    total = similarity.sum(axis=axis)
    best = similarity.max(axis=axis)
    parts.append(np.divide(best**2, total, out=np.zeros_like(total), where=total > 0))
  return float(np.concatenate(parts).sum() / sum(similarity.shape))


def udr(
  codes: Sequence[np.ndarray],
  informative: Sequence[np.ndarray],
  similarity: Similarity = spearman,
) -> list[float]:
  """Returns the score of each model, from 0 to 1; higher is better.

  That of a model is the median of `pair_score` over the others, of more than `MOST_OTHERS` over an
  even choice. NaN where its codes are not finite (such a model is left out of the others' scores),
  or where there are no others. The codes are of the same examples; sign and order of latents do not
  matter, nor their scale, nor with `spearman` any monotone function of them.

  Args:
    codes: of each model, [n, Z] posterior means; models may have other Z.
    informative: of each model, [Z] true where a latent's rate is above INFORMATIVE_RATE.
    similarity: `spearman` or `lasso`.

  Raises:
    InputError: the shapes do not fit.
  """
  _check(codes, informative)
  kept = [
    np.asarray(own)[:, np.asarray(mask, bool)] for own, mask in zip(codes, informative, strict=True)
  ]
  known = [i for i, own in enumerate(codes) if is_finite(own)]

  def score(i: int) -> float:
    others = [j for j in known if j != i]
    count = min(len(others), MOST_OTHERS)
    chosen = [others[place * len(others) // count] for place in range(count)]
    pairs = [_pair(kept[i], kept[j], similarity) for j in chosen]
    return float(np.median(pairs)) if pairs and i in known else float('nan')

  return [score(i) for i in range(len(kept))]


def _pair(codes: np.ndarray, others: np.ndarray, similarity: Similarity) -> float:
  if not codes.shape[1] or not others.shape[1]:
    return 0.0
  return pair_score(similarity(codes, others))


def _check(codes: Sequence[np.ndarray], informative: Sequence[np.ndarray]) -> None:
  for own, mask in zip(codes, informative, strict=True):
    own, mask, first = np.asarray(own), np.asarray(mask), np.asarray(codes[0])
    if own.ndim != 2 or mask.shape != own.shape[1:] or len(own) != len(first) or len(own) < 2:
      raise errors.InputError(
        f'codes={list(own.shape)} and informative={list(mask.shape)} do not fit; valid are [n, Z] '
        f'and [Z], with the n={len(first)} examples of the first model, at least 2'
      )
