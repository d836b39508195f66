"""Writes report.html: which beta, which latent size, how sure, and what it looks like.

  vae-jax report --workdir=runs/digits
  vae-jax report --workdir=runs/before --workdir=runs/after --out=both.html

Training and evaluating write it, too. It is one file that opens without a network. Only the files
of the runs are read, also of one that goes on or was stopped. Of a study of launches results.csv
and verdict.json over all of them are written, too. From a clone it is python -m launch.report, too.
"""

from absl import flags

from vae_jax.commands.command import Command


def make() -> Command:
  """Returns the command with its flags."""
  own = flags.FlagValues()
  flags.DEFINE_multi_string(
    'workdir', None, 'The directory of a run; given several times, each on the same page.', own
  )
  flags.DEFINE_string(
    'out',
    None,
    'The page (.html) to write (default: WORKDIR/report.html; of several, report.html here).',
    own,
  )
  return Command(__doc__, own, main, required=('workdir',))


def main(given: flags.FlagValues) -> int:
  """Writes the page and prints where it is."""
  from vae_jax import launches, paths, sweeps
  from vae_jax.commands import sweep
  from vae_jax.runs import reporting

  if len(given.workdir) == 1 and launches.holds_study(given.workdir[0]) and given.out is None:
    directory = paths.expanded(given.workdir[0], '--workdir')
    found = launches.standings_of(directory)
    failed = [standing.name for standing in found if standing.state == 'failed']
    sweep.show(directory, sweeps.gather(directory), failed)
    return 0
  print(f'report: {reporting.report(given.workdir, given.out)}', flush=True)
  return 0
