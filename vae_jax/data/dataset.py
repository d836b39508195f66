"""The data set of a study: read, split, cropped, padded, then scaled, binarised or standardised."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from vae_jax import errors
from vae_jax.data import kinds, standard, transforms
from vae_jax.data.beside import (
  NOTHING,
  ROW_SUM,
  Beside,
  Condition,
  condition,
  conditions_of,
  parsed,
  sizes,
  typical,
)
from vae_jax.data.stored import Factors, Stored, open_source, read
from vae_jax.densities import Column

BINARIZE = ('none', 'dynamic', 'static', 'threshold')

_MOST_RECORDED = 100  # values of shift and spread that a record has in full

# The fixed draws of one data seed.
_TRAIN, _TEST, _VALIDATION = 0, 1, 2


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


def load(
  name: str,
  train_split: str,
  test_split: str,
  crop: Sequence[int],
  pad: Sequence[int],
  kind: str,
  range: Sequence[float],
  scale_to_unit: bool,
  binarize: str,
  standardize: str,
  seed: int,
  validation_split: str = '',
  conditions: Sequence[str] = (),
  size_factor: str = '',
  missing: str = 'refused',
  split_order: str = 'stored',
  **own: Any,
) -> Dataset:
  """Returns the data set of a section `data`; see `open_source`, `read` and `prepare`."""
  common = dict(conditions=conditions, size_factor=size_factor, split_order=split_order, seed=seed)
  source = open_source({'name': name, **common, **own})
  columns = columns_asked(conditions, size_factor)
  splits = train_split, test_split, crop, pad, kind, range, validation_split
  stored = read(source, *splits, columns, missing, split_order, seed)
  return prepare(stored, scale_to_unit, binarize, standardize, seed, conditions, size_factor)


def columns_asked(conditions: Sequence[str], size_factor: str) -> tuple[str, ...]:
  """Returns the names of the columns that `data.conditions` and `data.size_factor` ask for."""
  names = [parsed(text)[0] for text in conditions]
  names += [size_factor] if size_factor not in ('', ROW_SUM) else []
  return tuple(dict.fromkeys(names))


def prepare(
  stored: Stored,
  scale_to_unit: bool,
  binarize: str,
  standardize: str,
  seed: int,
  conditions: Sequence[str] = (),
  size_factor: str = '',
  standardises: Sequence[bool] | None = None,
) -> Dataset:
  """Returns what a study trains on.

  Args:
    stored: what was read.
    scale_to_unit: the model sees uint8 values divided by 255.
    binarize: 'none', 'dynamic' (train anew at each step, the others drawn once), 'static' (all
      drawn once) or 'threshold' (intensity above 1/2).
    standardize: 'none', 'per_pixel' or 'all': by mean and standard deviation of the training split.
    seed: of the fixed draws, at least 0.
    conditions: the columns that the model is conditioned on; see `beside.conditions_of`.
    size_factor: '', the column of the size of an example, or 'row_sum'.
    standardises: which of D values are standardised, where they are; None for all.

  Raises:
    InputError: the values do not allow it; one line that names the key.
  """
  _check_settings(stored, scale_to_unit, binarize, standardize, seed)
  is_bytes, is_scaled = stored.support == 'uint8', scale_to_unit or binarize != 'none'
  is_unit = is_bytes and (is_scaled or stored.is_ranged)
  scale = float(stored.white) if is_unit else 1.0
  found = standard.standard_of(stored.train, scale, standardize, standardises)
  support = 'real' if found else 'unit' if is_unit else stored.support
  dataset = Dataset(
    name=stored.name,
    version=stored.version,
    sha256=stored.sha256,
    support=support,
    train=stored.train,
    validation=stored.validation,
    test=stored.test,
    train_fixed=stored.train,
    scale=scale,
    dynamic=False,
    factors=stored.factors,
    labels=stored.labels,
    range=_shown_range(stored, scale),
    levels=scale if is_bytes and stored.white == kinds.WHITE else None,
    standard=found,
    stored_support=stored.support,
    white=stored.white,
    has_missing=stored.has_missing,
    columns=stored.columns,
    **_beside(stored, conditions, size_factor),
  )
  return dataset if binarize == 'none' else _binarize(dataset, binarize, seed)


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


def _beside(stored: Stored, asked: Sequence[str], size_factor: str) -> dict[str, Any]:
  """Returns what is known beside the examples, as the training split has it."""
  if not asked and not size_factor:
    return {}
  columns = stored.beside or {split: {} for split in ('train', 'validation', 'test')}
  conditions = conditions_of(asked, columns['train'], stored.where)
  arrays = {'train': stored.train, 'validation': stored.validation, 'test': stored.test}
  where = {split: f'{stored.where}, {split} split' for split in arrays}
  unit, found = 1.0, {split: NOTHING for split in arrays}
  if size_factor:
    measured = {s: sizes(size_factor, x, columns[s], where[s]) for s, x in arrays.items()}
    unit = float(measured['train'].mean())
    found = {s: Beside(size=(each / unit).astype(np.float32)) for s, each in measured.items()}
  if conditions:
    found = {
      s: each._replace(condition=condition(conditions, columns[s], where[s]))
      for s, each in found.items()
    }
  return {'beside': found, 'conditions': conditions, 'mean_size': unit}


def _shown_range(stored: Stored, scale: float) -> tuple[float, float]:
  if stored.support in ('real', 'count'):
    return kinds.extremes([stored.train])
  return 0.0, stored.white / scale if stored.support == 'uint8' else 1.0


def _check_settings(
  stored: Stored, scale_to_unit: bool, binarize: str, standardize: str, seed: int
) -> None:
  """Refuses transformations that the values do not allow."""
  for key, value, valid in (
    ('binarize', binarize, BINARIZE),
    ('standardize', standardize, standard.STANDARDIZE),
  ):
    if value not in valid:
      raise errors.InputError(
        f'data.{key}={value!r}; valid are {", ".join(valid)}' + errors.nearest(value, valid)
      )
  if seed < 0:
    raise errors.InputError(f'data.seed={seed}; valid are integers from 0')
  if stored.support == 'integers':
    low, high = kinds.extremes(stored.splits.values())
    raise errors.InputError(
      f'{stored.where} has integers from {low} to {high}, no grey levels from 0 to 255; '
      "set data.kind='real', or data.range=(black, white) for images"
    )
  _check_support(stored, scale_to_unit, binarize)
  if binarize != 'none' and standardize != 'none':
    raise errors.InputError(
      f'data.standardize={standardize!r}: data.binarize={binarize!r} makes 0 and 1 of the values; '
      "set data.standardize='none'"
    )


def _check_support(stored: Stored, scale_to_unit: bool, binarize: str) -> None:
  low, high = kinds.extremes(stored.splits.values())
  values = f'the values of {stored.where} go from {low:g} to {high:g}'
  if stored.support in ('real', 'count') and binarize != 'none':
    raise errors.InputError(
      f'data.binarize={binarize!r}: {values} and are no intensities in [0, 1]; '
      "set data.binarize='none', or data.range=(black, white)"
    )
  if stored.support == 'real' and scale_to_unit:
    raise errors.InputError(
      f'data.scale_to_unit=True: {values}, real numbers without a known white; '
      'set data.scale_to_unit=False, or data.range=(black, white)'
    )
  if stored.has_missing and binarize != 'none':
    raise errors.InputError(
      f'data.binarize={binarize!r}: {stored.where} misses values, which a draw would fill; '
      "binarise the file, and set data.binarize='none'"
    )
  if stored.support == 'binary' and binarize != 'none':
    raise errors.InputError(
      f"data.binarize={binarize!r}: {stored.where} is binary already; set data.binarize='none'"
    )


def _binarize(dataset: Dataset, binarize: str, seed: int) -> Dataset:
  """Returns a data set of intensities as one of binary images."""

  def fixed(images: np.ndarray, stream: int) -> np.ndarray:
    generator = None if binarize == 'threshold' else np.random.default_rng((seed, stream))
    return transforms.binarized(images, dataset.scale, generator)

  train_fixed, test = fixed(dataset.train, _TRAIN), fixed(dataset.test, _TEST)
  dataset = dataset._replace(
    support='binary',
    validation=fixed(dataset.validation, _VALIDATION),
    test=test,
    train_fixed=train_fixed,
    range=(0.0, 1.0),
    levels=None,
  )
  if binarize == 'dynamic':
    return dataset._replace(dynamic=True)
  return dataset._replace(train=train_fixed, scale=1.0)
