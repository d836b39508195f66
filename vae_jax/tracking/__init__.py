"""Records what a program of G lanes reports: metrics.jsonl, CSV tables and one W&B run a lane.

metrics.jsonl is the record: always written, one line per lane and log point. W&B holds a copy of
it, made by a thread that nothing waits for; whatever goes wrong there, or hangs, is one warning,
never the end of a training run. After a restart no point stands twice, in either of them, and W&B
gets from metrics.jsonl what it has not got before.

  tracker = open_tracker(workdir, names, lane_fields, config, settings, restored_step)
  tracker.write(step, metrics)                 # metrics: name -> [G]
  tracker.write_images(step, images)           # images: name -> G pictures
  write_results(workdir / 'results.csv', rows, field_names)
  write_table(workdir / 'latents.csv', LATENT_COLUMNS, rows)
  tracker.summarise(rows, pictures)
  tracker.close(exit_code)
"""

from vae_jax.tracking.journal import Damage, damage, encode, read_metrics, steps_of, take_out
from vae_jax.tracking.points import Ranges, ranges_of, steps_in, with_step
from vae_jax.tracking.results import read_results, result_columns, write_results
from vae_jax.tracking.scalars import python_numbers
from vae_jax.tracking.tables import (
  LATENT_COLUMNS,
  NLL_CURVE_COLUMNS,
  read_table,
  write_table,
)
from vae_jax.tracking.tracker import Tracker, open_tracker
from vae_jax.tracking.wandb_runs import Settings

__all__ = [
  'LATENT_COLUMNS',
  'NLL_CURVE_COLUMNS',
  'Damage',
  'Ranges',
  'Settings',
  'Tracker',
  'damage',
  'encode',
  'open_tracker',
  'python_numbers',
  'ranges_of',
  'read_metrics',
  'read_results',
  'read_table',
  'result_columns',
  'steps_in',
  'steps_of',
  'take_out',
  'with_step',
  'write_results',
  'write_table',
]
