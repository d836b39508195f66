"""Unsupervised disentanglement ranking: whether seeds of one setting find the same latents.

Nobody has to know a factor: a model whose latents are those of the data finds them again from other
initial weights, up to their order and their signs; one whose latents are any mixture finds another.
Duan et al. 2020, section 4, arxiv.org/abs/1905.12614.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from vae_jax import errors
from vae_jax.disentanglement.inputs import is_finite

INFORMATIVE_RATE = 0.01  # nats: a latent with less says nothing (appendix A.2 of the paper)
MOST_OTHERS = 30  # models that one is compared with; pairs of all grow with their square
LASSO_WEIGHT = 0.1  # of the absolute coefficients
_EXACT = 1e-8  # largest change of a coefficient in a last sweep of the Lasso
_MOST_SWEEPS = 1000
_BLOCK = 2**20  # codes of others that are held at once


class Similarity(NamedTuple):
  """How alike the latents of two models are: R [Z, T], at least 0; of a constant latent 0.

  Attributes:
    prepare: codes [n, Z] of a model -> [n, Z], once for each.
    compare: two prepared ones, [..., n, Z] and [..., n, T], -> R [..., Z, T]. A column of R knows
      no other of the second argument, so that T may be the latents of several models.
  """

  prepare: Callable[[np.ndarray], np.ndarray]
  compare: Callable[[np.ndarray, np.ndarray], np.ndarray]

  def __call__(self, codes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Returns R [Z, Y] of two models' codes [n, Z] and [n, Y]."""
    return self.compare(self.prepare(codes), self.prepare(others))


def _unit(values: np.ndarray) -> np.ndarray:
  """Returns columns [n, Z] about their means, of length 1; 0 of a constant one."""
  values = np.asarray(values, np.float64)
  centred = values - values.mean(axis=0)
  length = np.linalg.norm(centred, axis=0)
  varies = np.ptp(values, axis=0) > 0  # a mean is rounded: a length may be no zero
  return np.where(varies, centred / np.where(varies, length, 1), 0.0)


def _unit_ranks(codes: np.ndarray) -> np.ndarray:
  from scipy import stats  # half a second of every start

  return _unit(stats.rankdata(codes, axis=0))


def _correlations(codes: np.ndarray, others: np.ndarray) -> np.ndarray:
  """Returns |rho| of unit columns, from 0 to 1."""
  return np.abs(np.swapaxes(codes, -1, -2) @ others)


def _coefficients(codes: np.ndarray, others: np.ndarray) -> np.ndarray:
  """Returns |w| of the Lasso that predicts each column y of `others` from unit columns C.

    w = argmin 1/2 |y - C w|^2 + 0.1 |w|_1

  A perfect match has 0.9: the penalty takes its weight. By coordinate descent on all columns y at
  once: a coordinate has its optimum at the soft threshold of its product with what the others leave
  (Friedman et al. 2010, eq. 5, doi.org/10.18637/jss.v033.i01). Scikit-learn has one y after the
  other, 0.1 ms each, whatever its size.
  """
  transposed = np.swapaxes(codes, -1, -2)
  gram, target = transposed @ codes, transposed @ others
  weights = np.zeros_like(target)
  for _ in range(_MOST_SWEEPS):
    moved = 0.0
    for z in range(codes.shape[-1]):
      own = weights[..., z, :]
      left = target[..., z, :] - (gram[..., z, None, :] @ weights)[..., 0, :] + own
      now = left - np.clip(left, -LASSO_WEIGHT, LASSO_WEIGHT)
      moved = max(moved, np.abs(now - own).max())
      weights[..., z, :] = now
    if moved <= _EXACT:
      break
  return np.abs(weights)


spearman = Similarity(_unit_ranks, _correlations)
lasso = Similarity(_unit, _coefficients)


def pair_score(similarity: np.ndarray, latents: np.ndarray | int) -> np.ndarray:
  """Returns how far the informative latents of two models are the same [...], from 0 to 1.

    UDR_ij = 1/(Z + Y) [sum_y r_y^2 / sum_z R_zy + sum_z r_z^2 / sum_y R_zy]

  r_y = max_z R_zy and r_z = max_y R_zy: 1 where each latent is like one of the other model and
  unlike all others. Duan et al. 2020, eq. 3. Without latents on both sides it is 0.

  Args:
    similarity: R [..., Z, Y], at least 0; 0 of a latent that is not informative.
    latents: Z + Y [...], those that are informative.
  """
  score = 0.0
  for axis in (-2, -1):
    total = similarity.sum(axis=axis)
    best = similarity.max(axis=axis, initial=0.0)
    parts = np.divide(best**2, total, out=np.zeros_like(total), where=total > 0)
    score = score + parts.sum(axis=-1)
  return score / np.maximum(latents, 1)


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
  scores = np.full(len(codes), np.nan)
  known = np.array([i for i, own in enumerate(codes) if is_finite(own)])
  if len(known) < 2:
    return scores.tolist()
  counts = np.array([np.count_nonzero(informative[i]) for i in known])

  def prepared(places: Sequence[int]) -> np.ndarray:
    """Returns codes [M, Z, n] of some of the known models, 0 behind their informative latents."""
    found = np.zeros((len(places), counts.max(), len(codes[0])))
    for own, place in zip(found, places, strict=True):
      i = known[place]
      mask = np.asarray(informative[i], bool)
      own[: counts[place]] = similarity.prepare(np.asarray(codes[i])[:, mask]).T
    return found

  others = _others(len(known))  # [M, K]
  met, places = np.unique(others, return_inverse=True)
  beside, places = prepared(met), places.reshape(others.shape)
  parts = min(len(known), -(-others.size * beside[0].size // _BLOCK) or 1)
  for block in np.array_split(np.arange(len(known)), parts):
    found = _compared(prepared(block), beside[places[block]], similarity)
    pairs = pair_score(found, counts[block, None] + counts[others[block]])
    scores[known[block]] = np.median(pairs, axis=1)
  return scores.tolist()


def _others(count: int) -> np.ndarray:
  """Returns with which models each of `count` is compared, [count, K]: an even choice."""
  most = min(count - 1, MOST_OTHERS)
  places = np.arange(most) * (count - 1) // most  # among all but itself
  return places + (places >= np.arange(count)[:, None])


def _compared(own: np.ndarray, others: np.ndarray, similarity: Similarity) -> np.ndarray:
  """Returns R [B, K, Z, Y] of models [B, Z, n] with K others each, [B, K, Y, n]."""
  num, among, size, n = others.shape
  side_by_side = others.reshape(num, among * size, n)
  found = similarity.compare(own.swapaxes(1, 2), side_by_side.swapaxes(1, 2))
  return found.reshape(num, own.shape[1], among, size).swapaxes(1, 2)


def _check(codes: Sequence[np.ndarray], informative: Sequence[np.ndarray]) -> None:
  for own, mask in zip(codes, informative, strict=True):
    own, mask, first = np.asarray(own), np.asarray(mask), np.asarray(codes[0])
    if own.ndim != 2 or mask.shape != own.shape[1:] or len(own) != len(first) or len(own) < 2:
      raise errors.InputError(
        f'codes={list(own.shape)} and informative={list(mask.shape)} do not fit; valid are [n, Z] '
        f'and [Z], with the n={len(first)} examples of the first model, at least 2'
      )
