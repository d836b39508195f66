"""`runs/{run_id}`: a directory of its own for each training, as each trial of a sweep needs one."""

import logging
import os
import re
import secrets

from vae_jax import errors, paths


def expanded(workdir: str, together: bool) -> str:
  """Returns a workdir whose {run_id} is the id of this training; other braces stay.

  It is WANDB_RUN_ID, which `wandb agent` sets for each trial, else a random one.

  Args:
    workdir: as typed.
    together: whether this is one of several processes, which need one directory.

  Raises:
    InputError: WANDB_RUN_ID is no name of a directory, or several processes have none.
  """
  if paths.RUN_ID not in workdir:
    return workdir
  run_id = os.environ.get('WANDB_RUN_ID') or ''
  if run_id and not re.fullmatch(r'\w[\w.-]*', run_id):
    raise errors.InputError(
      f'WANDB_RUN_ID={errors.shown(run_id)} is no name of a directory; give letters and digits'
    )
  if together and not run_id:
    raise errors.InputError(
      f'--workdir={workdir}: each process would draw another {paths.RUN_ID}; set WANDB_RUN_ID'
    )
  result = workdir.replace(paths.RUN_ID, run_id or secrets.token_hex(4))
  logging.info('the workdir is %s', result)
  return result
