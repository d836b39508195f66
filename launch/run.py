"""Runs one launch of a study; see `vae_jax.commands.run`."""

from vae_jax.commands import command, run

if __name__ == '__main__':
  command.start(run.make())
