"""Makes a W&B workspace and report of a run; see `vae_jax.commands.dashboard`."""

from vae_jax.commands import command, dashboard

if __name__ == '__main__':
  command.start(dashboard.make())
