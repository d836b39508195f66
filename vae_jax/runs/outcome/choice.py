"""Which of its evaluations is a lane's best, and when it stops for want of a better one.

A lane is judged by its own objective on the split that is chosen on, higher is better: on the same
images with the same noise each time. Only evaluations that are due count: at multiples of
`train.evaluate_every`, so that a run that is taken to more steps chooses as one that was as long
from the start; and of a lane with a warm-up or a rising capacity, or with an objective of a user's
own that changes with the step, only those at which its objective has its final weights: before, a
lower weight of the rate would pass for progress.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from vae_jax import learner
from vae_jax.study import Study


class Choice(NamedTuple):
  """What has been chosen of each lane, [G].

  Attributes:
    best: the best objective that counted, None before one has.
    best_step: of that evaluation; before one has counted, of the newest.
    waited: evaluations that counted since then, none of which was better.
    stopped_at: the step at which the lane stopped, None while it trains.
  """

  best: list[float | None]
  best_step: list[int | None]
  waited: list[int]
  stopped_at: list[int | None]

  @property
  def training(self) -> list[int]:
    """The lanes that have not stopped."""
    return [i for i, step in enumerate(self.stopped_at) if step is None]

  def stopping(self, patience: int, step: int) -> 'Choice':
    """Returns the choice where lanes stop whose patience is at an end; that of 0 never is."""
    stopped_at = list(self.stopped_at)
    for i in self.training if patience else ():
      if self.waited[i] >= patience:
        stopped_at[i] = step
    return self._replace(stopped_at=stopped_at)

  def standing(self, lane: int, diverged_at: int, step: int, final: bool) -> tuple[str, int]:
    """Returns the status of a lane and the step at which it stands, as in results.csv.

    Args:
      lane: its number.
      diverged_at: the step at which it diverged, or `learner.NOT_DIVERGED`.
      step: of the run.
      final: whether the run has nothing left to train.
    """
    if diverged_at != learner.NOT_DIVERGED:
      return 'diverged', diverged_at
    if self.stopped_at[lane] is not None:
      return 'stopped', self.stopped_at[lane]
    return 'done' if final else 'running', step


def nothing_chosen(num_lanes: int) -> Choice:
  """Returns what is chosen before the first evaluation."""
  nothing = [None] * num_lanes
  return Choice(nothing, nothing, [0] * num_lanes, nothing)


def recorded(record: Mapping[str, Any], num_lanes: int) -> Choice:
  """Returns the choice beside a checkpoint; nothing is chosen in that of an earlier version."""
  return Choice(**record['choice']) if 'choice' in record else nothing_chosen(num_lanes)


def counts(study: Study, lane: int, step: int) -> bool:
  """Tells whether the evaluation of a lane after so many steps is one of those compared."""
  is_due = step % study.train.evaluate_every == 0
  return is_due and study.is_settled(study.points[lane], step)


def after_evaluation(
  study: Study, choice: Choice, step: int, objectives: Sequence[float | None]
) -> tuple[Choice, list[int]]:
  """Returns the choice after an evaluation, and the lanes whose parameters there are the best.

  Until an evaluation has counted, the newest parameters are the best.

  Args:
    study: of the lanes.
    choice: before.
    step: of the evaluation.
    objectives: on the split that is chosen on, of the lanes that train; None is not finite.
  """
  best, best_step, waited = (list(values) for values in choice[:3])
  taken = []
  for i, value in zip(choice.training, objectives, strict=True):
    is_better = value is not None and (best[i] is None or value > best[i])
    if counts(study, i, step):
      waited[i] = 0 if is_better else waited[i] + 1
      is_taken, best[i] = is_better or best[i] is None, value if is_better else best[i]
    else:
      is_taken = best[i] is None
    if is_taken:
      best_step[i] = step
      taken.append(i)
  return choice._replace(best=best, best_step=best_step, waited=waited), taken
