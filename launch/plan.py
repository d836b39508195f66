"""Says what a study would run; see `vae_jax.commands.plan`."""

from vae_jax.commands import command, plan

if __name__ == '__main__':
  command.start(plan.make())
