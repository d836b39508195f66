"""What a study trains on: its splits, and all that is known of how a model sees them."""

import hashlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from vae_jax.data import standard
from vae_jax.data.beside import NOTHING, Beside, Condition, typical
from vae_jax.data.stored import Factors
from vae_jax.densities import Column

_MOST_RECORDED = 100  # values of shift and spread that a record has in full


class Dataset(NamedTuple):
  """What a study trains on, after all transformations.

  Attributes:
    name, version, sha256: of the data set, see `Stored`.
    support: of the values that the likelihood is over: 'binary' (0 or 1), 'unit' ([0, 1]), 'uint8'
      (0, 1, ..., 255), 'count' (0, 1, 2 ...) or 'real'; standardised values are real.
    train: [n, *event] as it lies on the device, uint8 or float32; the event is [H, W, C] or [D].
      With dynamic binarisation the intensities.
    validation: [k, *event], as `test`; no rows where there is none.
    test: [m, *event], fixed values; with dynamic binarisation one draw from the seed.
    train_fixed: [n, *event], fixed values of train for evaluation: with dynamic binarisation one
      draw from the seed, otherwise `train` itself.
    scale: the model sees train / scale; 255 for uint8 that is scaled to [0, 1], otherwise 1.
    dynamic: train batches are binarised anew at each step.
    factors: of the splits, where the data set knows them ('shapes', dsprites); None elsewhere.
    labels: the classes of the examples [n], by split, where the data set knows them; see `Stored`.
    range: the values that pictures show as black and as white: of real values those of the training
      split, never of what is shown.
    levels: of 8 bits to one unit of x: 255 where bytes are scaled to [0, 1], 1 where they are seen
      as they are, None where the values were no bytes or are binarised.
    standard: shift and spread of x in encoder and likelihood; None where they see x itself.
    stored_support: the support of the values as they are read, not binarised yet; see `Stored`.
    white: the level of uint8 that is white, where that is their support.
    beside: what is known of the examples of each split beside x; see `beside_of`.
    conditions: the columns of which a condition is made, in its order.
    mean_size: the mean of the training split that is a size factor of 1, in the unit of the column.
    has_missing: values that are NaN are missing: they leave likelihood and encoder.
    columns: of a table, see `sources.Source`.
  """

  name: str
  version: str
  sha256: str
  support: str
  train: np.ndarray
  validation: np.ndarray
  test: np.ndarray
  train_fixed: np.ndarray
  scale: float
  dynamic: bool
  factors: Factors | None
  range: tuple[float, float]
  levels: float | None
  standard: standard.Standard | None
  stored_support: str
  white: float
  labels: Mapping[str, np.ndarray] | None = None
  beside: Mapping[str, Beside] | None = None
  conditions: tuple[Condition, ...] = ()
  mean_size: float = 1.0
  has_missing: bool = False
  columns: tuple[Column, ...] = ()

  @property
  def fixed_scale(self) -> float:
    """The model sees test / fixed_scale and train_fixed / fixed_scale.

    With dynamic binarisation these are 0 or 1 already while `train` may be 0 to 255.
    """
    return 1.0 if self.dynamic else self.scale

  @property
  def chosen_on(self) -> str:
    """The split by which all choosing goes: 'validation', or 'test' where there is none."""
    return 'validation' if len(self.validation) else 'test'

  def split(self, name: str) -> np.ndarray:
    """Returns the fixed values of 'train', 'validation' or 'test', [n, *event], for evaluation."""
    return {'train': self.train_fixed, 'validation': self.validation, 'test': self.test}[name]

  def beside_of(self, name: str, chosen: Any = slice(None)) -> Beside:
    """Returns what is known beside the examples of a split, or beside those chosen."""
    return NOTHING if self.beside is None else self.beside[name].take(chosen)

  @property
  def typical(self) -> Beside:
    """What is known of a typical training example, [...] without an axis of examples."""
    return typical(self.conditions, self.beside_of('train'))


def seen(dataset: Dataset, standardize: str) -> dict[str, Any]:
  """Returns what a record of a run says of how its model sees the data, in plain values.

  Of shift and spread the sha256 of their float32 bytes, and the values where there are few.
  """
  record: dict[str, Any] = {
    'support': dataset.support,
    'scale': dataset.scale,
    'range': list(dataset.range),
  }
  if dataset.standard is not None:
    record['standardize'] = {'mode': standardize}
    for name, values in dataset.standard._asdict().items():
      flat = values.ravel()[:1] if standardize == 'all' else values.ravel()
      record['standardize'][f'{name}_sha256'] = hashlib.sha256(values.tobytes()).hexdigest()
      if flat.size <= _MOST_RECORDED:
        record['standardize'][name] = flat.tolist()
  return record
