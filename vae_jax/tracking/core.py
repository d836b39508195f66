"""wandb-core, the process in which wandb does its work."""

import sys
from typing import Any


def start() -> Any:
  """Starts it, and returns wandb's connection to it; None where it is not of this process."""
  import wandb

  service = wandb.setup(wandb.Settings(silent=True)).ensure_service()
  return service if service.owns_service else None


def kill(service: Any) -> None:
  """Ends it, without which no call of wandb waits, and what wandb would do at exit.

  What it was given a second ago is in the files of WORKDIR/wandb.
  """
  if service is not None:  # there are no public names for these two
    service._cleanup()
    service._proc._process.kill()
  if 'wandb' in sys.modules:
    sys.modules['wandb'].teardown()
