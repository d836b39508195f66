"""All launches of a study: planned, started by an engine that exists already, gathered.

  plan = sweeps.planned(config, config_files.launches('mine.py', '--config'))
  with sweeps.held('runs/mine', plan) as study:
    tally = sweeps.supervise(directory, sweeps.Local(directory, slots, devices))
  gathered = sweeps.gather('runs/mine')

An engine starts `vae-jax run --study=WORKDIR --index=I`, and nothing else: a launch is that command
with study.json beside it. What is done, runs or has failed is told from the files, see `launches`.
"""

from vae_jax.sweeps.gathering import Gathered, counted, exit_code, gather
from vae_jax.sweeps.local import Devices, Local, command, devices, slots
from vae_jax.sweeps.planning import built, held, not_done, planned
from vae_jax.sweeps.running import run, stop_with_parent, write_to_log
from vae_jax.sweeps.sizes import Size, size_of
from vae_jax.sweeps.supervising import Engine, Job, Tally, supervise

__all__ = [
  'Devices',
  'Engine',
  'Gathered',
  'Job',
  'Local',
  'Size',
  'Tally',
  'built',
  'command',
  'counted',
  'devices',
  'exit_code',
  'gather',
  'held',
  'not_done',
  'planned',
  'run',
  'size_of',
  'slots',
  'stop_with_parent',
  'supervise',
  'write_to_log',
]
