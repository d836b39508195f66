"""Evaluates the newest checkpoint of a run anew: NLL, bounds, results.csv and the pictures.

  vae-jax evaluate --workdir=runs/digits --num_samples=5000 --num_images=359

A data file that has moved is named by --data_path. Of any other file of examples of the same shape
the figures go to WORKDIR/evaluations, and those of the run stay. What was fitted to the training
split, such as means and spreads of standardised columns, is that of the run:

  vae-jax evaluate --workdir=runs/faces --data_path=others.npz --data_split=images
"""

from absl import flags

from vae_jax.commands.command import Command


def make() -> Command:
  """Returns the command with its flags."""
  own = flags.FlagValues()
  flags.DEFINE_string('workdir', None, 'The directory of the run.', own)
  flags.DEFINE_integer(
    'num_samples',
    None,
    "Importance samples per image (default: the config's).",
    lower_bound=1,
    flag_values=own,
  )
  flags.DEFINE_integer(
    'num_images',
    None,
    "Images of the NLL, of the validation and of the test set each (default: the config's).",
    lower_bound=1,
    flag_values=own,
  )
  flags.DEFINE_string(
    'data_path',
    None,
    'A data file: that of the run, which has moved, or another one, whose figures go to '
    'WORKDIR/evaluations.',
    own,
  )
  flags.DEFINE_string(
    'data_split',
    None,
    "The split of another file to evaluate on (default: the config's splits).",
    own,
  )
  return Command(__doc__, own, main, required=('workdir',))


def main(given: flags.FlagValues) -> int:
  """Evaluates the run and prints what came out."""
  from vae_jax.commands import terminal
  from vae_jax.runs import evaluating

  result = evaluating.evaluate(
    given.workdir, given.num_samples, given.num_images, given.data_path, given.data_split
  )
  terminal.show(result)
  return result.exit_code
