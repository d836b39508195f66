"""Evaluates a run anew; see `vae_jax.commands.evaluate`."""

from vae_jax.commands import command, evaluate

if __name__ == '__main__':
  command.start(evaluate.make())
