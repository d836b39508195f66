"""What a file is by its first bytes, and which `data.name` reads it: for whoever named another."""

import pathlib
import zipfile

from vae_jax import errors

ZIP = (b'PK\x03\x04', b'PK\x05\x06')
NPY = b'\x93NUMPY'
PARQUET = b'PAR1'
_SAVEZ = 'write its arrays with np.savez'
_PICTURE = "is a picture; set data.name='folder', and data.path to the folder that it is in"
_KNOWN = (
  (NPY, "is one .npy array; set data.name='npy'"),
  (PARQUET, "is a .parquet file; set data.name='table'"),
  (b'\x89HDF', f'is an HDF5 file; {_SAVEZ}'),
  *((b'MATLAB ' + version, f'is a file of MATLAB; {_SAVEZ}') for version in (b'5.0 M', b'7.3 M')),
  (b'\x1f\x8b', 'is a .gz file; unpack it'),
  (b'\xff\xfe', 'is text in UTF-16; save it as UTF-8'),
  (b'\xfe\xff', 'is text in UTF-16; save it as UTF-8'),
  *(
    (magic, _PICTURE)
    for magic in (b'\x89PNG', b'\xff\xd8\xff', b'GIF87a', b'GIF89a', b'II*\0', b'MM\0*')
  ),
)
_LOOKED_AT = 4096


def check(file: pathlib.Path, own: tuple[bytes, ...], where: str, otherwise: str) -> None:
  """Refuses a file that does not begin as those of a reader do.

  Args:
    file: there is one by this path.
    own: the beginnings of its files.
    where: what the file is, for messages.
    otherwise: the end of the message where nobody knows what it is.

  Raises:
    InputError: it begins otherwise, or cannot be read.
  """
  try:
    with open(file, 'rb') as stream:
      beginning = stream.read(_LOOKED_AT)
  except OSError as error:
    raise errors.InputError(f'{where} cannot be read: {error.strerror}') from error
  if not beginning.startswith(own):
    is_table = _is_table(beginning, file)
    text = "is text; of a table set data.name='table'" if is_table else otherwise
    raise errors.InputError(f'{where} {what_is(beginning, file) or text}')


def what_is(beginning: bytes, file: pathlib.Path) -> str:
  """Returns what a file is and what to do about it, the end of a sentence; '' where nobody knows.

  Args:
    beginning: its first bytes.
    file: of a zip file there is more to see.
  """
  for magic, what in _KNOWN:
    if beginning.startswith(magic):
      return what
  return _what_is_zipped(file) if beginning.startswith(ZIP) else ''


def _what_is_zipped(file: pathlib.Path) -> str:
  try:
    with zipfile.ZipFile(file) as archive:
      names = archive.namelist()
  except (zipfile.BadZipFile, NotImplementedError, ValueError):
    return 'begins like a zip file, such as an .npz, and is none; copy or write it again'
  if any(name.endswith('.npy') for name in names):
    return "is an .npz file; set data.name='npz'"
  if 'xl/workbook.xml' in names:
    return "is a workbook of Excel; save the table as CSV, and set data.name='table'"
  return 'is a zip file without arrays; unpack it'


def _is_table(beginning: bytes, file: pathlib.Path) -> bool:
  """Tells whether a file is named as a table, or has lines with something between columns."""
  lines = beginning[:_LOOKED_AT].splitlines()
  if b'\0' in beginning or len(lines) < 2:
    return False
  return file.suffix.lower() in ('.csv', '.tsv') or any(mark in lines[0] for mark in b',;|\t')
