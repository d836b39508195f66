"""Where a run stands: in words while it trains, and by its files for whoever looks at it.

  standing.elbo_of(metrics, reasons, names, 'validation')    # the best and the median of the lanes
  standing.status_of('runs/digits', time.time())             # of a run that goes on, or has ended

Nothing here needs JAX, takes a lock or writes.
"""

from vae_jax.standing.elbos import Elbo, elbo_of
from vae_jax.standing.numbers import nats
from vae_jax.standing.reading import Status, status_of
from vae_jax.standing.table import aligned, lines_of
from vae_jax.standing.training import Standing

__all__ = ['Elbo', 'Standing', 'Status', 'aligned', 'elbo_of', 'lines_of', 'nats', 'status_of']
