"""Compares two runs; see `vae_jax.commands.compare`."""

from vae_jax.commands import command, compare

if __name__ == '__main__':
  command.start(compare.make())
