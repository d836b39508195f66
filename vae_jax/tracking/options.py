"""The settings of W&B under which its runs are opened."""

from typing import Any

_INIT_SECONDS = 8.0
_FINISH_SECONDS = 11.0
_UPLOAD_SECONDS = 300.0

# One run records the machine, the code and the packages for all.
_LIGHT = {
  'x_disable_stats': True,
  'x_disable_meta': True,
  'x_disable_machine_info': True,
  'x_save_requirements': False,
  'disable_git': True,
  'disable_code': True,
}


def of_study(sweep_id: str | None, patient: bool) -> Any:
  """Returns the settings of the run of a study, which is a trial where there is a sweep."""
  return _settings(patient, sweep_id=sweep_id)


def of_lane(patient: bool) -> Any:
  """Returns the settings of the run of a lane."""
  return _settings(patient, **_LIGHT)


def _settings(patient: bool, **settings: Any) -> Any:
  """Returns the settings of one run: those that all runs share, and the given ones."""
  import wandb

  return wandb.Settings(
    console='off',  # a captured stdout would go to every run
    init_timeout=_INIT_SECONDS,
    finish_timeout=_UPLOAD_SECONDS if patient else _FINISH_SECONDS,
    finish_timeout_raises=True,
    x_transaction_log_flush_interval=1.0,  # kill -9 loses what was not flushed; default: 15 s
    **settings,
  )
