"""The data set of a study: read, split, cropped, padded, scaled and binarised, in this order."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from vae_jax import errors
from vae_jax.data import prepared, sources, splits, transforms

DATASETS = ('digits', 'npz')  # any other name is a data set of TFDS
BINARIZE = ('none', 'dynamic', 'static', 'threshold')

# The fixed draws of one data seed.
_TRAIN, _TEST = 0, 1


class Dataset(NamedTuple):
  """What a study trains on, after all transformations.

  Attributes:
    name: of the data set.
    version: of the data set.
    sha256: of the decoded arrays of the splits that are used, before slicing and transformations.
    support: of the values that the model sees: 'binary' (0 or 1), 'unit' ([0, 1]), 'uint8'
      (0, 1, ..., 255) or 'real'.
    train: [n, *event] as it lies on the device, uint8 or float32; the event is [H, W, C] or [D].
      With dynamic binarisation the intensities.
    test: [m, *event], fixed values; with dynamic binarisation one draw from the seed.
    train_fixed: [n, *event], fixed values of train for evaluation: with dynamic binarisation one
      draw from the seed, otherwise `train` itself.
    scale: the model sees train / scale; 255 for uint8 that is scaled to [0, 1], otherwise 1.
    dynamic: train batches are binarised anew at each step.
  """

  name: str
  version: str
  sha256: str
  support: str
  train: np.ndarray
  test: np.ndarray
  train_fixed: np.ndarray
  scale: float
  dynamic: bool

  @property
  def fixed_scale(self) -> float:
    """The model sees test / fixed_scale and train_fixed / fixed_scale.

    With dynamic binarisation these are 0 or 1 already while `train` may be 0 to 255.
    """
    return 1.0 if self.dynamic else self.scale


def load(
  name: str,
  path: str,
  train_split: str,
  test_split: str,
  crop: Sequence[int],
  pad: Sequence[int],
  scale_to_unit: bool,
  binarize: str,
  seed: int,
) -> Dataset:
  """Returns a data set. The arguments are the keys of `data` in a config.

  Args:
    name: 'digits', 'npz', or a TFDS data set NAME[/CONFIG][:VERSION].
    path: the .npz file of 'npz'; '' for the others.
    train_split: split expression, for instance 'train[:80%]' or 'train+validation'.
    test_split: split expression.
    crop: () or the (height, width) of the centre to keep.
    pad: () or the (height, width) to reach with zeros around.
    scale_to_unit: the model sees uint8 values divided by 255.
    binarize: 'none', 'dynamic' (train anew at each step, test drawn once), 'static' (both drawn
      once) or 'threshold' (intensity above 1/2).
    seed: of the fixed draws, at least 0.

  Raises:
    InputError: a value does not fit; one line that names the key.
    DamagedError: stored data cannot be read.
  """
  _check_choices(name, path, binarize, seed)
  source = _open(name, path)
  train_terms = splits.parse(train_split, 'data.train_split', source)
  test_terms = splits.parse(test_split, 'data.test_split', source)
  arrays = _read(source, {term.split for term in train_terms + test_terms})
  sha256 = _sha256(arrays)
  support = transforms.declared_support(arrays.values())
  _check_support(support, source.where, scale_to_unit, binarize)
  if support == 'binary':
    arrays = {split: array.astype(np.uint8, copy=False) for split, array in arrays.items()}
  train = splits.take(train_terms, arrays, 'data.train_split', train_split)
  test = splits.take(test_terms, arrays, 'data.test_split', test_split)
  train, test = (transforms.pad(transforms.crop(images, crop), pad) for images in (train, test))
  scale = 255.0 if support == 'uint8' and (scale_to_unit or binarize != 'none') else 1.0
  dataset = Dataset(
    name=source.name,
    version=source.version,
    sha256=sha256,
    support='unit' if scale != 1 else support,
    train=train,
    test=test,
    train_fixed=train,
    scale=scale,
    dynamic=False,
  )
  return dataset if binarize == 'none' else _binarize(dataset, binarize, seed)


def _check_choices(name: str, path: str, binarize: str, seed: int) -> None:
  if binarize not in BINARIZE:
    raise errors.InputError(
      f'data.binarize={binarize!r}; valid are {", ".join(BINARIZE)}'
      + sources.nearest(binarize, BINARIZE)
    )
  if seed < 0:
    raise errors.InputError(f'data.seed={seed}; valid are integers from 0')
  if path and name != 'npz':
    raise errors.InputError(
      f"data.path={path!r} is read with data.name='npz' only; data.name={name!r} needs data.path=''"
    )


def _open(name: str, path: str) -> sources.Source:
  if name == 'digits':
    return sources.open_digits()
  return sources.open_npz(path) if name == 'npz' else prepared.open_prepared(name, DATASETS)


def _read(source: sources.Source, names: set[str]) -> dict[str, np.ndarray]:
  """Returns the canonical arrays of whole splits.

  Raises:
    InputError: they cannot be used together.
  """
  arrays = {}
  for split in sorted(names):
    arrays[split] = transforms.canonical(source.read(split), f'{source.where}, {split!r}')
  kinds = {split: f'{a.dtype} {list(a.shape[1:])}' for split, a in arrays.items()}
  if len(set(kinds.values())) > 1:
    found = ', '.join(f'{split!r} {kind}' for split, kind in kinds.items())
    raise errors.InputError(
      f'{source.where}: data.train_split and data.test_split differ in type or shape ({found}); '
      'use splits of one type and shape'
    )
  return arrays


def _sha256(arrays: Mapping[str, np.ndarray]) -> str:
  lines = [f'{split} {transforms.array_sha256(array)}' for split, array in arrays.items()]
  return hashlib.sha256('\n'.join(lines).encode()).hexdigest()


def _check_support(support: str, where: str, scale_to_unit: bool, binarize: str) -> None:
  """Refuses transformations that the values do not allow."""
  if support == 'real' and binarize != 'none':
    raise errors.InputError(
      f'data.binarize={binarize!r}: the values of {where} are not intensities in [0, 1]; '
      "set data.binarize='none', or scale the file"
    )
  if support == 'real' and scale_to_unit:
    raise errors.InputError(
      f'data.scale_to_unit=True: the values of {where} are real numbers without a known range; '
      'set data.scale_to_unit=False, or scale the file'
    )
  if support == 'binary' and binarize != 'none':
    raise errors.InputError(
      f"data.binarize={binarize!r}: {where} is binary already; set data.binarize='none'"
    )


def _binarize(dataset: Dataset, binarize: str, seed: int) -> Dataset:
  """Returns a data set of intensities as one of binary images."""

  def fixed(images: np.ndarray, stream: int) -> np.ndarray:
    generator = None if binarize == 'threshold' else np.random.default_rng((seed, stream))
    return transforms.binarized(images, dataset.scale, generator)

  train_fixed, test = fixed(dataset.train, _TRAIN), fixed(dataset.test, _TEST)
  dataset = dataset._replace(support='binary', test=test, train_fixed=train_fixed)
  if binarize == 'dynamic':
    return dataset._replace(dynamic=True)
  return dataset._replace(train=train_fixed, scale=1.0)
