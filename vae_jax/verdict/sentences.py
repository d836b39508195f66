"""The verdict in sentences."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

from vae_jax.verdict.judging import Standing, Verdict
from vae_jax.verdict.points import name_of, shown
from vae_jax.verdict.units import Growth, Onset
from vae_jax.verdict.words import counted, listed, nats

_MOST = 5  # points that get a sentence of their own


def sentences(verdict: Verdict) -> list[str]:
  """Returns what a person reads of a verdict: the answer, how sure it is, what is next."""
  if verdict.best is None:
    why = '; '.join(sorted({f'{name} {what}' for name, what in verdict.left_out.items()})[:_MOST])
    return [f'No verdict: no lane has a value that counts ({why}).']
  found = [*_of_the_set(verdict), *_of_collapse(verdict.onsets), *_of_growth(verdict)]
  return [*found, *_of_what_is_missing(verdict), *_of_what_is_next(verdict)]


def _of_the_set(verdict: Verdict) -> Iterator[str]:
  best, *equal = verdict.inside if verdict.standings[verdict.best].inside else _best_first(verdict)
  others = [standing for standing in verdict.standings if not standing.inside]
  yield (
    f'Best by NLL on the {verdict.chosen_on} set: {best.point.name}, '
    f'{nats(best.mean, best.mean_stderr)} nats{_over(verdict)}.'
  )
  if len(verdict.standings) == 1:
    yield 'It is the only point: there is nothing to choose from.'
    return
  level = f'{100 * (1 - verdict.alpha):g} %'
  if verdict.num_images == 1:
    yield f'One {verdict.example} has no error bar: no point can be told from another.'
    return
  if not equal:
    nearest = min(others, key=lambda standing: standing.difference)
    yield (
      f'Every other point is worse, at {level} for all of them together; the nearest is '
      f'{nearest.point.name}, {nats(nearest.difference, nearest.stderr)} nats worse.'
    )
    return
  named = [f'{s.point.name} ({nats(s.difference, s.stderr, sign=True)})' for s in equal]
  rest = f'; the other {len(others)} are worse' if others else ''
  yield f'Not told from it at {level}: {listed(named, "; ")}{rest}.'
  sizes = {s.point.fields.get('latent_size') for s in verdict.inside}
  if None not in sizes and len(sizes) > 1:
    yield f'The smallest latent size among these: {min(sizes)}.'


def _best_first(verdict: Verdict) -> list[Standing]:
  """Returns the best point and the set; the set of few seeds may be another's than the smallest."""
  best = verdict.standings[verdict.best]
  return [best, *(standing for standing in verdict.inside if standing is not best)]


def _over(verdict: Verdict) -> str:
  """Returns what ± is of."""
  images = counted(verdict.num_images, verdict.example)
  most = max(len(standing.point.lanes) for standing in verdict.standings)
  return f' (± is one standard error, of {images}{f" and {most} seeds" if most > 1 else ""})'


def _of_collapse(onsets: Sequence[Onset]) -> Iterator[str]:
  for what, field in (
    ('active units become fewer', 'fewer_from'),
    ('no unit is active', 'none_from'),
  ):
    places: dict[float | None, list[str]] = {}
    for onset in onsets:
      places.setdefault(getattr(onset, field), []).append(_line(onset.fields, onsets))
    never = places.pop(None, [])
    if places:
      everywhere = len(places) == 1 and not never
      named = [
        f'from beta {shown(beta)} on{"" if everywhere else f" ({listed(lines)})"}'
        for beta, lines in sorted(places.items())
      ]
      yield f'Collapse: {what} {listed(named)}.'
  if onsets and all(onset.fewer_from is None for onset in onsets):
    yield 'No collapse: the largest beta leaves as many units active as the smallest.'


def _line(fields: dict[str, Any], onsets: Sequence[Onset]) -> str:
  """Returns which line of points this is, by what it does not share with all others."""
  own = {
    name: value
    for name, value in fields.items()
    if any(onset.fields.get(name) != value for onset in onsets)
  }
  return name_of(own or fields)


def _of_growth(verdict: Verdict) -> Iterator[str]:
  growth = _growth_at_the_best(verdict)
  if growth is None:
    return
  at = f'At {name_of(growth.fields)}: ' if growth.fields else ''
  if growth.stops_at < growth.largest:
    yield (
      f'{at}a latent size above {growth.stops_at} adds no active unit '
      f'({growth.units:.3g} of {growth.stops_at} are active).'
    )
  else:
    yield f'{at}the number of active units grows up to the largest latent size, {growth.largest}.'


def _growth_at_the_best(verdict: Verdict) -> Growth | None:
  fields = verdict.standings[verdict.best].point.fields
  rest = {name: value for name, value in fields.items() if name != 'latent_size'}
  return next((growth for growth in verdict.growths if growth.fields == rest), None)


def _of_what_is_missing(verdict: Verdict) -> Iterator[str]:
  if verdict.left_out:
    named = [f'{name} ({why})' for name, why in verdict.left_out.items()]
    yield f'Left out: {listed(named)}.'
  if verdict.gone:
    yield f'Nothing is known of {listed(verdict.gone, "; ")}.'
  if verdict.images_left_out:
    images = counted(verdict.images_left_out, verdict.example)
    yield f'{images} left out: a lane has no finite value there.'
  if verdict.chosen_on == 'test':
    yield 'Chosen on the test set, for want of a validation split: its figures flatter the best.'
  if _seeds(verdict) == 1:
    yield 'One seed a point: what another seed would change is not in the error bars.'


def _seeds(verdict: Verdict) -> int:
  return max(len(standing.point.lanes) for standing in verdict.standings)


def _of_what_is_next(verdict: Verdict) -> Iterator[str]:
  for standing in [s for s in verdict.inside if s.need is not None][:_MOST]:
    if words := _needed(standing, verdict):
      yield f'Next, to tell {standing.point.name} from the best: {words}.'
  if _seeds(verdict) == 1 and len(verdict.standings) > 1:
    yield 'Next: three seeds, lanes.seed=(0, 1, 2).'
  if verdict.few_samples:
    yield (
      'Next: more of evaluation.nll_samples, as one sample carries the NLL of more than a tenth '
      f'of the {verdict.example}s of {listed(verdict.few_samples)}.'
    )
  for edge in verdict.edges:
    yield (
      f'Next: add lanes.{edge.field}={shown(edge.add)}, as the best, {shown(edge.value)}, is at '
      'the edge of the grid.'
    )


def _needed(standing: Standing, verdict: Verdict) -> str:
  images, seeds = standing.need
  if seeds is not None:
    more = f' and {images:,} {verdict.example}s' if images > verdict.num_images else ''
    return f'about {seeds} seeds a point{more}: the seeds are the larger part of its error'
  if images is None:
    if standing.difference == 0 or not math.isfinite(standing.stderr):
      return ''
    return 'nothing within reach; they are as good as each other'
  return f'about {images:,} {verdict.example}s in place of {verdict.num_images:,}'
