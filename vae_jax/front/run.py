"""A trained run: its lanes, its results, its data."""

import dataclasses
import difflib
import functools
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from vae_jax import data, errors, records, study
from vae_jax.front import images
from vae_jax.front.given import columns_of
from vae_jax.front.lane import Lane
from vae_jax.records import schemas
from vae_jax.runs import extending
from vae_jax.runs.model_file import Facts
from vae_jax.runs.outcome import read_verdict

# The columns of results.csv by which a lane can be chosen, and which of their values are better.
_BETTER = {column.name: column.better for column in schemas.RESULTS if column.better}


@dataclasses.dataclass(frozen=True, repr=False, eq=False)
class Run:
  """What a workdir held when it was loaded; the workdir is only read.

  Attributes:
    directory: the workdir.
    config: every setting, as nested plain values.
    step: of the checkpoint; where shares of several processes differ, the earliest.
    lanes: as in results.csv.
  """

  directory: pathlib.Path
  config: Mapping[str, Any]
  step: int
  lanes: Sequence[Lane]
  facts: Facts = dataclasses.field(repr=False)

  def __repr__(self) -> str:
    return f'Run({str(self.directory)!r}, {len(self.lanes)} lanes at step {self.step})'

  @property
  def names(self) -> list[str]:
    """The names of the lanes, such as 'b1-z10-s0'."""
    return [lane.name for lane in self.lanes]

  @property
  def event(self) -> tuple[int, ...]:
    """The shape of one image, [H, W, C], or [D]."""
    return self.facts.event

  @property
  def range(self) -> tuple[float, float]:
    """The values of images that are shown as black and as white."""
    ends = np.asarray(self.facts.range, np.float32)
    low, high = images.as_stored(ends, self.facts, self.config['data'])
    return float(low), float(high)

  def __len__(self) -> int:
    return len(self.lanes)

  def __iter__(self) -> Iterator[Lane]:
    return iter(self.lanes)

  def __contains__(self, name: Any) -> bool:
    return name in self.names

  def __getitem__(self, name: str) -> Lane:
    """Returns the lane of this name; raises InputError with the nearest where there is none."""
    names = self.names
    if name in names:
      return self.lanes[names.index(name)]
    near = difflib.get_close_matches(str(name), names, n=1, cutoff=0.0)
    raise errors.InputError(
      f'{errors.shown(name)} is no lane of {self}; the nearest is {near[0]!r}'
    )

  @property
  def results(self) -> list[dict[str, Any]]:
    """The rows of results.csv, a dict each; read anew at every use, [] before the first evaluation.

    Raises:
      DamagedError: it is not what was written.
    """
    return _results(self.directory, self.lanes)

  @property
  def verdict(self) -> dict[str, Any]:
    """What verdict.json holds: 'sentences' for a person, 'best', 'set', 'points' and more.

    Read anew at every use; {} before the end of training, and of a run that is older than it.

    Raises:
      DamagedError: it is not what was written.
    """
    return read_verdict(self.directory)

  def to_pandas(self) -> Any:
    """Returns `results` as a DataFrame, the names of the lanes as its index; needs pandas."""
    import pandas as pd  # not among what the package needs

    return pd.DataFrame(self.results).set_index('name')

  def best(self, by: str | None = None) -> Lane:
    """Returns the best lane that has not diverged, by a column of results.csv.

    Args:
      by: such as 'validation/elbo' or 'test/objective' (higher is better), 'test/nll',
        'test/distortion' (lower is better). None for the NLL of the split `chosen_on`; where no
        lane has one yet, or the likelihood is no density, for its ELBO.
    """
    if by is None:
      known = any(row.get(f'{self.chosen_on}/nll') is not None for row in self.results)
      by = f'{self.chosen_on}/{"nll" if known else "elbo"}'
    if by not in _BETTER:
      near = difflib.get_close_matches(str(by), _BETTER, n=1, cutoff=0.0)
      raise errors.InputError(f'by={errors.shown(by)}: choose by a column such as {near[0]!r}')
    rows = [row for row in self.results if row['status'] != 'diverged']
    found = [row for row in rows if row.get(by) is not None]
    if not found:
      raise errors.InputError(f'by={by!r}: no lane of {self} has a value yet')
    choose = max if _BETTER[by] == 'higher' else min
    return self[choose(found, key=lambda row: row[by])['name']]

  @functools.cached_property
  def test(self) -> np.ndarray:
    """The test split as the lanes take it, [N, *event]; loads the data. bool where binarised.

    Raises:
      InputError: the data are not there, or others; `load(workdir, data_path=...)` says where.
    """
    return images.split(self._dataset, 'test', self.config['data'], self.facts)

  @property
  def chosen_on(self) -> str:
    """The split by which all choosing goes: 'validation', or 'test' where the run has none."""
    return 'validation' if self.config['data']['validation_split'] else 'test'

  @functools.cached_property
  def validation(self) -> np.ndarray:
    """The validation split, as `test`; no images where the run has none."""
    return images.split(self._dataset, 'validation', self.config['data'], self.facts)

  @functools.cached_property
  def train(self) -> np.ndarray:
    """The training split, as `test`; with dynamic binarisation the draw that is evaluated."""
    return images.split(self._dataset, 'train', self.config['data'], self.facts)

  def evaluated(self, split: str = 'test', count: str = 'test_images') -> np.ndarray:
    """Returns the images of which results.csv has figures, [n, *event].

    Args:
      split: 'train', 'validation' or 'test'.
      count: the key of `evaluation` that says how many: 'nll_images' for test/nll.

    Raises:
      InputError: there is no such split, or no such key.
    """
    self._check_images(split, count)
    found = getattr(self, split)
    settings = self.config['evaluation'], self.config['data']
    return found[data.subset(len(found), settings[0][count], settings[1]['seed'])]

  def given(self, split: str = 'test', count: str | None = None) -> dict[str, np.ndarray]:
    """Returns what is known of the images of a split beside x, as the methods of a lane take it.

    Args:
      split: 'train', 'validation' or 'test'.
      count: as of `evaluated`, of whose images it is then; None for all.

    Raises:
      InputError: there is no such split, or no such key.
    """
    self._check_images(split, count)
    beside, settings = self._dataset.beside_of(split), self.config['data']
    if count is not None:
      size = len(self._dataset.split(split))
      wanted = self.config['evaluation'][count]
      beside = beside.take(data.subset(size, wanted, settings['seed']))
    return columns_of(beside, self.facts, settings['size_factor'])

  def _check_images(self, split: str, count: str | None) -> None:
    counts = [key for key in self.config['evaluation'] if key.endswith('_images')]
    named = [('split', split, ['train', 'validation', 'test'])]
    named += [('count', count, counts)] if count is not None else []
    for name, value, valid in named:
      if value not in valid:
        near = errors.nearest(str(value), valid)
        raise errors.InputError(f'{name}={value!r}: valid are {", ".join(valid)}{near}')

  @functools.cached_property
  def _dataset(self) -> data.Dataset:
    dataset = study.dataset_of(self.config)
    if dataset.sha256 != self.facts.sha256:
      raise errors.InputError(
        f'data.path={self.config["data"]["path"]!r} has other data than {self} was trained on '
        f'(sha256 {dataset.sha256}, and {self.facts.sha256}); give load(workdir, data_path=...)'
      )
    return dataset


def _results(directory: pathlib.Path, lanes: Sequence[Lane]) -> list[dict[str, Any]]:
  """Returns the rows of a workdir, or of the shares in it that nobody has gathered yet."""
  if (directory / 'config.json').exists():
    path = extending.lies_at(directory, 'results.csv')
    return records.read_results(path) if path.exists() else []
  shares = share_directories(directory)
  rows = [row for share in shares for row in _results(share, lanes)]
  if len(rows) != len(lanes):
    return []  # a share has none yet
  return [{**row, 'lane': i, 'name': lanes[i].name} for i, row in enumerate(rows)]


def share_directories(directory: pathlib.Path) -> list[pathlib.Path]:
  """Returns what the processes of a study have in its workdir, in their order."""
  found = [path for path in directory.glob('process-*') if (path / 'config.json').is_file()]
  return sorted(found, key=lambda path: int(path.name.removeprefix('process-')))
