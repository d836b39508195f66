"""The whole curve of lanes that were trained for every beta: curve.csv."""

import pathlib
from typing import Any

import jax.numpy as jnp
import numpy as np

from vae_jax import placement, programs, records
from vae_jax.runs.outcome.estimates import SPLITS, batches_of, host, metrics_of
from vae_jax.runs.outcome.progress import Progress, that_counts
from vae_jax.study import Study


def write_betas(study: Study, directory: pathlib.Path, progress: Progress) -> None:
  """Writes curve.csv, the averages of every lane at every beta; nothing where lanes have one beta.

  At its own beta a lane has the figures of results.csv, by the same images and the same noise.
  """
  if not study.betas:
    return
  batches = {split: batches_of(study, split) for split in SPLITS if len(study.dataset.split(split))}
  program = programs.make_evaluate(study.training.learner, study.dataset.fixed_scale, study.place)
  params, step = programs.params_of(that_counts(progress)), np.int32(progress.step)

  def figures_at(beta: float) -> dict[str, list[Any]]:
    lanes = study.lanes._replace(beta=jnp.full_like(study.lanes.beta, beta))
    evaluated = {
      split: placement.joined(program(params, lanes, cut, step)) for split, cut in batches.items()
    }
    return host({k: v for k, v in metrics_of(evaluated).items() if k in records.CURVE_COLUMNS})

  found = [figures_at(beta) for beta in study.betas]
  rows = [
    dict(lane=i, name=name, beta=beta) | {column: values[i] for column, values in figures.items()}
    for i, name in enumerate(study.names)
    for beta, figures in zip(study.betas, found, strict=True)
  ]
  records.write_table(directory / 'curve.csv', records.CURVE_COLUMNS, rows)
