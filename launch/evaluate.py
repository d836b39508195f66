"""Evaluates the newest checkpoint of a run anew: NLL, bounds, results.csv and the pictures.

  python -m launch.evaluate --workdir=runs/digits --num_samples=5000 --num_images=359

A data file that has moved is named by --data_path. Of any other file of examples of the same shape
the figures go to WORKDIR/evaluations, and those of the run stay:

  python -m launch.evaluate --workdir=runs/faces --data_path=others.npz --data_split=images
"""

from absl import flags

from launch import command, terminal
from vae_jax.runs import evaluating, outcome

WORKDIR = flags.DEFINE_string('workdir', None, 'The directory of the run.')
NUM_SAMPLES = flags.DEFINE_integer(
  'num_samples', None, "Importance samples per image (default: the config's).", lower_bound=1
)
NUM_IMAGES = flags.DEFINE_integer(
  'num_images', None, "Test images of the NLL (default: the config's).", lower_bound=1
)
DATA_PATH = flags.DEFINE_string(
  'data_path',
  None,
  'An .npz file: that of the run, which has moved, or another one, whose figures go to '
  'WORKDIR/evaluations.',
)
DATA_SPLIT = flags.DEFINE_string(
  'data_split', None, "The split of another file to evaluate on (default: the config's splits)."
)
flags.mark_flag_as_required('workdir')


def main() -> outcome.Outcome:
  result = evaluating.evaluate(
    WORKDIR.value, NUM_SAMPLES.value, NUM_IMAGES.value, DATA_PATH.value, DATA_SPLIT.value
  )
  terminal.show(result)
  return result


if __name__ == '__main__':
  command.start(main)
