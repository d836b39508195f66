"""The verdict on a study, as plain values."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from vae_jax.verdict import advice, confidence, differences, units
from vae_jax.verdict.advice import Edge, Need
from vae_jax.verdict.points import Point, Values, collect
from vae_jax.verdict.units import Growth, Onset

ALPHA = 0.05


class Standing(NamedTuple):
  """A point beside the best one; nats per example, lower is better.

  Attributes:
    point: its lanes and what it is named by.
    mean: over its seeds and the images.
    mean_stderr: of the mean, of new images and seeds; NaN of one image.
    difference: to the best point; above 0, and 0 of the best itself.
    stderr: of the difference.
    of_images, of_seeds: the two parts of `stderr`: its square is the sum of theirs.
    p_value: of the two-sided paired test of the difference by itself.
    set_p_value: the level at which the point leaves the confidence set.
    inside: whether it is in the set.
    active_units: mean over its lanes; NaN where not known.
    need: what would decide, of another point in the set; None of one that is decided.
  """

  point: Point
  mean: float
  mean_stderr: float
  difference: float
  stderr: float
  of_images: float
  of_seeds: float
  p_value: float
  set_p_value: float
  inside: bool
  active_units: float
  need: Need | None


class Verdict(NamedTuple):
  """What a study says of beta and of the latent size.

  Attributes:
    chosen_on: the split, 'validation' or 'test'.
    alpha: the confidence set misses a point that is as good as the best with this probability.
    standings: of the points, in the order of the grid; [] where no lane counts.
    best: the index of the best of them; None where there is none.
    num_images: that all lanes have values of.
    images_left_out: that a lane has no finite value of.
    left_out: lane -> why it does not count.
    gone: the names of points of which no lane counts.
    onsets: where collapse sets in, by what the points of a line have in common.
    growths: where active units stop growing, the same.
    edges: of the grid at which the best point lies.
    few_samples: the lanes of the set whose NLL is an upper bound, as it had too few samples.
    example: what sentences call one of the images: 'image', 'signal' or 'row'.
  """

  chosen_on: str
  alpha: float
  standings: list[Standing]
  best: int | None
  num_images: int
  images_left_out: int
  left_out: dict[str, str]
  gone: list[str]
  onsets: list[Onset]
  growths: list[Growth]
  edges: list[Edge]
  few_samples: list[str]
  example: str = 'image'

  @property
  def inside(self) -> list[Standing]:
    """The confidence set, the best point first."""
    found = [standing for standing in self.standings if standing.inside]
    return sorted(found, key=lambda standing: standing.difference)


def judge(
  rows: Sequence[Mapping[str, Any]],
  values: np.ndarray,
  chosen_on: str,
  alpha: float = ALPHA,
  also: Sequence[str] = (),
  example: str = 'image',
) -> Verdict:
  """Returns the verdict on the lanes of a study.

  Args:
    rows: of results.csv, [G]: lane fields, status, and the columns of the split.
    values: [G, n] the NLL in nats, lower is better, of the same images for every lane, of the split
      that is chosen on.
    chosen_on: 'validation' or 'test'.
    alpha: of the confidence set.
    also: columns of the rows by which points are told apart, beside the lane fields.
    example: see `Verdict`.
  """
  found = collect(rows, values, also, example)
  counts = {
    point.name: [
      u for i in point.lanes if (u := rows[i].get(f'{chosen_on}/active_units')) is not None
    ]
    for point in found.points
  }
  onsets, growths = units.onsets(found.points, counts), units.growths(found.points, counts)
  known = bool(found.points) and found.values.shape[1] > 0
  standings, best = _standings(found, counts, alpha) if known else ([], None)
  inside = [i for standing in standings if standing.inside for i in standing.point.lanes]
  return Verdict(
    chosen_on=chosen_on,
    alpha=alpha,
    standings=standings,
    best=best,
    num_images=found.values.shape[1],
    images_left_out=found.images_left_out,
    left_out=found.left_out,
    gone=found.gone,
    onsets=onsets,
    growths=growths,
    edges=[] if best is None else advice.edges(found.points, found.points[best], onsets, growths),
    few_samples=advice.too_few_samples(rows, inside, chosen_on),
    example=example,
  )


def _standings(found: Values, counts: units.Counts, alpha: float) -> tuple[list[Standing], int]:
  """Returns the points beside the best one, and the index of that."""
  means = differences.means_of(found.values, [point.lanes for point in found.points])
  pairs = differences.differences_of(means)
  chosen = confidence.confidence_set(means, pairs, alpha)
  best = int(np.argmin(means.mean))
  stderr, p_value = pairs.stderr[:, best], pairs.p_value[:, best]
  standings = [
    Standing(
      point=point,
      mean=float(means.mean[i]),
      mean_stderr=float(np.sqrt(means.of_images[i, i] + means.of_seeds[i])),
      difference=float(pairs.mean[i, best]),
      stderr=float(stderr[i]),
      of_images=float(np.sqrt(pairs.images[i, best])),
      of_seeds=float(np.sqrt(pairs.seeds[i, best])),
      p_value=float(p_value[i]),
      set_p_value=float(chosen.p_value[i]),
      inside=bool(chosen.inside[i]),
      active_units=float(np.mean(counts[point.name] or [np.nan])),
      need=advice.need(means, pairs, i, best, chosen.critical)
      if chosen.inside[i] and i != best
      else None,
    )
    for i, point in enumerate(found.points)
  ]
  return standings, best
