"""The verdict as what verdict.json holds."""

from typing import Any

from vae_jax.verdict.judging import Standing, Verdict
from vae_jax.verdict.sentences import sentences
from vae_jax.verdict.words import plain


def as_record(verdict: Verdict) -> dict[str, Any]:
  """Returns a verdict as plain values that JSON has: what is not known is None."""
  inside = verdict.inside
  sizes = [s.point.fields['latent_size'] for s in inside if 'latent_size' in s.point.fields]
  record = {
    'sentences': sentences(verdict),
    'chosen_on': verdict.chosen_on,
    'level': 1 - verdict.alpha,
    'images': verdict.num_images,
    'images_left_out': verdict.images_left_out,
    'best': None if verdict.best is None else verdict.standings[verdict.best].point.name,
    'set': [standing.point.name for standing in inside],
    'smallest_latent_size': min(sizes, default=None),
    'points': [_point(standing) for standing in verdict.standings],
    'left_out': verdict.left_out,
    'gone': verdict.gone,
    'collapse': [onset._asdict() for onset in verdict.onsets],
    'growth': [growth._asdict() for growth in verdict.growths],
    'edges': [edge._asdict() for edge in verdict.edges],
    'few_samples': verdict.few_samples,
  }
  return plain(record)


def _point(standing: Standing) -> dict[str, Any]:
  record = standing._asdict() | {'seeds': len(standing.point.lanes)}
  point, need = record.pop('point'), record.pop('need')
  needed = {'images_needed': need and need.images, 'seeds_needed': need and need.seeds}
  return {'name': point.name, 'fields': point.fields, 'lanes': point.lanes} | record | needed
