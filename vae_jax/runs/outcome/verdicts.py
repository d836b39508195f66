"""verdict.json: what a run says of beta and of the latent size, from its per-image values."""

import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from vae_jax import records, verdict
from vae_jax.records import manifest

NAME = 'verdict.json'


def write_verdict(
  directory: pathlib.Path, rows: Sequence[Mapping[str, Any]], event: Sequence[int]
) -> None:
  """Writes the verdict on a run; nothing where it has no NLL of each image.

  Args:
    directory: the workdir, with per_image.npz in it.
    rows: of results.csv.
    event: the shape of one example.
  """
  path, split = directory / 'per_image.npz', records.chosen_on(rows)
  if not path.exists():
    return
  values = records.read_per_image(path)
  if split in values:
    example = records.example_of(event)
    judged = verdict.judge(rows, values[split].nll, split, example=example)
    write_record(directory, verdict.as_record(judged))


def write_record(directory: pathlib.Path, record: Mapping[str, Any]) -> None:
  """Writes what verdict.json holds."""
  text = json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False)
  manifest.write_text(directory / NAME, text + '\n')


def read_verdict(directory: pathlib.Path) -> dict[str, Any]:
  """Returns what verdict.json holds; {} of a run that has none.

  Raises:
    DamagedError: it is not what was written.
  """
  return manifest.read_json(directory / NAME)
