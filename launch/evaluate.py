"""Evaluates the newest checkpoint of a run anew: NLL, bounds, results.csv and the pictures.

python -m launch.evaluate --workdir=runs/digits --num_samples=5000 --num_images=359
"""

from absl import flags

from launch import command, terminal
from vae_jax import outcome, train

WORKDIR = flags.DEFINE_string('workdir', None, 'The directory of the run.')
NUM_SAMPLES = flags.DEFINE_integer(
  'num_samples', None, "Importance samples per image (default: the config's).", lower_bound=1
)
NUM_IMAGES = flags.DEFINE_integer(
  'num_images', None, "Test images of the NLL (default: the config's).", lower_bound=1
)
flags.mark_flag_as_required('workdir')


def main() -> outcome.Outcome:
  result = train.evaluate(WORKDIR.value, NUM_SAMPLES.value, NUM_IMAGES.value)
  terminal.show(result)
  return result


if __name__ == '__main__':
  command.start(main)
