"""Compares two runs from Python."""

import os
from typing import Any

from vae_jax import comparison
from vae_jax.front.run import Run
from vae_jax.runs import comparing


def compare(one: Run | os.PathLike | str, other: Run | os.PathLike | str) -> dict[str, Any]:
  """Returns what run B changed beside run A; B less A in nats, below 0 where B is better.

  Only files are read: no checkpoint and no data set is needed.

  Args:
    one, other: A and B, as workdirs or as loaded runs.

  Returns:
    plain values: 'sentences' for a person; 'overall', the mean change of the NLL over the points
    that both have, and 'changes' at each, with its standard error and p-value; 'gap' and 'gaps',
    the change of the distortion at equal rate, over all curves and of each.

  Raises:
    InputError: one is no run, or has no NLL yet, or their data sets differ.
    DamagedError: a file is not what was written.
  """
  directories = [run.directory if isinstance(run, Run) else run for run in (one, other)]
  return comparison.as_record(comparing.compare(*directories))
