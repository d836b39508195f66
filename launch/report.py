"""Writes report.html of runs; see `vae_jax.commands.report`."""

from vae_jax.commands import command, report

if __name__ == '__main__':
  command.start(report.make())
