"""The prepared files of one TFDS data set, decoded without TensorFlow and without its code."""

import contextlib
import hashlib
import json
import logging
import pathlib
from collections.abc import Iterator

import numpy as np

from vae_jax import errors, files
from vae_jax.data import sources, transforms

_BATCH = 2048  # records in memory at a time
_FACTOR = 'label_'  # how TFDS begins the name of a factor: dsprites, shapes3d, smallnorb

# First digits of transforms.array_sha256 of decoded splits. TFDS has been seen to prepare
# fashion_mnist with the images of mnist: their archives have the same file names, and one download
# directory mixes them up.
_PUBLISHED = {
  ('mnist', '3.0.1', 'train'): '053742b9585c50cc',
  ('mnist', '3.0.1', 'test'): 'b9fa4645d21a41d1',
  ('fashion_mnist', '3.0.1', 'train'): 'b6fae26e893a4121',
  ('fashion_mnist', '3.0.1', 'test'): 'cca985229471ba93',
  ('binarized_mnist', '1.0.0', 'train'): '4466a1b6446e6c4a',
  ('binarized_mnist', '1.0.0', 'validation'): '4ee556986311cfac',
  ('binarized_mnist', '1.0.0', 'test'): '543483202a07b5bf',
}


def build_command(name: str) -> str:
  """Returns the command that prepares a data set so that it can be read here."""
  # The default format, tfrecord, cannot be read without TensorFlow.
  return f'tfds build {name} --file_format=array_record'


def split_names(directory: pathlib.Path, name: str) -> tuple[str, ...]:
  """Returns the splits of a prepared data set, in their own order.

  Raises:
    DamagedError: its description cannot be read.
    InputError: it is prepared in a format that needs TensorFlow.
  """
  path = directory / 'dataset_info.json'
  with _damaged_description(path, name):
    description = json.loads(path.read_text(encoding='utf-8'))
    names = tuple(split['name'] for split in description['splits'])
    file_format = description.get('fileFormat', 'tfrecord')
  if file_format != 'array_record':
    raise errors.InputError(
      f'data.name={name!r} is prepared in {directory} as {file_format}; valid is array_record: '
      f'run `{build_command(name)} --overwrite`'
    )
  return names


def _factor_features(directory: pathlib.Path, name: str) -> list[str]:
  """Returns the features of a data set that are known factors: those of `label_*`, if several.

  Else its class, `label`, where it has one.

  Raises:
    DamagedError: its description cannot be read.
  """
  path = directory / 'features.json'
  if not path.is_file():
    return []  # `decode` says what is wrong
  with _damaged_description(path, name):
    description = json.loads(path.read_text(encoding='utf-8'))
    features = description.get('featuresDict', {}).get('features', {})
    labels = [key for key, kind in features.items() if 'classLabel' in kind]
  found = sorted(key for key in labels if key.startswith(_FACTOR))
  return found if len(found) > 1 else [key for key in labels if key == sources.LABEL]


@contextlib.contextmanager
def _damaged_description(path: pathlib.Path, name: str) -> Iterator[None]:
  try:
    yield
  except (ValueError, KeyError, TypeError, AttributeError) as error:
    raise errors.DamagedError(
      f'{path} is damaged; run `{build_command(name)} --overwrite`'
    ) from error


def fingerprint(directory: pathlib.Path, name: str, split: str) -> str:
  """Returns 16 hexadecimal digits that change with the prepared files of a split.

  Raises:
    DamagedError: its description cannot be read.
  """
  paths = [directory / 'features.json', *_record_files(directory, split)]
  sums = [f'{path.name} {files.sha256_of_file(path)}' for path in paths if path.is_file()]
  sums += _factor_features(directory, name)  # what was cached without its factors is decoded anew
  return hashlib.sha256('\n'.join(sums).encode()).hexdigest()[:16]


def _record_files(directory: pathlib.Path, split: str) -> list[pathlib.Path]:
  return sorted(directory.glob(f'*-{split}.array_record*'))


def decode(directory: pathlib.Path, name: str, split: str) -> sources.Examples:
  """Returns the examples of a split: images [n, *event], and factors or classes where it has them.

  Args:
    directory: of the prepared data set; its last part is the version.
    name: of the data set.
    split: one of its splits.

  Raises:
    InputError: it has no images, or they are not all of one size.
    DamagedError: the files cannot be read, or hold other images than the published ones.
  """
  paths = _record_files(directory, split)
  place = f'{paths[0] if len(paths) == 1 else directory} (split {split!r})'
  try:
    with _quiet_absl():
      examples = _read_examples(directory, name, split)
  except (errors.InputError, ImportError, AttributeError, NameError, TypeError, MemoryError):
    raise  # the data are not at fault
  except Exception as error:  # TFDS, protobuf, Riegeli and Pillow share no class of error
    reason = ' '.join(str(error).split())[:200] or type(error).__name__
    raise errors.DamagedError(
      f'{place} cannot be read: {reason}; run `{build_command(name)} --overwrite`'
    ) from error
  published = _PUBLISHED.get((name, directory.name, split))
  found = transforms.array_sha256(examples.images)
  if published and not found.startswith(published):
    raise errors.DamagedError(
      f'{place} does not hold the published images of {name} (sha256 {found[:16]}, not '
      f'{published}); remove the downloads of TFDS, then run `{build_command(name)} --overwrite`'
    )
  return examples


def _read_examples(directory: pathlib.Path, name: str, split: str) -> sources.Examples:
  """Returns the decoded examples of a split; any error of the libraries below passes through."""
  import tensorflow_datasets as tfds

  builder = tfds.builder_from_directory(directory)
  image = _image_feature(builder.info.features, name)
  labels = _factor_features(directory, name)
  # Only these features are parsed and decoded, whatever else a record holds.
  wanted = {label: builder.info.features[label] for label in labels}
  parser = tfds.features.FeaturesDict({'image': image} | wanted)
  source = builder.as_data_source(
    split=split, deserialize_method=tfds.decode.DeserializeMethod.RAW_BYTES
  )
  count = len(source)
  logging.getLogger(__name__).info('decoding %s %s (%s images), once', name, split, f'{count:,}')
  images = np.empty((count, *image.shape), image.np_dtype)
  factors = np.empty(count, [(label.removeprefix(_FACTOR), np.int32) for label in labels])
  for start in range(0, count, _BATCH):
    records = source.__getitems__(range(start, min(start + _BATCH, count)))
    for index, record in enumerate(records, start):
      example = parser.deserialize_example_np(record)
      images[index] = example['image']
      factors[index] = tuple(example[label] for label in labels)
  return sources.Examples(images, factors if labels else None)


def _image_feature(features, name: str):
  """Returns the feature 'image' of a TFDS data set.

  Raises:
    InputError: there is none, or its shape is not fixed.
  """
  names = sorted(features)
  if 'image' not in names:
    raise errors.InputError(
      f"data.name={name!r} has no feature 'image', only {', '.join(names)}; "
      'choose a data set of images, or store the arrays in an .npz file (data.name=npz)'
    )
  shape = features['image'].shape
  if None in shape:
    raise errors.InputError(
      f'data.name={name!r} has images of different sizes, {list(shape)}; '
      'resize them into an .npz file (data.name=npz)'
    )
  return features['image']


@contextlib.contextmanager
def _quiet_absl() -> Iterator[None]:
  """Keeps the advice that TFDS logs through absl (other decoders, missing folders) off stderr."""
  logger = logging.getLogger('absl')
  level = logger.level
  logger.setLevel(logging.ERROR)
  try:
    yield
  finally:
    logger.setLevel(level)
