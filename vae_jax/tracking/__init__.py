"""Copies what a run reports to W&B: one run a lane, of a program of G lanes.

metrics.jsonl (`vae_jax.records`) is the record. W&B holds a copy of it, made by a thread that
nothing waits for; whatever goes wrong there, or hangs, is one warning, never the end of a training
run. After a restart no point stands twice, and W&B gets from metrics.jsonl what it has not got
before. `upload` does the same for a run that has ended.

  tracker = open_tracker(
    workdir, names, lane_fields, config, provenance, settings, restored_step
  )
  tracker.write(step, metrics)                 # metrics: name -> [G]
  tracker.summarise(step, rows, images, results)  # images: name -> lane -> picture
  tracker.close(exit_code)
"""

from vae_jax.tracking.choosing import at_end
from vae_jax.tracking.results import Results
from vae_jax.tracking.settings import Settings
from vae_jax.tracking.tracker import Tracker, open_tracker
from vae_jax.tracking.uploading import Ended, upload

__all__ = ['Ended', 'Results', 'Settings', 'Tracker', 'at_end', 'open_tracker', 'upload']
