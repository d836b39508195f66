"""What W&B shows of an evaluation beside its figures: the rate of each latent, and pictures."""

from collections.abc import Mapping

import jax
import numpy as np

from vae_jax import evaluation, placement, programs, study, tracking
from vae_jax.runs import outcome
from vae_jax.runs.outcome import Progress


class Showing:
  """Shows the evaluations of one attempt; nothing is computed where there is no W&B."""

  def __init__(self, built: study.Study, tracker: tracking.Tracker):
    self._built, self._tracker, self._shown = built, tracker, set(tracker.shown)
    self._pictures = outcome.make_pictures(built) if self._shown else None

  def show(self, progress: Progress, evaluations: Mapping[str, evaluation.Evaluation]) -> None:
    """Hands over what there is of an evaluation [n] of the lanes that train, if W&B shows them."""
    places = [i for i, lane in enumerate(progress.lanes) if lane in self._shown]
    if not places:
      return
    found = jax.device_get(evaluations[self._built.chosen_on])
    lanes = [progress.lanes[i] for i in places]
    fields = outcome.picked(self._built.lanes, lanes)
    rates = [_known(*lane) for lane in zip(found.rates[np.array(places)], fields.mask, strict=True)]
    images = {}
    if self._pictures is not None and self._is_due(progress.step):
      params, usage = programs.params_of(progress.state), found.variances
      if len(places) < len(progress.lanes):
        params, usage = outcome.picked((placement.joined(params), usage), places)
      images = outcome.lane_grids(
        self._pictures(params, fields, usage)._asdict(), range(len(lanes))
      )
    self._tracker.show(progress.step, lanes, rates, images)

  def _is_due(self, step: int) -> bool:
    """Tells whether pictures are asked for at a step; those of the last one come with the NLL."""
    every = self._built.wandb.images_every * self._built.train.evaluate_every
    return every > 0 and step % every == 0 and step < self._built.train.steps


def _known(rates: np.ndarray, mask: np.ndarray) -> np.ndarray:
  """Returns the finite rates of the latents that a lane has; none where parts are no latents."""
  if rates.size != mask.size:
    return rates[:0]
  of_lane = rates[np.flatnonzero(mask)]
  return of_lane[np.isfinite(of_lane)]
