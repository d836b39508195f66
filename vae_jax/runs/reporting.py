"""report.html of one run or several, by what they have on disk."""

import os
import pathlib
import string
from collections.abc import Sequence

from vae_jax import comparison, errors, paths
from vae_jax.runs import comparing, workdir


def report(
  workdirs: Sequence[os.PathLike | str], out: os.PathLike | str | None = None
) -> pathlib.Path:
  """Writes the page of runs, finished or not, and returns its path.

  Nothing else is written, and no data set is needed. Several runs stand on one page with what
  changed from the first of them to each other one on top.

  Args:
    workdirs: of the runs.
    out: where the page goes: by default WORKDIR/report.html and, of several, report.html here.

  Raises:
    InputError: one is no run, or is named twice, or has no results yet; or `out` is no .html.
    DamagedError: a file is not what was written.
    StorageError: the page cannot be written.
  """
  from vae_jax import report as pages  # matplotlib takes half a second

  directories = [paths.expanded(each, '--workdir') for each in workdirs]
  several = len(directories) > 1
  if out is not None:
    path = paths.of_output(out, '.html')
  else:
    path = pathlib.Path(pages.NAME) if several else directories[0] / pages.NAME
  _check_different(directories)
  for directory in directories:
    workdir.read_config(directory)  # or it holds no run
  keys = string.ascii_uppercase if several else ('',)
  most = pages.most_lanes(len(directories))
  studies = [pages.read(d, key, most) for d, key in zip(directories, keys, strict=False)]
  said = [line for other in directories[1:] for line in _compared(directories[0], other)]
  pages.write(studies, path, said)
  return path


def _check_different(directories: Sequence[pathlib.Path]) -> None:
  most = len(string.ascii_uppercase)
  if len(directories) > most:
    raise errors.InputError(f'--workdir is given {len(directories)} times; at most {most}')
  found: dict[pathlib.Path, pathlib.Path] = {}
  for directory in directories:
    same = found.setdefault(directory.resolve(), directory)
    if same is not directory:
      raise errors.InputError(f'--workdir={directory} is given twice; give it once')


def _compared(one: pathlib.Path, other: pathlib.Path) -> list[str]:
  """Returns what changed from one run to another, or why that is not known."""
  try:
    return comparison.sentences(comparing.compare(one, other))
  except errors.InputError as error:
    return [f'Not compared: {error}.']
