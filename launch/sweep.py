"""Runs every launch of a study; see `vae_jax.commands.sweep`."""

from vae_jax.commands import command, sweep

if __name__ == '__main__':
  command.start(sweep.make())
