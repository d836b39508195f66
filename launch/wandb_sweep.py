"""Writes a W&B sweep; see `vae_jax.commands.wandb_sweep`."""

from vae_jax.commands import command, wandb_sweep

if __name__ == '__main__':
  command.start(wandb_sweep.make())
