"""What a run left, as things to compare: every bit of it but the times."""

import csv
import hashlib
import pathlib

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from vae_jax import study
from vae_jax.runs import checkpoint, states

TIMES = {'seconds', 'steps_per_second'}


def state_digest(workdir: pathlib.Path, config: dict) -> tuple[int, str]:
  """Returns the step and the sha256 of every bit of the newest state."""
  built = study.from_config(config)
  manager = checkpoint.open_manager(workdir / 'checkpoints')
  found = states.restored(built, manager)
  manager.close()
  leaves = checkpoint.flat(found.state)
  content = b''.join(key.encode() + np.asarray(leaf).tobytes() for key, leaf in leaves.items())
  return found.step, hashlib.sha256(content).hexdigest()


def results_without_times(workdir: pathlib.Path) -> list[dict]:
  with open(workdir / 'results.csv') as file:
    return [{k: v for k, v in row.items() if k not in TIMES} for row in csv.DictReader(file)]


def images_digest(workdir: pathlib.Path) -> list[bytes]:
  with np.load(workdir / 'images.npz') as arrays:
    return [arrays[name].tobytes() for name in sorted(arrays)]


def assert_same_run(one: pathlib.Path, other: pathlib.Path, config: dict):
  assert state_digest(one, config) == state_digest(other, config)
  assert results_without_times(one) == results_without_times(other)
  assert (one / 'metrics.jsonl').read_bytes() == (other / 'metrics.jsonl').read_bytes()
  assert images_digest(one) == images_digest(other)


def small_picture() -> Figure:
  """A picture that costs nothing to draw, in the place of one of a run."""
  figure = FigureCanvasAgg(Figure(figsize=(1, 1))).figure
  figure.text(0.5, 0.5, 'a picture')
  return figure
