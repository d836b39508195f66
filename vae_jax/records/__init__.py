"""What a run records: metrics.jsonl, the CSV tables, and manifest.json with the sha256 of them all.

metrics.jsonl is the record: always written, one line per lane and log point. After a restart no
point stands twice. A table is written whole, and what has been written is read back as it was.

  write_results(workdir / 'results.csv', rows, field_names)
  write_table(workdir / 'latents.csv', LATENT_COLUMNS, rows)
  read_metrics(workdir / 'metrics.jsonl')
  read_per_image(workdir / 'per_image.npz')['validation'].nll     # [G, n]
"""

from vae_jax.records import schemas
from vae_jax.records.images import SHARED_IMAGES, example_of, kind_of, read_images
from vae_jax.records.journal import last_step, read_columns, read_metrics, rows_where
from vae_jax.records.lines import encode
from vae_jax.records.mending import Damage, damage, steps_of, take_out
from vae_jax.records.newest import newest_rows, newest_step
from vae_jax.records.per_image import NAME as PER_IMAGE
from vae_jax.records.per_image import (
  PerImage,
  images_sha256,
  read_per_image,
  write_per_image,
)
from vae_jax.records.points import Ranges, ranges_of, steps_in, with_step
from vae_jax.records.results import chosen_on, read_results, results_of, write_results
from vae_jax.records.scalars import python_numbers
from vae_jax.records.schemas import result_columns
from vae_jax.records.tables import read_lane_table, read_table, write_table

LATENT_COLUMNS = schemas.names(schemas.LATENTS)
NLL_CURVE_COLUMNS = schemas.names(schemas.NLL_CURVE)
FORECAST_COLUMNS = schemas.names(schemas.FORECAST)
CURVE_COLUMNS = schemas.names(schemas.CURVE)
DISENTANGLEMENT_COLUMNS = schemas.names(schemas.DISENTANGLEMENT)
UDR_COLUMNS = schemas.names(schemas.UDR)

__all__ = [
  'CURVE_COLUMNS',
  'DISENTANGLEMENT_COLUMNS',
  'FORECAST_COLUMNS',
  'LATENT_COLUMNS',
  'NLL_CURVE_COLUMNS',
  'PER_IMAGE',
  'SHARED_IMAGES',
  'UDR_COLUMNS',
  'Damage',
  'PerImage',
  'Ranges',
  'chosen_on',
  'damage',
  'encode',
  'example_of',
  'images_sha256',
  'kind_of',
  'last_step',
  'newest_rows',
  'newest_step',
  'python_numbers',
  'ranges_of',
  'read_columns',
  'read_images',
  'read_lane_table',
  'read_metrics',
  'read_per_image',
  'read_results',
  'read_table',
  'result_columns',
  'results_of',
  'rows_where',
  'steps_in',
  'steps_of',
  'take_out',
  'with_step',
  'write_per_image',
  'write_results',
  'write_table',
]
