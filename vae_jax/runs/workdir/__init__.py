"""The directory of a run: claimed by one process, tied to one run, with its provenance.

  with workdir.claim(directory, config, workdir.provenance(...)):
    ...                                   # config.json and provenance.json stand, and are checked
    workdir.mark_finished(directory)

Every file of it is in its manifest; see `vae_jax.manifest`.
"""

from vae_jax.runs.workdir.claiming import (
  check_owner,
  check_parts,
  claim,
  holding,
  holds_run,
  record_lanes,
  record_place,
  warn_of_another_world,
)
from vae_jax.runs.workdir.stored import (
  FILES,
  ORIGINALS,
  RECORD,
  is_finished,
  mark_finished,
  mark_unfinished,
  plain,
  read_config,
  read_provenance,
  record_width,
  recorded_width,
  write_provenance,
)
from vae_jax.runs.workdir.world import provenance

__all__ = [
  'FILES',
  'ORIGINALS',
  'RECORD',
  'check_owner',
  'check_parts',
  'claim',
  'holding',
  'holds_run',
  'is_finished',
  'mark_finished',
  'mark_unfinished',
  'plain',
  'provenance',
  'read_config',
  'read_provenance',
  'record_lanes',
  'record_place',
  'record_width',
  'recorded_width',
  'warn_of_another_world',
  'write_provenance',
]
