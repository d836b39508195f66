"""Trains a study from Python, by the same function as the command."""

import os
from collections.abc import Mapping
from typing import Any

from vae_jax import config as settings
from vae_jax import config_files, switches
from vae_jax.front.loading import load
from vae_jax.front.run import Run
from vae_jax.runs import training


def train(
  config: Mapping[str, Any] | os.PathLike | str,
  workdir: os.PathLike | str,
  from_scratch: bool = False,
  extend: bool = False,
) -> Run:
  """Trains every lane of a study and returns the run; goes on where an earlier call stopped.

  The same bits as of `vae-jax train`, where nothing of JAX ran in this process before: the
  cores of a CPU are then made devices, as there. In the main thread Ctrl-C and SIGTERM save the
  state and raise Stopped; in another one no handler is set. A lane that diverges is no error: its
  status says so.

  Args:
    config: a ConfigDict, nested dicts, the path of a file with `get_config()`, or the name of a
      study that comes with the package, 'digits'; what it leaves out is at the value of
      `vae_jax.config.base`.
    workdir: where the files of the run go; see docs/files.md.
    from_scratch: whether a run whose checkpoints are lost may begin again at step 0.
    extend: whether a run takes in the lanes that the config has beside its own.

  Raises:
    InputError, DamagedError, InUseError, StorageError, Stopped: see `vae_jax.errors`.
  """
  if isinstance(config, (str, os.PathLike)):
    config = config_files.read(config, 'config')
  switches.use_cores()
  training.run(settings.complete(config), workdir, from_scratch=from_scratch, extend=extend)
  return load(workdir)
