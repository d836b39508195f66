"""The front door: from Python, NumPy in and NumPy out; batches inside, padding never seen.

  run = vae_jax.train('configs/digits.py', 'runs/digits')
  run = vae_jax.load('runs/digits')
  lane = run.best()
  codes = lane.encode(run.test)                                    # [N, Z]

See docs/python.md. Nothing else of the package is above it but the commands.
"""

from vae_jax.front.comparing import compare
from vae_jax.front.lane import Lane, Posterior
from vae_jax.front.loading import load
from vae_jax.front.run import Run
from vae_jax.front.training import train

__all__ = ['Lane', 'Posterior', 'Run', 'compare', 'load', 'train']
