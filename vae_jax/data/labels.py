"""Arrays that belong to others in a file of the user's own: the classes of examples, and which of
their values are observed."""

from collections.abc import Collection

import numpy as np

from vae_jax import errors
from vae_jax.data import sources
from vae_jax.data.sources import short


def parse(key: str, text: str, arrays: Collection[str], where: str) -> dict[str, str]:
  """Returns the names of arrays of labels, or of masks, by the array of their examples.

  Args:
    key: of the config.
    text: 'images=labels', or of several arrays 'train=train_labels,test=test_labels'; '' for none.
    arrays: names of those that the file has.
    where: the config key and value that point to the file, for messages.

  Raises:
    InputError: the text is no such list, or the file has no such array.
  """
  found = named(key, text)
  for array in (array for pair in found.items() for array in pair):
    if array not in arrays:
      have = ', '.join(map(short, arrays)) or 'none'
      near = errors.nearest(array, arrays)
      raise errors.InputError(
        f'{key}={short(text)}: {where} has no array {short(array)}, only {have}{near}'
      )
  return found


def named(key: str, text: str) -> dict[str, str]:
  """Returns where labels are by what they are of: 'images=labels', or several with commas.

  Raises:
    InputError: the text is no such list.
  """
  found: dict[str, str] = {}
  name = key.removeprefix('data.')
  for part in filter(None, (part.strip() for part in text.split(','))):
    examples, equals, labels = (word.strip() for word in part.partition('='))
    if not (examples and equals and labels) or examples in found:
      raise errors.InputError(
        f"{key}={short(text)} is not valid: it is 'EXAMPLES={name.upper()},...', an array of "
        f"{name} for each array of examples, such as 'images={name}'"
      )
    found[examples] = labels
  return found


def checked(labels: np.ndarray, examples: np.ndarray, what: str) -> np.ndarray:
  """Returns labels [n] as `sources.Examples` has classes.

  Args:
    labels: as they are stored, [n] or [n, 1].
    examples: [n, ...], that they belong to.
    what: where they stand, for messages.

  Raises:
    InputError: they are no whole numbers, or not one for each example.
  """
  if labels.shape not in (examples.shape[:1], (*examples.shape[:1], 1)):
    raise errors.InputError(
      f'{what} is {list(labels.shape)}, and its examples {list(examples.shape)}; give each a label'
    )
  with np.errstate(invalid='ignore'):
    whole = labels.ravel().astype(np.int32) if labels.dtype.kind in 'iubf' else None
  if whole is None or not np.array_equal(whole, labels.ravel()):
    raise errors.InputError(
      f'{what} is {labels.dtype} and has more than whole numbers of 32 bits; number the classes, '
      'such as by np.unique(names, return_inverse=True)'
    )
  return whole.view([(sources.LABEL, np.int32)])


def left_out(examples: np.ndarray, mask: np.ndarray, what: str) -> np.ndarray:
  """Returns examples as float32, NaN where a mask is 0.

  Args:
    examples: [n, ...], of numbers.
    mask: 1 where a value is observed, 0 where it is missing; of the same shape.
    what: where the mask stands, for messages.

  Raises:
    InputError: the mask has another shape, or other values.
  """
  if mask.shape != examples.shape:
    raise errors.InputError(
      f'{what} is {list(mask.shape)}, and its examples {list(examples.shape)}; give each value a 1 '
      'where it is observed, and a 0 where it is missing'
    )
  if mask.dtype.kind not in 'buif' or not ((mask == 0) | (mask == 1)).all():
    raise errors.InputError(
      f'{what} has more than 0 and 1; a mask is 1 where a value is observed, and 0 where it is not'
    )
  return np.where(mask == 1, examples, np.nan).astype(np.float32)


def present(text: str, arrays: Collection[str]) -> str:
  """Returns of a list as `parse` takes it what arrays of other data have, too."""
  pairs = [part.partition('=') for part in text.split(',')]
  return ','.join(
    f'{one}={other}' for one, _, other in pairs if {one.strip(), other.strip()} <= {*arrays}
  )
