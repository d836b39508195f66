"""What every file of a run is, and every column and key: name, unit, sign and meaning, once.

The tables are written and read by these names, and docs/files.md shows them:

  python -m vae_jax.records docs/files.md

Figures are in nats per example where no other unit stands; `higher` or `lower` says which is
better.
"""

from vae_jax.records.schemas.columns import Column, names
from vae_jax.records.schemas.files import FILES, OF_LAUNCHES
from vae_jax.records.schemas.objects import METRICS, PER_IMAGE, PROVENANCE
from vae_jax.records.schemas.results import (
  RESULTS,
  RESULTS_BEFORE,
  RESULTS_FIRST,
  STATUSES,
  TEXT_COLUMNS,
  result_columns,
)
from vae_jax.records.schemas.status import STATUS
from vae_jax.records.schemas.tables import (
  CURVE,
  DISENTANGLEMENT,
  FORECAST,
  LATENTS,
  NLL_CURVE,
  UDR,
)
from vae_jax.records.schemas.verdict import VERDICT

__all__ = [
  'CURVE',
  'DISENTANGLEMENT',
  'FILES',
  'FORECAST',
  'LATENTS',
  'METRICS',
  'NLL_CURVE',
  'OF_LAUNCHES',
  'PER_IMAGE',
  'PROVENANCE',
  'RESULTS',
  'RESULTS_BEFORE',
  'RESULTS_FIRST',
  'STATUS',
  'STATUSES',
  'TEXT_COLUMNS',
  'UDR',
  'VERDICT',
  'Column',
  'names',
  'result_columns',
]
