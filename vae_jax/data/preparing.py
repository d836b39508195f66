"""From what is stored to what a study trains on: scaled, binarised or standardised values, and what
is known beside them."""

from collections.abc import Sequence
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
)
from vae_jax.data.dataset import Dataset
from vae_jax.data.stored import Stored, open_source, read

BINARIZE = ('none', 'dynamic', 'static', 'threshold')

# The fixed draws of one data seed.
_TRAIN, _TEST, _VALIDATION = 0, 1, 2


class Fitted(NamedTuple):
  """What the training split of a run decides: other examples are seen as a model has learned it.

  Attributes:
    standard, conditions, mean_size: see `Dataset`.
  """

  standard: standard.Standard | None
  conditions: tuple[Condition, ...]
  mean_size: float


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
  common = dict(
    conditions=conditions,
    size_factor=size_factor,
    split_order=split_order,
    missing=missing,
    seed=seed,
  )
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
  fitted: Fitted | None = None,
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
    fitted: of the run that is evaluated on these data; None to fit to their training split.

  Raises:
    InputError: the values do not allow it; one line that names the key.
  """
  _check_settings(stored, scale_to_unit, binarize, standardize, seed)
  is_bytes, is_scaled = stored.support == 'uint8', scale_to_unit or binarize != 'none'
  is_unit = is_bytes and (is_scaled or stored.is_ranged)
  scale = float(stored.white) if is_unit else 1.0
  if fitted:
    found = _checked_shape(fitted.standard, stored)
  else:
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
    **_beside(stored, conditions, size_factor, fitted),
  )
  return dataset if binarize == 'none' else _binarize(dataset, binarize, seed)


def _checked_shape(found: standard.Standard | None, stored: Stored) -> standard.Standard | None:
  if found is not None and found.shift.shape != stored.event:
    raise errors.InputError(
      f'{stored.where} has examples of shape {list(stored.event)}, and the run was trained on '
      f'{list(found.shift.shape)}; give data of that shape'
    )
  return found


def _beside(
  stored: Stored, asked: Sequence[str], size_factor: str, fitted: Fitted | None
) -> dict[str, Any]:
  """Returns what is known beside the examples, as the training split has it."""
  if not asked and not size_factor:
    return {}
  columns = stored.beside or {split: {} for split in ('train', 'validation', 'test')}
  conditions = fitted.conditions if fitted else conditions_of(asked, columns['train'], stored.where)
  arrays = {'train': stored.train, 'validation': stored.validation, 'test': stored.test}
  where = {split: f'{stored.where}, {split} split' for split in arrays}
  unit, found = 1.0, {split: NOTHING for split in arrays}
  if size_factor:
    measured = {s: sizes(size_factor, x, columns[s], where[s]) for s, x in arrays.items()}
    unit = fitted.mean_size if fitted else float(measured['train'].mean())
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
