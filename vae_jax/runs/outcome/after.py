"""What follows from an evaluation of the lanes that train: the best, stops, collapse."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from vae_jax import placement, programs
from vae_jax.runs.outcome import estimates
from vae_jax.runs.outcome.choice import after_evaluation
from vae_jax.runs.outcome.progress import Progress, collapsed, picked, scattered
from vae_jax.study import Start, Study


def announce(study: Study) -> None:
  """Says once, at the start, by what is chosen where nothing was held out, and what stops save."""
  settings, num_lanes, width = study.train, len(study.points), study.place.width
  asked = [f'train.patience={settings.patience}'] if settings.patience else []
  asked += [f'train.keep={settings.keep!r}'] if settings.keep == 'best' else []
  if asked and study.chosen_on == 'test':
    logging.warning(
      '%s: chosen on the test set, as there is no data.validation_split', ' and '.join(asked)
    )
  if settings.patience and 1 < num_lanes <= width:
    logging.info(
      'train.patience=%d saves no time before all %d lanes have stopped: they train in one turn; '
      'program.width=%d would let those that stop make room',
      *(settings.patience, num_lanes, -(-num_lanes // 4)),
    )


def evaluated(
  study: Study, start: Start, progress: Progress, new: Mapping[str, Sequence]
) -> Progress:
  """Returns the progress after an evaluation: what is best, whose figures count, what collapsed.

  Args:
    study: of the lanes.
    start: where their decoders started.
    progress: at the step of the evaluation.
    new: its metrics on the host, name -> [n], of `progress.lanes`.
  """
  objectives = new[f'{study.chosen_on}/objective']
  choice, taken = after_evaluation(study, progress.choice, progress.step, objectives)
  best, lanes = progress.best, progress.lanes
  if best is not None:
    places = [lanes.index(i) for i in taken]
    params = placement.joined(programs.params_of(progress.state))
    best = scattered(best, taken, picked(params, places))
  figures = lanes if best is None else taken
  return progress._replace(
    choice=choice,
    best=best,
    evaluated=_with_figures(progress, figures, new),
    collapsed_at=_collapsed(study, start, progress, new),
  )


def _with_figures(
  progress: Progress, figures: Sequence[int], new: Mapping[str, Sequence]
) -> dict[str, list]:
  """Returns `Progress.evaluated` where the lanes of `figures` have those of a new evaluation."""
  result = {}
  for name, values in new.items():
    result[name] = list(progress.evaluated.get(name, [None] * len(progress.reasons)))
    for i, value in zip(progress.lanes, values, strict=True):
      if i in figures:
        result[name][i] = value
  return result


def _collapsed(
  study: Study, start: Start, progress: Progress, new: Mapping[str, Sequence]
) -> list[int | None]:
  """Returns `Progress.collapsed_at`; of a lane that has stopped it stays."""
  lanes, result = progress.lanes, list(progress.collapsed_at)
  names, before, reasons = (
    [values[i] for i in lanes] for values in (study.names, result, progress.reasons)
  )
  is_last = progress.step == study.train.steps
  found = collapsed(names, start, before, progress.step, new, reasons, is_last, study.chosen_on)
  for i, step in zip(lanes, found, strict=True):
    result[i] = step
  return result


def with_stops(study: Study, progress: Progress) -> Progress:
  """Returns the progress where the lanes have stopped whose patience is at an end, and says so."""
  choice = progress.choice.stopping(study.train.patience, progress.step)
  for i in sorted({*progress.choice.training} - {*choice.training}):
    logging.info(
      '%s: stopped at step %d, as no evaluation since step %s was better',
      *(study.names[i], progress.step, choice.best_step[i]),
    )
  return progress._replace(choice=choice)


def of_all(progress: Progress, metrics: Mapping[str, Any]) -> dict[str, list]:
  """Returns metrics [n] of the lanes that train as lists [G] on the host.

  A lane that has stopped has there what it was evaluated at, or None.
  """
  result = {}
  for name, values in estimates.host(metrics).items():
    result[name] = list(progress.evaluated.get(name, [None] * len(progress.reasons)))
    for i, value in zip(progress.lanes, values, strict=True):
      result[name][i] = value
  return result
