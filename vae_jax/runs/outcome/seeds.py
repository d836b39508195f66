"""udr.csv: whether the lanes of a point, which differ in their seed, found the same latents."""

import logging
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vae_jax import disentanglement, evaluation, lanes, programs, records
from vae_jax.study import Study


def write_udr(
  study: Study,
  directory: pathlib.Path,
  state: programs.States,
  evaluations: Mapping[str, evaluation.Evaluation],
) -> None:
  """Writes udr.csv of the lanes whose point has several seeds; nothing where there are none.

  The codes are those of `evaluation.factor_images` images of the split by which choosing goes.
  """
  groups = [group for group in _by_point(study.points) if len(group) > 1]
  if not groups:
    return
  split = study.chosen_on
  chosen = study.sample(split, study.evaluation.factor_images)
  images = study.dataset.split(split)[chosen]
  if len(images) < 2:
    logging.info('no udr.csv: the order of the codes of one example says nothing')
    return
  logging.info('comparing the codes of %d examples between seeds', len(images))
  codes = programs.encode(
    study.model,
    programs.params_of(state),
    study.lanes,
    images,
    study.dataset.fixed_scale,
    study.place,
    study.dataset.beside_of(split, chosen),
  )
  informative = _informative(np.asarray(study.lanes.mask), evaluations[split])
  rows = [
    row | {'name': study.names[row['lane']], 'images': len(images)}
    for group in groups
    for row in _rows(group, codes, informative)
  ]
  rows.sort(key=lambda row: row['lane'])
  records.write_table(directory / 'udr.csv', records.UDR_COLUMNS, rows)


def _by_point(points: Sequence[lanes.Point]) -> list[list[int]]:
  """Returns the lanes of each point, all but its seed."""
  groups: dict[tuple, list[int]] = {}
  for i, point in enumerate(points):
    key = tuple(value for name, value in point.items() if name != 'seed')
    groups.setdefault(key, []).append(i)
  return list(groups.values())


def _informative(mask: np.ndarray, found: evaluation.Evaluation) -> np.ndarray:
  """Tells which latents say something [G, Z]; by their variance where the rate does not split."""
  rates = np.asarray(found.rates)
  if rates.shape == mask.shape:
    return (mask > 0) & (rates > disentanglement.INFORMATIVE_RATE)
  return (mask > 0) & (np.asarray(evaluation.is_active(found.variances)) == 1)


def _rows(group: Sequence[int], codes: np.ndarray, informative: np.ndarray) -> list[dict[str, Any]]:
  """Returns the rows of the lanes of one point, without their names."""
  models, masks = [codes[i] for i in group], [informative[i] for i in group]
  by_rank = disentanglement.udr(models, masks)
  by_lasso = disentanglement.udr(models, masks, disentanglement.lasso)
  known = sum(bool(np.isfinite(score)) for score in by_rank)
  others = min(known - 1, disentanglement.MOST_OTHERS)
  return [
    dict(
      lane=i,
      others=others if np.isfinite(rank) else None,
      informative=int(mask.sum()) if np.isfinite(rank) else None,
      udr=rank if np.isfinite(rank) else None,
      udr_lasso=lasso if np.isfinite(lasso) else None,
    )
    for i, mask, rank, lasso in zip(group, masks, by_rank, by_lasso, strict=True)
  ]
