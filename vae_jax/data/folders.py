"""A folder of pictures: which of its files are images, of which split and class.

  photos/train/cat/1.jpg  photos/test/cat/2.jpg     splits, which have classes
  photos/train/1.jpg      photos/test/2.jpg         splits alone
  photos/cat/1.jpg        photos/dog/2.jpg          classes: one split, 'images'
  photos/1.jpg            photos/2.jpg              one split, 'images'

Folders below these belong to what they are in.
"""

import hashlib
import logging
import os
import pathlib
from collections.abc import Iterator, Sequence
from typing import Annotated, NamedTuple

import numpy as np
import PIL

from vae_jax import checks, errors
from vae_jax.data import beginnings, cache, pixels, sources
from vae_jax.data.sources import short

IMAGES = 'images'  # the split of a folder that names none
EXTENSIONS = ('.png', '.jpg', '.jpeg', '.bmp', '.gif', '.webp', '.tif', '.tiff')
_SPLITS = ('train', 'training', 'validation', 'valid', 'val', 'dev', 'test', 'testing')
_SYSTEM = ('Thumbs.db', 'desktop.ini', '__MACOSX')  # beside what begins with a dot

_log = logging.getLogger(__name__)


class Listed(NamedTuple):
  """The images of a folder.

  Attributes:
    splits: name -> paths below the folder, sorted; the class of one is its `classes` entry.
    classes: path -> name of its class; empty where the images have none.
    others: files that are no images, by their names.
  """

  splits: dict[str, list[pathlib.Path]]
  classes: dict[pathlib.Path, str]
  others: list[pathlib.Path]

  @property
  def names(self) -> list[str]:
    """Those of all classes, sorted: the index of one is its number."""
    return sorted({*self.classes.values()})


def open_folder(
  path: Annotated[str, checks.text(empty=True)] = '',
  size: Annotated[Sequence[int], checks.tuple_of(checks.whole(1, 10_000), sizes=(0, 2))] = (),
  fit: Annotated[str, checks.choice(*pixels.FITS)] = 'crop',
  channels: Annotated[str, checks.choice('auto', 'grey', 'rgb')] = 'auto',
  skip: Annotated[bool, checks.flag] = False,
) -> sources.Source:
  """Returns a folder of PNG or JPEG files, or of others that Pillow reads.

  Its folders are splits if one is named 'train', or all as splits are; else they are classes, and
  all images are the split 'images'. The class of an image is its `label`, its name below the folder
  its `file`.

  Args:
    path: of the folder; `~` is the home directory.
    size: () where all images are of one size, or the (height, width) that they shall have.
    fit: how they reach it: 'crop' scales until both sides are covered and keeps the centre,
      'resize' scales each side by itself.
    channels: 'auto' where all are grey, or all in colour; else what they shall be.
    skip: leaves out files that cannot be read, or are no pictures of 8 bits; else they are refused.

  Raises:
    InputError: there is no such folder, or it has no images.
  """
  where = f'data.path={short(path, 200)}'
  root = _existing(path, where)
  listed = _listed(root, where)
  if others := listed.others:
    shown = short(str(others[0]))
    _log.info('%s: %d other files are left aside, such as %s', where, len(others), shown)
  wanted = pixels.Pixels(tuple(size), fit, channels, skip)

  def read(split: str) -> sources.Examples:
    return _read(root, split, listed, wanted, where)

  return sources.Source(
    'folder',
    root.resolve().name,
    where,
    tuple(listed.splits),
    read,
    sorted_by='class' if len(listed.names) > 1 else '',
  )


def _existing(path: str, where: str) -> pathlib.Path:
  if not path:
    raise errors.InputError(f"{where}: data.name='folder' needs the path of a folder of images")
  try:
    root = pathlib.Path(path).expanduser()
    if root.is_dir():
      return root
    is_file, is_there = root.is_file(), root.exists()
  except (RuntimeError, OSError, ValueError) as error:  # ~somebody, a name too long, a zero byte
    raise errors.InputError(f'{where} is no path: {error}') from error
  if is_file:
    beginnings.check(root, (), where, 'is a file; name the folder that it is in')
  if is_there:
    raise errors.InputError(f'{where} is no folder; name one of images')
  near = errors.nearest(root.name, _folders(root.parent))
  raise errors.InputError(f'{where}: there is no folder {root.absolute()}{near}')


def _folders(directory: pathlib.Path) -> list[str]:
  return [p.name for p in directory.iterdir() if p.is_dir()] if directory.is_dir() else []


def _listed(root: pathlib.Path, where: str) -> Listed:
  """Returns the images of a folder by split and class.

  Raises:
    InputError: there is none, or one alone; or some lie beside folders of others.
  """
  found = sorted(_files(root, where))
  images = [path for path in found if path.suffix.lower() in EXTENSIONS]
  others = [path for path in found if path.suffix.lower() not in EXTENSIONS]
  if len(images) < 2:
    have = f'one image, {short(str(images[0]))}' if images else 'no images'
    beside = f', and {len(others):,} other files such as {short(others[0].name)}' if others else ''
    raise errors.InputError(
      f'{where} has {have}{beside}; give a folder of several {", ".join(EXTENSIONS)}'
    )
  tops = sorted({path.parts[0] for path in images if len(path.parts) > 1})
  known = [name for name in tops if name.lower() in _SPLITS]
  are_splits = bool(tops) and ('train' in tops or known == tops)
  splits = {}
  for path in images:
    splits.setdefault(path.parts[0] if are_splits and len(path.parts) > 1 else IMAGES, []).append(
      path
    )
  depth = 2 if are_splits else 1  # how many folders there are down to the images of a class
  classes = {}
  for paths in splits.values():
    inside = [path for path in paths if len(path.parts) > depth]
    if inside and len(inside) < len(paths):
      alone = next(path for path in paths if len(path.parts) <= depth)
      raise errors.InputError(
        f'{where}: image {short(str(alone))} lies beside folders of images, such as '
        f'{short(str(inside[0].parent))}; move it into one of them'
      )
    classes |= {path: path.parts[depth - 1] for path in inside}
  if len(classes) not in (0, len(images)):
    named = [split for split, paths in splits.items() if paths[0] in classes]
    raise errors.InputError(
      f'{where}: {", ".join(map(short, named))} has folders of classes and other splits have none; '
      'give all of them the same'
    )
  return Listed(splits, classes, others)


def _files(root: pathlib.Path, where: str) -> Iterator[pathlib.Path]:
  """Yields the files below a folder, without those of systems; links are followed, but not upwards.

  Raises:
    InputError: a folder cannot be read.
  """

  def refuse(error: OSError) -> None:
    raise errors.InputError(f'{where}: {error.filename} cannot be read: {error.strerror}')

  def is_of_user(path: pathlib.Path) -> bool:
    return not path.name.startswith('.') and path.name not in _SYSTEM

  for directory, below, names in os.walk(root, onerror=refuse, followlinks=True):
    here = pathlib.Path(directory)
    below[:] = [name for name in below if is_of_user(here / name) and not _leads_up(here / name)]
    yield from (path.relative_to(root) for name in names if is_of_user(path := here / name))


def _leads_up(path: pathlib.Path) -> bool:
  """Tells whether a path is a link to a folder that it lies in: to follow it would have no end."""
  return path.is_symlink() and path.resolve() in {above.resolve() for above in path.parents}


def _read(
  root: pathlib.Path, split: str, listed: Listed, wanted: pixels.Pixels, where: str
) -> sources.Examples:
  """Returns the images of a split, from the cache where the files are as they were.

  Raises:
    InputError: some cannot be read, or they do not go together.
  """
  paths = listed.splits[split]

  def decode() -> sources.Examples:
    _log.info('decoding %s images of %s, split %r, once', f'{len(paths):,}', where, split)
    images, kept = pixels.decoded([root / path for path in paths], wanted, where)
    return _known([paths[i] for i in kept], images, listed)

  place = hashlib.sha256(os.fsencode(root.absolute())).hexdigest()[:16]
  fingerprint = _fingerprint(root, paths, wanted, listed)
  found = cache.fetch(f'folder+{place}', pixels.VERSION, split, fingerprint, decode)
  if out := sorted({str(path) for path in paths} - {*found.beside['file'].tolist()}):
    shown = ', '.join(map(short, out[:3])) + (', ...' if len(out) > 3 else '')
    _log.warning('%s: left out %d of %d files: %s', where, len(out), len(paths), shown)
  return found


def _fingerprint(
  root: pathlib.Path, paths: Sequence[pathlib.Path], wanted: pixels.Pixels, listed: Listed
) -> str:
  """Returns 16 hexadecimal digits that change with the files, by size and time, or the settings."""
  facts = [repr([wanted, listed.names, PIL.__version__])]
  for path in paths:
    stat = os.stat(root / path) if (root / path).exists() else os.lstat(root / path)
    facts.append(f'{path} {stat.st_size} {stat.st_mtime_ns}')
  return hashlib.sha256(os.fsencode('\n'.join(facts))).hexdigest()[:16]


def _known(paths: Sequence[pathlib.Path], images: np.ndarray, listed: Listed) -> sources.Examples:
  """Returns images with what is known of each: its file and, where there are classes, its own."""
  beside = {'file': np.array([str(path) for path in paths])}
  if not listed.classes:
    return sources.Examples(images, None, beside)
  labels = np.array([listed.classes[path] for path in paths])
  codes = np.searchsorted(listed.names, labels)
  factors = codes.astype(np.int32).view([(sources.LABEL, np.int32)])
  return sources.Examples(images, factors, {sources.LABEL: labels, **beside})
