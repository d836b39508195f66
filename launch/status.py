"""Says where runs stand; see `vae_jax.commands.status`."""

from vae_jax.commands import command, status

if __name__ == '__main__':
  command.start(status.make())
