"""Trains a study; see `vae_jax.commands.train`."""

from vae_jax.commands import command, train

if __name__ == '__main__':
  command.start(train.make())
