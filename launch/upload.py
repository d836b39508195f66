"""Uploads a run to W&B; see `vae_jax.commands.upload`."""

from vae_jax.commands import command, upload

if __name__ == '__main__':
  command.start(upload.make())
