"""Where a study of several parts stands: processes, of which each has a share, or launches."""

import pathlib
from collections.abc import Callable, Iterable, Sequence

from vae_jax import launches
from vae_jax.standing.elbos import elbo_of
from vae_jax.standing.status import STATUSES, Figures, Status


def together(directory: pathlib.Path, shares: Sequence[Status]) -> Status:
  """Returns where a study stands whose shares are not gathered yet: as far as the last of them.

  It is not done before they are: what is left is the work of process 0.
  """
  states = {'interrupted' if share.state == 'done' else share.state for share in shares}
  order = ('running', 'unknown', 'interrupted', 'not begun')
  return _joined(directory, shares, next(state for state in order if state in states))


def of_launches(
  directory: pathlib.Path, parts: Sequence[Status], found: Sequence[launches.Standing]
) -> Status:
  """Returns where a study stands whose launches stand as given, each of them a part of it.

  It is done when all of them are; it waits while none was begun; it has failed where nothing is
  left but what failed.
  """
  counts = launches.counts_of(found)
  order = ('running', 'interrupted', 'submitted', 'queued', 'failed', 'done')
  state = next(state for state in order if counts[state])
  if state in ('submitted', 'queued') and counts['done'] + counts['failed']:
    state = 'interrupted'
  parts = [
    part._replace(
      state=each.state, holder=each.holder, report=None, notes=[*part.notes, *_why(each)]
    )
    for part, each in zip(parts, found, strict=True)
  ]
  page = directory / 'report.html'
  report = str(page) if page.is_file() else None
  return _joined(directory, parts, state)._replace(launches=counts, report=report)


def _why(standing: launches.Standing) -> list[str]:
  return [standing.reason] if standing.reason else []


def _joined(directory: pathlib.Path, shares: Sequence[Status], state: str) -> Status:
  figures = _side_by_side([share.figures for share in shares])
  return Status(
    workdir=str(directory),
    state=state,
    step=min(share.step for share in shares),
    steps=_of_all(max, (share.steps for share in shares)),
    lanes={name: sum(share.lanes[name] for share in shares) for name in STATUSES},
    elbo=figures and elbo_of(*figures),
    seconds=_of_all(max, (share.seconds for share in shares)),
    steps_per_second=_of_all(min, (share.steps_per_second for share in shares)),
    seconds_left=_of_all(max, (share.seconds_left for share in shares)),
    checkpoint=_of_all(min, (share.checkpoint for share in shares)),
    row_age=_of_all(min, (share.row_age for share in shares)),
    holder=None,
    report=None,
    notes=[],
    shares=shares,
  )


def _of_all(choose: Callable, values: Iterable[float | None]) -> float | None:
  return choose((value for value in values if value is not None), default=None)


def _side_by_side(found: Sequence[Figures | None]) -> Figures | None:
  """Returns the figures of all lanes, None while some share has another split or none."""
  if any(each is None or each.split != found[0].split for each in found):
    return None
  (key,) = found[0].metrics
  return Figures(
    {key: [value for each in found for value in each.metrics[key]]},
    [reason for each in found for reason in each.reasons],
    [name for each in found for name in each.names],
    found[0].split,
  )
