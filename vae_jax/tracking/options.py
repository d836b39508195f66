"""Where the runs of W&B go, and the settings under which they are opened."""

from typing import Any

from vae_jax.tracking.settings import Settings
from vae_jax.tracking.trial import Trial

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


def of_run(is_study: bool, trial: Trial, place: Settings, patient: bool) -> dict[str, Any]:
  """Returns where a run of W&B goes, and its settings, as `wandb.init` takes them.

  Args:
    is_study: whether it is the run of the study, which is a trial where there is a sweep.
    trial, place: of all runs.
    patient: whether it waits for the server.
  """
  # Under `wandb agent`, the environment holds the entity and the project of its sweep.
  return {
    'entity': None if trial.sweep_id else place.entity or None,
    'project': None if trial.sweep_id else place.project,
    'settings': _settings(patient, **({'sweep_id': trial.sweep_id} if is_study else _LIGHT)),
  }


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
