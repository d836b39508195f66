"""Launches as tasks of one array job of Slurm."""

import pathlib
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from vae_jax import errors, files, launches

ENGINE = 'slurm'
_SCRIPT = 'jobs/slurm.sh'
_SECONDS = 60.0
# Slurm sends SIGTERM so many seconds before the time of a job is up.
_WARNING_SECONDS = 120


def script(directory: pathlib.Path, resources: Mapping[str, Any]) -> str:
  """Returns the batch script of which each task runs the launch of its number.

  A launch that was asked to stop has saved its state and ends with 143: then its task is queued
  again. So is, by --requeue, that of a node that was lost or taken for another job.

  Args:
    directory: of the study.
    resources: of a launch, see `vae_jax.config`; 0 leaves it to the partition.
  """
  asked = {
    '--cpus-per-task': resources['cpus'],
    '--gpus-per-task': resources['gpus'],
    '--mem': f'{resources["memory_gib"] * 1024:.0f}M' if resources['memory_gib'] else 0,
    '--time': resources['minutes'],
  }
  options = [f'{name}={value}' for name, value in asked.items() if value]
  options += ['--requeue', f'--signal=TERM@{_WARNING_SECONDS}', '--open-mode=append']
  options += [f'--output={directory}/jobs/slurm-%a.txt', '--ntasks=1', *resources['options']]
  run = [sys.executable, '-m', 'vae_jax.commands', 'run', f'--study={directory}']
  lines = '\n'.join(f'#SBATCH {option}' for option in options)
  return f"""#!/bin/bash
{lines}
# A step, as Slurm tells steps at once that a job is wanted elsewhere; this shell, `scancel` alone.
# From 22.05 on a step has no more cores than it asks for itself.
export SRUN_CPUS_PER_TASK="${{SLURM_CPUS_PER_TASK:-1}}"
srun {shlex.join(run)} --index="$SLURM_ARRAY_TASK_ID" --log
code=$?
[ "$code" -eq 143 ] && scontrol requeue "$SLURM_JOB_ID"
exit "$code"
"""


def submit(
  directory: pathlib.Path, numbers: Mapping[str, int], resources: Mapping[str, Any]
) -> str:
  """Submits launches as one array, and what gathers them behind it; returns the id of the array.

  Args:
    directory: of the study, which the caller holds.
    numbers: name -> number of the launches to submit.
    resources: of each.

  Raises:
    InputError: there is no Slurm here, or it refuses.
  """
  path = directory / _SCRIPT
  files.make_directory(path.parent)
  files.write_text(path, script(directory, resources))
  array = ','.join(str(number) for number in numbers.values())
  name = f'--job-name={directory.name}'
  job = _asked(['sbatch', '--parsable', name, f'--array={array}', str(path)])
  for launch, number in numbers.items():
    launches.note_submitted(directory, launch, ENGINE, f'{job}_{number}')
  gather = [sys.executable, '-m', 'vae_jax.commands', 'report', f'--workdir={directory}']
  behind = [f'--dependency=afterany:{job}', f'--output={directory}/jobs/slurm-report.txt']
  behind += [*resources['options'], f'--wrap={shlex.join(gather)}']
  _asked(['sbatch', '--parsable', name, *behind])
  return job


def alive(jobs: Sequence[str]) -> set[str]:
  """Returns which tasks of arrays Slurm still has, queued or running; all where it cannot say."""
  arrays = {job.partition('_')[0] for job in jobs}
  found: set[str] = set()
  for array in arrays:
    asked = ['squeue', '--noheader', '--array', f'--jobs={array}', '--format=%F_%K']
    try:
      answer = subprocess.run(asked, capture_output=True, text=True, timeout=_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
      return set(jobs)
    if answer.returncode and 'Invalid job id' not in answer.stderr:
      return set(jobs)
    found |= set(answer.stdout.split())
  return found


def _asked(line: Sequence[str]) -> str:
  """Returns the id that sbatch prints."""
  if shutil.which(line[0]) is None:
    raise errors.InputError(
      f'--executor=slurm: there is no {line[0]} here; give --executor=local or print'
    )
  answer = subprocess.run(line, capture_output=True, text=True, timeout=_SECONDS)
  if answer.returncode:
    why = ' '.join(answer.stderr.split()) or f'exit code {answer.returncode}'
    raise errors.InputError(f'--executor=slurm: {line[0]} refuses: {why}')
  return re.split(r'[;\s]', answer.stdout.strip())[0]  # JOB, or JOB;CLUSTER
