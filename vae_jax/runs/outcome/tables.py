"""The tables that a run leaves: results.csv, latents.csv, nll_curve.csv and the others."""

import functools
import logging
import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vae_jax import disentanglement, evaluation, forecast, lane_fields, learner, programs, records
from vae_jax.runs.outcome import divergence
from vae_jax.runs.outcome.progress import Progress, of_states
from vae_jax.study import Study


def write_results(study: Study, directory: pathlib.Path, progress: Progress, final: bool) -> list:
  """Writes results.csv and returns its rows."""
  rows = _rows(study, progress, final)
  records.write_results(directory / 'results.csv', rows, lane_fields.NAMES)
  return rows


def _rows(study: Study, progress: Progress, final: bool) -> list[dict[str, Any]]:
  columns = set(records.result_columns(lane_fields.NAMES))
  values = {name: v for name, v in progress.evaluated.items() if name in columns}
  speed = progress.step / progress.training_seconds if progress.training_seconds else None
  rows = []
  steps = divergence.diverged_at(progress)
  multipliers = _multipliers(study, progress)
  for i, (point, diverged_at) in enumerate(zip(study.points, steps, strict=True)):
    status, step = progress.choice.standing(i, diverged_at, progress.step, final)
    beta = point['beta'] if multipliers[i] is None else multipliers[i]
    rows.append(
      {
        'lane': i,
        'name': study.names[i],
        'status': status,
        'step': step,
        'best_step': progress.choice.best_step[i],
        **point,
        'beta_normalised': beta * point['latent_size'] / math.prod(study.event),
        'multiplier': multipliers[i],
        **{name: v[i] for name, v in values.items()},
        'collapsed_at': progress.collapsed_at[i],
        'reason': progress.reasons[i],
        'seconds': round(progress.seconds, 3),
        'steps_per_second': speed and round(speed, 3),
      }
    )
  return rows


def _multipliers(study: Study, progress: Progress) -> list[float | None]:
  """Returns the multiplier of each lane [G], None where it has no target rate."""
  found = of_states(progress, lambda state: state.multiplier)
  if found is None:
    return [None] * len(study.points)
  found = records.python_numbers(np.asarray(found))
  return [
    value if point['target_rate'] else None
    for value, point in zip(found, study.points, strict=True)
  ]


def write_latents(study: Study, directory: pathlib.Path, test: evaluation.Evaluation) -> None:
  """Writes latents.csv: the rate of every latent of every lane, and whether it is active."""
  rows = []
  for i, mask in enumerate(np.asarray(study.lanes.mask)):
    rates, variances = np.asarray(test.rates[i]), np.asarray(test.variances[i])
    active = np.asarray(evaluation.is_active(variances))
    for j in np.flatnonzero(mask):
      rows.append(
        dict(
          lane=i,
          name=study.names[i],
          layer=1 if not study.lower_size or j < study.lower_size else 2,
          latent=int(j),
          rate=rates[j] if rates.size == mask.size else None,
          mean_variance=variances[j],
          active=active[j] if np.isnan(active[j]) else int(active[j]),
        )
      )
  _write_known(directory / 'latents.csv', records.LATENT_COLUMNS, rows)


def _write_known(
  path: pathlib.Path, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]
) -> None:
  """Writes a table in which a number that is not finite is an empty cell: it is not known."""

  def known(value: Any) -> Any:
    return None if isinstance(value, (float, np.floating)) and not np.isfinite(value) else value

  records.write_table(path, columns, [{name: known(v) for name, v in row.items()} for row in rows])


def write_disentanglement(
  study: Study,
  directory: pathlib.Path,
  state: programs.States,
  pieces: programs.Pieces = programs.computed,
) -> None:
  """Writes disentanglement.csv, the scores of every lane's codes, where factors are known."""
  dataset = study.dataset
  if dataset.factors is None:
    return
  chosen = study.sample('test', study.evaluation.factor_images)
  logging.info('scoring the codes of %d examples and %d lanes', len(chosen), len(study.points))
  factors, active = dataset.factors.test[chosen], np.asarray(study.lanes.mask) > 0
  if not np.ptp(factors, axis=0).any():
    # At the end of a run it must not be refused: what else was measured would be lost.
    logging.warning('the %d examples have one value of each factor: no scores', len(chosen))
    rows = [dict(lane=i, name=name, images=len(chosen)) for i, name in enumerate(study.names)]
    _write_known(directory / 'disentanglement.csv', records.DISENTANGLEMENT_COLUMNS, rows)
    return
  codes = programs.encode(
    study.model,
    programs.params_of(state),
    study.lanes,
    dataset.test[chosen],
    dataset.fixed_scale,
    study.place,
    dataset.beside_of('test', chosen),
  )

  def scores(i: int) -> dict[str, float]:
    return disentanglement.scores(codes[i][:, active[i]], factors, seed=study.points[i]['seed'])

  rows = [
    dict(lane=i, name=name, images=len(chosen))
    | pieces(f'the scores of {name}', functools.partial(scores, i))
    for i, name in enumerate(study.names)
  ]
  _write_known(directory / 'disentanglement.csv', records.DISENTANGLEMENT_COLUMNS, rows)


def write_curve(directory: pathlib.Path, curve: Sequence[Mapping[str, Any]]) -> None:
  """Writes nll_curve.csv: the bounds of 1, 10, 100 ... importance samples of every lane."""
  _write_known(directory / 'nll_curve.csv', records.NLL_CURVE_COLUMNS, curve)


def write_forecast(directory: pathlib.Path, found: forecast.Forecast | None) -> None:
  """Writes forecast.csv: until which beta the training data could hold each latent."""
  if found is not None:
    rows = [dict(latent=i, beta=float(beta)) for i, beta in enumerate(found.onsets)]
    records.write_table(directory / 'forecast.csv', records.FORECAST_COLUMNS, rows)


def write_per_image(
  directory: pathlib.Path, found: Mapping[str, records.PerImage], progress: Progress
) -> None:
  """Writes per_image.npz, NaN for a lane that diverged; nothing where there is no NLL."""
  if not found:
    return
  steps = np.asarray(divergence.diverged_at(progress))
  lost = (steps != learner.NOT_DIVERGED)[:, None]
  values = {
    split: each._replace(
      nll=np.where(lost, np.float32(np.nan), each.nll),
      elbo=np.where(lost, np.float32(np.nan), each.elbo),
      distortion=np.where(lost, np.float32(np.nan), each.distortion),
    )
    for split, each in found.items()
  }
  records.write_per_image(directory / 'per_image.npz', values)
