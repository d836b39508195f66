"""Compares two runs: did a change help? B less A in nats, below 0 where B is better.

  vae-jax compare --workdir=runs/before --workdir=runs/after
  vae-jax compare --workdir=runs/before --workdir=runs/after --out=compare.png

Points that both have are compared by their NLL, on the same images where both were evaluated on
them; and whole curves by their distortion at equal rate. Only the files of the runs are read: no
data set is needed. docs/choosing.md says what the error bars are. From a clone it is
python -m launch.compare, too.
"""

from absl import flags

from vae_jax import errors
from vae_jax.commands.command import Command


def make() -> Command:
  """Returns the command with its flags."""
  own = flags.FlagValues()
  flags.DEFINE_multi_string(
    'workdir', None, 'The directory of a run; given twice, A and then B.', own
  )
  flags.DEFINE_string('out', None, 'A picture (.png) of the two to write; none by default.', own)
  return Command(__doc__, own, main, required=('workdir',))


def main(given: flags.FlagValues) -> int:
  """Compares the runs and prints what came out.

  Raises:
    InputError: there are not two of them, or they cannot be compared.
  """
  from vae_jax import comparison, paths
  from vae_jax.runs import comparing

  if len(given.workdir) != 2:
    raise errors.InputError(
      f'--workdir is given {len(given.workdir)} times; give it twice: --workdir=A --workdir=B'
    )
  out = paths.of_output(given.out, '.png') if given.out is not None else None
  found = comparing.compare(*given.workdir)
  print('\n'.join(comparison.sentences(found)), flush=True)
  if out is not None:
    comparing.draw(found, out)
    print(f'picture: {out}', flush=True)
  return 0
