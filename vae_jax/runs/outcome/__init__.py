"""The results of a run: the figures of every lane, as metrics, as tables and as pictures."""

import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

from vae_jax import evaluation, records
from vae_jax.runs.outcome.after import announce, evaluated, of_all, with_stops
from vae_jax.runs.outcome.betas import write_betas
from vae_jax.runs.outcome.choice import Choice, recorded
from vae_jax.runs.outcome.divergence import explained
from vae_jax.runs.outcome.estimates import Estimates, estimate, host, make_evaluate, metrics_of
from vae_jax.runs.outcome.images import grids_of, lane_grids, make_pictures, save_images
from vae_jax.runs.outcome.kept import Kept, open_kept
from vae_jax.runs.outcome.page import write_page
from vae_jax.runs.outcome.progress import (
  Progress,
  begun,
  collapsed,
  picked,
  regrouped,
  scattered,
  that_counts,
  whole,
)
from vae_jax.runs.outcome.rising import warn_of_rising
from vae_jax.runs.outcome.seeds import write_udr
from vae_jax.runs.outcome.shown import results_of
from vae_jax.runs.outcome.tables import (
  write_curve,
  write_disentanglement,
  write_forecast,
  write_latents,
  write_per_image,
  write_results,
)
from vae_jax.runs.outcome.verdicts import read_verdict, write_record, write_verdict
from vae_jax.standing import nats
from vae_jax.study import Study

__all__ = [
  'Choice',
  'Estimates',
  'Kept',
  'Outcome',
  'Progress',
  'announce',
  'begun',
  'collapsed',
  'estimate',
  'evaluated',
  'explained',
  'grids_of',
  'host',
  'lane_grids',
  'make_evaluate',
  'make_pictures',
  'metrics_of',
  'nats',
  'of_all',
  'open_kept',
  'picked',
  'read',
  'read_verdict',
  'recorded',
  'regrouped',
  'results_of',
  'review',
  'save_images',
  'scattered',
  'that_counts',
  'warn_of_rising',
  'whole',
  'with_stops',
  'write_betas',
  'write_curve',
  'write_disentanglement',
  'write_forecast',
  'write_latents',
  'write_page',
  'write_per_image',
  'write_record',
  'write_results',
  'write_verdict',
]


class Outcome(NamedTuple):
  """What a run leaves."""

  rows: list[dict[str, Any]]  # of results.csv
  results: pathlib.Path
  pictures: list[pathlib.Path]
  kl: str  # 'analytic' or 'sampled': how the rate was estimated
  exit_code: int  # 0, or 3 where a lane diverged
  verdict: list[str]  # its sentences; [] of a run that has none


def read(directory: pathlib.Path, kl: str) -> Outcome:
  """Returns the outcome that stands on disk, of a study with this estimator of the rate.

  Raises:
    DamagedError: results.csv or verdict.json is not what was written.
  """
  rows = records.read_results(directory / 'results.csv')
  exit_code = 3 if any(row['status'] in ('diverged', 'failed') for row in rows) else 0
  pictures = sorted((directory / 'figures').glob('[!.]*.png'))
  said = read_verdict(directory).get('sentences', [])
  return Outcome(rows, directory / 'results.csv', pictures, kl, exit_code, said)


def review(
  built: Study,
  directory: pathlib.Path,
  progress: Progress,
  evaluations: Mapping[str, evaluation.Evaluation],
  estimates: Estimates,
  final: bool,
) -> Outcome:
  """Writes the tables and pictures of a trained state."""
  from vae_jax import figures  # matplotlib takes half a second: at the end, not of every start

  evaluated = host(metrics_of(evaluations) | estimates.metrics)
  write_latents(built, directory, evaluations['test'])
  write_curve(directory, estimates.curve)
  write_per_image(directory, estimates.per_image, progress)
  write_betas(built, directory, progress)
  write_udr(built, directory, that_counts(progress), evaluations)
  state, usage = that_counts(progress), evaluations['test'].variances
  save_images(built, directory, state, usage, estimates.mixtures)
  rows = write_results(built, directory, progress._replace(evaluated=evaluated), final)
  write_verdict(directory, rows, built.event)
  figures.draw_all(directory)
  write_page(directory)
  return read(directory, built.kl)
