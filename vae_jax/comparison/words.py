"""A comparison in sentences, and as plain values."""

import math
from collections.abc import Iterator
from typing import Any

from vae_jax.comparison.comparing import Comparison
from vae_jax.comparison.curves import Gap
from vae_jax.comparison.pairs import Change
from vae_jax.verdict.words import counted, listed, nats, plain

_ALPHA = 0.05
_BETWEEN = '; '


def sentences(found: Comparison) -> list[str]:
  """Returns what a person reads: what B changed, how sure that is, and what was not compared."""
  one, other = found.names
  said = [f'A is {one}, B is {other}, on the {found.split} set. ± is one standard error.']
  compared = *_of_points(found), *_of_curves(found)
  return [*said, *compared, *_of_samples(found), *_of_what_is_missing(found)]


def _of_points(found: Comparison) -> Iterator[str]:
  if found.overall is None:
    yield 'NLL: not compared, as no point is in both.'
    return
  count = len(found.changes)
  over = f'mean over the {count} points in both' if count > 1 else next(iter(found.changes))
  yield f'NLL: {_said(found.overall, "nats")} ({over}; {_images(found)}).'
  if count == 1:
    return
  decided = {name: c for name, c in found.changes.items() if c.p_value < _ALPHA}
  for word, sign in (('better', -1), ('worse', 1)):
    named = [f'{name} ({_nats(c)})' for name, c in decided.items() if c.mean * sign > 0]
    if named:
      yield f'B is {word} at {counted(len(named), "point")}: {listed(named, _BETWEEN)}.'
  if undecided := count - len(decided):
    yield f'Not decided, corrected for {count} points: {undecided} of them.'


def _said(change: Change, unit: str) -> str:
  """Returns whether B is better, in words."""
  if math.isnan(change.p_value):
    return f'B less A is {_nats(change)} {unit}, and its error is not known'
  if change.p_value >= _ALPHA:
    return f'no difference is seen, B less A is {_nats(change)} {unit}, p = {change.p_value:.2g}'
  word = 'better' if change.mean < 0 else 'worse'
  return f'B is {word}, B less A is {_nats(change)} {unit}, p = {change.p_value:.2g}'


def _nats(change: Change | Gap) -> str:
  return nats(change.mean, change.stderr, sign=True)


def _images(found: Comparison) -> str:
  a, b = found.num_images
  if found.paired:
    return f'paired on the same {a:,} {found.example}s'
  if 1 in (a, b):
    of_each = f'per-{found.example} values'
    return f'not paired, and its error of the seeds alone, for want of {of_each}'
  return f'not paired: other {found.example}s, {a:,} and {b:,}'


def _of_curves(found: Comparison) -> Iterator[str]:
  if found.gap is not None:
    gap, several = found.gap, len(found.gaps) > 1
    over = f'mean over {len(found.gaps)} curves' if several else next(iter(found.gaps))
    low, high = gap.interval(1 - _ALPHA)
    if math.isnan(gap.stderr):
      word = 'B less A has a distortion of'
    elif low <= 0 <= high:
      word = 'no difference of the distortion is seen,'
    else:
      word = f'B has {"less" if gap.mean < 0 else "more"} distortion,'
    error = '' if math.isfinite(gap.stderr) else ', and its error is not known'
    yield (
      f'At equal rate: {word} {_nats(gap)} nats{error} ({over}; rates {gap.low:.4g} to '
      f'{gap.high:.4g} nats; {"paired" if found.curves_paired else "not paired"}).'
    )
    if several:
      named = [f'{name} ({_nats(each)})' for name, each in found.gaps.items()]
      yield f'Of each: {listed(named, _BETWEEN)}.'
  for name, why in found.without.items():
    yield f'At equal rate, {name}: not compared, {why}.'
  if not found.gaps and not found.without:
    yield 'At equal rate: not compared, as no latent size is in both.'


def _of_samples(found: Comparison) -> Iterator[str]:
  a, b = found.samples
  if None not in (a, b) and a != b:
    fewer = 'A' if a < b else 'B'
    yield (
      f'The NLL of A is of {counted(a, "importance sample")}, that of B of {b:,}: with fewer it is '
      f'larger, which is to the disadvantage of {fewer}; let '
      f'vae-jax evaluate --num_samples={max(a, b)} estimate both.'
    )


def _of_what_is_missing(found: Comparison) -> Iterator[str]:
  for letter, names, lanes in zip('AB', found.only, found.left_out, strict=True):
    if names:
      yield f'Only in {letter}: {listed(names, _BETWEEN)}.'
    if lanes:
      named = [f'{name} ({why})' for name, why in lanes.items()]
      yield f'Left out of {letter}: {listed(named, _BETWEEN)}.'
  if found.seeds == 1:
    yield 'One seed a point: what another seed would change is not in the error bars.'


def as_record(found: Comparison) -> dict[str, Any]:
  """Returns a comparison as plain values that JSON has: what is not known is None."""
  record = found._asdict() | {
    'sentences': sentences(found),
    'overall': found.overall and found.overall._asdict(),
    'changes': {name: change._asdict() for name, change in found.changes.items()},
    'curves': {
      name: [{'rates': r.tolist(), 'distortions': d.tolist()} for r, d in pair]
      for name, pair in found.curves.items()
    },
    'gap': found.gap and found.gap._asdict(),
    'gaps': {name: gap._asdict() for name, gap in found.gaps.items()},
  }
  return plain(record)
