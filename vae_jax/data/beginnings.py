"""What a file is by its first bytes, and which `data.name` reads it: for whoever named another."""

import pathlib
import zipfile

from vae_jax import errors

ZIP = (b'PK\x03\x04', b'PK\x05\x06')
NPY = b'\x93NUMPY'
PARQUET = b'PAR1'
_SAVEZ = 'write its arrays with np.savez'
_AS_CSV = "save the table as CSV, and set data.name='table'"
_PICTURE = "is a picture; set data.name='folder', and data.path to the folder that it is in"
_KNOWN = (
  (
    NPY,
    "is one .npy array; set data.name='npy', or np.savez(path, images=np.load(...)) makes an .npz",
  ),
  (PARQUET, "is a .parquet file; set data.name='table'"),
  (b'\x89HDF', f'is an HDF5 file; {_SAVEZ}'),
  (b'MATLAB ', f'is a file of MATLAB; {_SAVEZ}'),
  (b'\x1f\x8b', 'is a .gz file; unpack it'),
  (b'\xff\xfe', 'is text in UTF-16; save it as UTF-8'),
  (b'\xfe\xff', 'is text in UTF-16; save it as UTF-8'),
  *(
    (magic, _PICTURE)
    for magic in (b'\x89PNG', b'\xff\xd8\xff', b'GIF8', b'BM', b'RIFF', b'II*\0', b'MM\0*')
  ),
)
_ZIPPED = (  # the end of a name in an archive
  ('.npy', "is an .npz file; set data.name='npz'"),
  ('xl/workbook.xml', f'is a workbook of Excel; {_AS_CSV}'),
  ('content.xml', f'is an OpenDocument file; {_AS_CSV}'),
  ('data.pkl', f'is a file of PyTorch; {_SAVEZ}'),
)
_TABLE = "is text; of a table set data.name='table', or np.savez makes an .npz of its columns"
_LOOKED_AT = 4096


def check(
  file: pathlib.Path, own: tuple[bytes, ...], where: str, otherwise: str, is_path: bool = True
) -> None:
  """Refuses a file that does not begin as those of a reader do.

  Args:
    file: there is one by this path.
    own: the beginnings of its files.
    where: what the file is, for messages.
    otherwise: the end of the message where nobody knows what it is.
    is_path: whether it is that of `data.path`, which another reader may read.

  Raises:
    InputError: it begins otherwise, or cannot be read.
  """
  try:
    with open(file, 'rb') as stream:
      beginning = stream.read(_LOOKED_AT)
  except OSError as error:
    raise errors.InputError(f'{where} cannot be read: {error.strerror}') from error
  if not beginning.startswith(own):
    what = what_is(beginning, file) or (_TABLE if _is_table(beginning, file) else '')
    raise errors.InputError(f'{where} {what if what and is_path else otherwise}')


def what_is(beginning: bytes, file: pathlib.Path) -> str:
  """Returns what a file is and what to do about it, the end of a sentence; '' where nobody knows.

  Args:
    beginning: its first bytes.
    file: of a zip file there is more to see.
  """
  if beginning.startswith(ZIP):
    return what_is_zipped(file)
  has_zero = b'\0' in beginning  # text has none, and may begin with any letters
  for magic, what in _KNOWN:
    if beginning.startswith(magic) and (has_zero or not magic.isascii()):
      return what
  return ''


def what_is_zipped(file: pathlib.Path) -> str:
  """Returns what a file is that begins as a zip file does, as `what_is`."""
  try:
    with zipfile.ZipFile(file) as archive:
      names = archive.namelist()
  except (zipfile.BadZipFile, NotImplementedError, ValueError):
    return 'begins like a zip file, such as an .npz, and is none; copy or write it again'
  for end, what in _ZIPPED:
    if any(name.endswith(end) for name in names):
      return what
  return 'is a zip file without arrays; unpack it' if names else 'is an archive of nothing'


def _is_table(beginning: bytes, file: pathlib.Path) -> bool:
  """Tells whether a text is named as a table, or has lines with something between columns."""
  if b'\0' in beginning or not beginning.strip():
    return False
  first, *others = beginning.splitlines()
  is_named = file.suffix.lower() in ('.csv', '.tsv')
  return is_named or (bool(others) and any(mark in first for mark in b',;|\t'))
