"""Records what a program of G lanes reports: metrics.jsonl, results.csv and one W&B run per lane.

metrics.jsonl is the record: always written, one line per lane and log point. W&B holds a copy of
it; whatever goes wrong there is one warning, never the end of a training run. After a restart no
point stands twice, in either of them; W&B may miss those of the last second before a kill -9.

  tracker = open_tracker(workdir, names, lane_fields, config, settings, restored_step, sweep_hash)
  tracker.write(step, metrics)                 # metrics: name -> [G]
  tracker.write_images(step, images)           # images: name -> G pictures
  write_results(workdir / 'results.csv', rows, field_names)
  tracker.summarise(rows, pictures)
  tracker.close(exit_code)
"""

from vae_jax.tracking.journal import read_metrics
from vae_jax.tracking.results import read_results, result_columns, write_results
from vae_jax.tracking.scalars import python_numbers
from vae_jax.tracking.tracker import Tracker, open_tracker
from vae_jax.tracking.wandb_runs import Settings

__all__ = [
  'Settings',
  'Tracker',
  'open_tracker',
  'python_numbers',
  'read_metrics',
  'read_results',
  'result_columns',
  'write_results',
]
