"""The trial of a sweep, which `wandb agent` names where it would name every run."""

import os
from typing import NamedTuple


class Trial(NamedTuple):
  """The ids of a sweep and of the run that is its trial; None of both where there is no sweep."""

  sweep_id: str | None
  run_id: str | None


def take() -> Trial:
  """Takes the trial out of the environment: the run of the study alone stands for it."""
  sweep_id = os.environ.pop('WANDB_SWEEP_ID', None)
  return Trial(sweep_id, os.environ.pop('WANDB_RUN_ID', None) if sweep_id else None)
