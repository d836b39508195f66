"""Two studies, A and B, beside each other: what B changed, as plain values."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from vae_jax import errors
from vae_jax.comparison import curves, pairs
from vae_jax.comparison.curves import Curve, Gap
from vae_jax.comparison.pairs import Change, Key
from vae_jax.verdict import points


class Side(NamedTuple):
  """What is known of one study.

  Attributes:
    name: that a person gave it, such as its directory.
    rows: of results.csv, [G].
    nll: [G, n] nats, of every image; n is 1 where only the means are known.
    rates, distortions: [G, m] nats, the same.
    images: what tells the images of `nll` from others; '' where only the means are known.
    averaged: the same of the images of `rates` and `distortions`.
    example: what sentences call one of the images: 'image', 'signal' or 'row'.
  """

  name: str
  rows: Sequence[Mapping[str, Any]]
  nll: np.ndarray
  rates: np.ndarray
  distortions: np.ndarray
  images: str
  averaged: str
  example: str = 'image'


class Comparison(NamedTuple):
  """B less A: nats, below 0 where B is better.

  Attributes:
    names: of A and B.
    split: that both are compared on.
    paired: whether the NLL of both is of the same images.
    num_images: of the NLL of A and of B; 1 where only the means are known.
    overall: the change of the NLL, mean over the points that both have; None where they have none.
    changes: of each of these points, by name.
    curves: the rates and distortions of the points of A and of B, [2, P], by what they have in
      common.
    gap: the mean delta D over all curves; None where no curves can be compared.
    gaps: of each.
    without: why a curve could not be compared, by what its points have in common.
    curves_paired: whether the rates and distortions of both are of the same images.
    averaged: the number of these images, of A and of B.
    only: the names of the points that one alone has, of A and of B.
    left_out: the lanes that do not count, and why, of A and of B.
    seeds: the most that a point has.
    example: what sentences call one of the images.
    samples: importance samples of the NLL of A and of B; None where rows do not say it.
  """

  names: tuple[str, str]
  split: str
  paired: bool
  num_images: tuple[int, int]
  overall: Change | None
  changes: dict[str, Change]
  curves: dict[str, tuple[np.ndarray, np.ndarray]]
  gap: Gap | None
  gaps: dict[str, Gap]
  without: dict[str, str]
  curves_paired: bool
  averaged: tuple[int, int]
  only: tuple[list[str], list[str]]
  left_out: tuple[dict[str, str], dict[str, str]]
  seeds: int
  example: str
  samples: tuple[int | None, int | None]


def compare(one: Side, other: Side, split: str) -> Comparison:
  """Returns what B changed.

  A lane that diverged or failed, or has no finite value of more than half of the images, does not
  count; an image that a lane which counts has no finite value of is left out, for both where they
  are paired.

  Raises:
    InputError: a study has no lane that counts.
  """
  sides = one, other
  paired = bool(one.images) and one.images == other.images
  counted = [_counted(side, side.nll) for side in sides]
  nll = _common([side.nll for side in sides], counted, paired)
  found = [pairs.points_of(side.rows, lanes) for side, lanes in zip(sides, counted, strict=True)]
  both = [key for key in found[0] if key in found[1]]
  named = _names([*found[0], *found[1]])
  overall, changes = None, []
  if both:
    values = [[v[list(at[key])] for key in both] for v, at in zip(nll, found, strict=True)]
    overall, changes = pairs.changes(*values, paired)
  return Comparison(
    names=(one.name, other.name),
    split=split,
    paired=paired,
    num_images=(nll[0].shape[1], nll[1].shape[1]),
    overall=overall,
    changes={named[key]: change for key, change in zip(both, changes, strict=True)},
    only=tuple([named[k] for k in found[i] if k not in found[1 - i]] for i in range(2)),
    left_out=tuple(_left_out(side, side.nll) for side in sides),
    seeds=max(len(lanes) for at in found for lanes in at.values()),
    example=one.example,
    samples=tuple(_samples(side) for side in sides),
    **_curves(sides),
  )


def _samples(side: Side) -> int | None:
  return next((row['nll_samples'] for row in side.rows if row.get('nll_samples')), None)


def _left_out(side: Side, values: np.ndarray) -> dict[str, str]:
  """Returns the lanes of a study that do not count, and why."""
  return points.collect(side.rows, values, example=side.example).left_out


def _counted(side: Side, values: np.ndarray) -> list[int]:
  """Returns the lanes of a study that count.

  Raises:
    InputError: there are none.
  """
  left_out = _left_out(side, values)
  found = [i for i, row in enumerate(side.rows) if row['name'] not in left_out]
  if not found:
    why = '; '.join(sorted(set(left_out.values())))
    raise errors.InputError(f'{side.name} has no lane to compare: {why}')
  return found


def _common(
  values: Sequence[np.ndarray], counted: Sequence[Sequence[int]], paired: bool
) -> list[np.ndarray]:
  """Returns the values [..., G, n] of both, of the images that count."""
  known = [
    np.isfinite(np.take(v, lanes, axis=-2)).reshape(-1, v.shape[-1]).all(axis=0)
    for v, lanes in zip(values, counted, strict=True)
  ]
  if paired:
    known = [known[0] & known[1]] * 2
  return [np.asarray(v, np.float64)[..., here] for v, here in zip(values, known, strict=True)]


def _names(keys: Sequence[Key]) -> dict[Key, str]:
  """Returns points by name: beta, latent size and what else differs among all of both."""
  fields = [dict(key) for key in dict.fromkeys(keys)]
  shown = [
    name
    for name in fields[0]
    if name in ('beta', 'latent_size') or len({each[name] for each in fields}) > 1
  ]
  return {key: points.name_of({name: dict(key)[name] for name in shown}) for key in keys}


def _curves(sides: Sequence[Side]) -> dict[str, Any]:
  """Returns what `Comparison` has of the curves."""
  paired = bool(sides[0].averaged) and sides[0].averaged == sides[1].averaged
  counted = [_counted(side, side.rates + side.distortions) for side in sides]
  terms = _common([np.stack([side.rates, side.distortions]) for side in sides], counted, paired)
  lines = [_lines(*each) for each in zip(sides, counted, terms, strict=True)]
  both = [key for key in lines[0] if key in lines[1]]
  named = dict(zip(both, _line_names(both), strict=True))
  without, kept = {}, []
  for key in both:
    try:
      curves.overlap(lines[0][key].means(), lines[1][key].means())
      kept.append(key)
    except errors.InputError as error:
      without[named[key]] = str(error)
  mean, each = None, []
  if kept:
    mean, each = curves.gaps(*[[line[key] for key in kept] for line in lines], paired)
  return dict(
    curves={named[key]: (lines[0][key].means(), lines[1][key].means()) for key in both},
    gap=mean,
    gaps={named[key]: gap for key, gap in zip(kept, each, strict=True)},
    without=without,
    curves_paired=paired,
    averaged=(terms[0].shape[-1], terms[1].shape[-1]),
  )


def _lines(side: Side, counted: Sequence[int], terms: np.ndarray) -> dict[Key, Curve]:
  """Returns the curves of a study by what their points have in common.

  Args:
    side: the study.
    counted: its lanes that count.
    terms: its rates and distortions, [2, G, m].
  """
  found: dict[Key, Curve] = {}
  for key, lanes in pairs.points_of(side.rows, counted).items():
    line = tuple((name, value) for name, value in key if name != 'beta')
    curve = found.setdefault(line, Curve([], []))
    for part, values in zip(curve, terms, strict=True):
      part.append(values[list(lanes)])
  return found


def _line_names(keys: Sequence[Key]) -> list[str]:
  """Returns lines by name: the latent size and what else differs among them."""
  fields = [dict(key) for key in keys]
  shown = [
    name
    for name in (fields[0] if fields else ())
    if name == 'latent_size' or len({each[name] for each in fields}) > 1
  ]
  return [points.name_of({name: each[name] for name in shown}) for each in fields]
