"""Copies what a run reports to W&B: one run a lane, of a program of G lanes.

metrics.jsonl (`vae_jax.records`) is the record. W&B holds a copy of it, made by a thread that
nothing waits for; whatever goes wrong there, or hangs, is one warning, never the end of a training
run. After a restart no point stands twice, and W&B gets from metrics.jsonl what it has not got
before.

  tracker = open_tracker(workdir, names, lane_fields, config, settings, restored_step)
  tracker.write(step, metrics)                 # metrics: name -> [G]
  tracker.write_images(step, images)           # images: name -> G pictures
  tracker.summarise(rows, pictures)
  tracker.close(exit_code)
"""

from vae_jax.tracking.settings import Settings
from vae_jax.tracking.tracker import Tracker, open_tracker

__all__ = ['Settings', 'Tracker', 'open_tracker']
