"""Trains a study: every lane of its grid as one program.

  python -m launch.train --config=configs/digits.py --workdir=runs/digits \\
    --config.lanes.beta='(1.,4.)' --config.train.steps=1000

The same command continues a run that was stopped. Exit codes: README, "Exit codes".
"""

from absl import flags
from ml_collections import config_flags

from launch import command, terminal
from vae_jax import outcome, train

CONFIG = config_flags.DEFINE_config_file('config', None, 'The study.', lock_config=True)
WORKDIR = flags.DEFINE_string('workdir', None, 'Where the files of the run go.')
flags.mark_flags_as_required(['config', 'workdir'])


def main() -> outcome.Outcome:
  result = train.run(command.read_config(CONFIG), WORKDIR.value)
  terminal.show(result)
  return result


if __name__ == '__main__':
  command.start(main)
