"""What W&B shows of an evaluation beside its figures: the rate of each latent, and pictures."""

from collections.abc import Mapping

import numpy as np

from vae_jax import evaluation, programs, study, tracking
from vae_jax.runs import outcome
from vae_jax.runs.outcome import Progress


class Showing:
  """Shows the evaluations of one attempt; nothing is computed where there is no W&B."""

  def __init__(self, built: study.Study, tracker: tracking.Tracker):
    self._built, self._tracker = built, tracker
    self._pictures = outcome.make_pictures(built) if tracker.copies else None

  def show(self, progress: Progress, evaluations: Mapping[str, evaluation.Evaluation]) -> None:
    """Hands over what there is of an evaluation [n] of the lanes that train."""
    if not self._tracker.copies:
      return
    found = evaluations[self._built.chosen_on]
    masks = np.asarray(outcome.picked(self._built.lanes, progress.lanes).mask)
    rates = [_known(*of_lane) for of_lane in zip(np.asarray(found.rates), masks, strict=True)]
    images = {}
    if self._pictures is not None and self._is_due(progress.step):
      params = programs.params_of(progress.state)
      lanes = outcome.picked(self._built.lanes, progress.lanes)
      images = outcome.lane_grids(self._pictures(params, lanes, found.variances)._asdict())
    self._tracker.show(progress.step, progress.lanes, rates, images)

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
