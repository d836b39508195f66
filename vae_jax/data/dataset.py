"""The data set of a study: read, split, cropped, padded, scaled and binarised, in this order."""

import hashlib
import importlib.metadata
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from vae_jax import errors
from vae_jax.data import cache, npz, prepared, sources, splits, transforms

DATASETS = ('digits', 'shapes', 'npz')  # any other name is a data set of TFDS
BINARIZE = ('none', 'dynamic', 'static', 'threshold')

# The fixed draws of one data seed.
_TRAIN, _TEST = 0, 1


class Factors(NamedTuple):
  """The known factors of variation, one row for each example in the order of the images.

  Attributes:
    names: of the F factors, for instance 'shape', 'scale', 'orientation', 'x', 'y'.
    train: [n, F], int32: the index of each factor's value.
    test: [m, F], int32.
  """

  names: tuple[str, ...]
  train: np.ndarray
  test: np.ndarray


class Dataset(NamedTuple):
  """What a study trains on, after all transformations.

  Attributes:
    name: of the data set.
    version: of the data set.
    sha256: of the decoded arrays of the splits that are used, images and factors, before slicing
      and transformations.
    support: of the values that the model sees: 'binary' (0 or 1), 'unit' ([0, 1]), 'uint8'
      (0, 1, ..., 255) or 'real'.
    train: [n, *event] as it lies on the device, uint8 or float32; the event is [H, W, C] or [D].
      With dynamic binarisation the intensities.
    test: [m, *event], fixed values; with dynamic binarisation one draw from the seed.
    train_fixed: [n, *event], fixed values of train for evaluation: with dynamic binarisation one
      draw from the seed, otherwise `train` itself.
    scale: the model sees train / scale; 255 for uint8 that is scaled to [0, 1], otherwise 1.
    dynamic: train batches are binarised anew at each step.
    factors: of train and test, where the data set knows them ('shapes', dsprites); None elsewhere.
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
  factors: Factors | None

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
    name: 'digits', 'shapes', 'npz', or a TFDS data set NAME[/CONFIG][:VERSION].
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
  train_part, test_part = splits.parse(train_split, test_split, source)
  images, factors = _read(source, train_part.names | test_part.names)
  support = transforms.declared_support(images.values())
  _check_support(support, source.where, scale_to_unit, binarize)
  sha256 = _sha256(images, factors)
  if support == 'binary':
    images = {split: array.astype(np.uint8, copy=False) for split, array in images.items()}
  train, test = (
    transforms.pad(transforms.crop(splits.take(part, images), crop), pad)
    for part in (train_part, test_part)
  )
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
    factors=_factors(factors, train_part, test_part),
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
    return _cached(sources.open_digits(), '1.0.0', importlib.metadata.version('scikit-learn'))
  if name == 'shapes':
    return sources.open_shapes()
  return npz.open_npz(path) if name == 'npz' else prepared.open_prepared(name, DATASETS)


def _cached(source: sources.Source, version: str, origin: str) -> sources.Source:
  """Returns a source that decodes once: importing scikit-learn is most of reading its digits."""
  fingerprint = hashlib.sha256(origin.encode()).hexdigest()[:16]

  def read(split: str) -> sources.Examples:
    return cache.fetch(source.name, version, split, fingerprint, lambda: source.read(split))

  return source._replace(read=read)


def _read(
  source: sources.Source, names: set[str]
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
  """Returns the canonical images of whole splits, and the factors of those that have them.

  Raises:
    InputError: they cannot be used together.
  """
  images, factors = {}, {}
  for split in sorted(names):
    examples = source.read(split)
    images[split] = transforms.canonical(examples.images, f'{source.where}, {split!r}')
    if examples.factors is not None:
      factors[split] = examples.factors
  kinds = {split: f'{a.dtype} {list(a.shape[1:])}' for split, a in images.items()}
  if len(set(kinds.values())) > 1:
    found = ', '.join(f'{split!r} {kind}' for split, kind in kinds.items())
    raise errors.InputError(
      f'{source.where}: data.train_split and data.test_split differ in type or shape ({found}); '
      'use splits of one type and shape'
    )
  return images, factors


def _factors(
  factors: Mapping[str, np.ndarray], train_part: splits.Expression, test_part: splits.Expression
) -> Factors | None:
  """Returns the factors of train and test, where the data set knows both."""
  if not factors.keys() >= train_part.names | test_part.names:
    return None
  train, test = (splits.take(part, factors) for part in (train_part, test_part))  # [n], [m]
  names = train.dtype.names
  columns = [np.stack([part[name] for name in names], axis=1) for part in (train, test)]
  return Factors(names, *columns)


def _sha256(images: Mapping[str, np.ndarray], factors: Mapping[str, np.ndarray]) -> str:
  lines = [f'{split} {transforms.array_sha256(array)}' for split, array in images.items()]
  for split, array in factors.items():
    lines.append(f'{split} {array.dtype.names} {transforms.array_sha256(array)}')
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
