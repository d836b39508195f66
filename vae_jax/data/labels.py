"""The classes of examples in a file of the user's own: which array has those of which."""

from collections.abc import Collection

import numpy as np

from vae_jax import errors
from vae_jax.data import sources
from vae_jax.data.sources import short


def parse(text: str, arrays: Collection[str], where: str) -> dict[str, str]:
  """Returns the names of arrays of labels by the array of their examples.

  Args:
    text: 'images=labels', or of several arrays 'train=train_labels,test=test_labels'; '' for none.
    arrays: names of those that the file has.
    where: the config key and value that point to the file, for messages.

  Raises:
    InputError: the text is no such list, or the file has no such array.
  """
  found = named(text)
  for name in (name for pair in found.items() for name in pair):
    if name not in arrays:
      have = ', '.join(map(short, arrays)) or 'none'
      near = errors.nearest(name, arrays)
      raise errors.InputError(
        f'data.labels={short(text)}: {where} has no array {short(name)}, only {have}{near}'
      )
  return found


def named(text: str) -> dict[str, str]:
  """Returns where labels are by what they are of: 'images=labels', or several with commas.

  Raises:
    InputError: the text is no such list.
  """
  found: dict[str, str] = {}
  for part in filter(None, (part.strip() for part in text.split(','))):
    examples, equals, labels = (word.strip() for word in part.partition('='))
    if not (examples and equals and labels) or examples in found:
      raise errors.InputError(
        f"data.labels={short(text)} is not valid: it is 'EXAMPLES=LABELS,...', an array of labels "
        "for each array of examples, such as 'images=labels'"
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
