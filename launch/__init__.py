"""The commands from a clone: `python -m launch.train` is `vae-jax train`."""

import sys

from vae_jax.commands import early

if sys.argv[0] == '-m':  # `python -m launch.NAME` has got this far
  early.begin()
