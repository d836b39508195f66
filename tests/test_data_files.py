"""Files that are no .npz, or a broken, hostile or odd one: one line each, never a traceback."""

import io
import os
import pathlib
import re
import struct
import zipfile

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from vae_jax import data, errors
from vae_jax.data import own, splits

pytestmark = pytest.mark.math

IMAGES = np.random.default_rng(0).integers(0, 256, (20, 6, 5), dtype=np.uint8)


def load(path, split='images', test_split=None):
  return data.load(
    'npz', path=str(path), train_split=split, test_split=test_split or split, crop=(), pad=(),
    kind='auto', range=(),
    scale_to_unit=False, binarize='none', standardize='none', seed=0,
  )  # fmt: skip


def npy(header: str, body: bytes = b'', version=(1, 0)) -> bytes:
  """An .npy file with this header, padded as NumPy does."""
  text = header.encode('latin1') + b' ' * (-(len(header) + 11) % 64) + b'\n'
  length = struct.pack('<H' if version == (1, 0) else '<I', len(text))
  return b'\x93NUMPY' + bytes(version) + length + text + body


def header(shape: str, descr: str = "'|u1'") -> str:
  return f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}"


def zipped(path, content: bytes, name='images.npy', method=zipfile.ZIP_DEFLATED):
  with zipfile.ZipFile(path, 'w', method) as archive:
    archive.writestr(name, content)
  return path


def encrypted(path):
  """The flag of encryption set in both headers of a plain file."""
  np.savez(path, images=IMAGES)
  content = bytearray(path.read_bytes())
  for magic, offset in ((b'PK\x03\x04', 6), (b'PK\x01\x02', 8)):
    content[content.index(magic) + offset] |= 1
  path.write_bytes(content)
  return path


def unknown_method(path):
  np.savez(path, images=IMAGES)
  content = bytearray(path.read_bytes())
  for magic, offset in ((b'PK\x03\x04', 8), (b'PK\x01\x02', 10)):
    content[content.index(magic) + offset] = 97
  path.write_bytes(content)
  return path


def saved(path, array):
  np.savez(path, images=array)
  return path


def claiming_size(path, size: int):
  """A file whose directory says that its array unpacks to `size` bytes, as the header does."""
  zipped(path, npy(header(f'({size - 128},)'), b'\0' * 64), method=zipfile.ZIP_DEFLATED)
  content = bytearray(path.read_bytes())
  real = struct.pack('<I', 128 + 64)
  assert content.count(real) == 2
  path.write_bytes(content.replace(real, struct.pack('<I', size)))
  return path


REFUSED = {
  'a row count of 10^12': lambda p: zipped(p, npy(header('(1000000000000, 8)'), b'\0' * 64)),
  '2^70 rows': lambda p: zipped(p, npy(header(f'({2**70}, 8)'), b'\0' * 64)),
  'a negative size': lambda p: zipped(p, npy(header('(-8, -8)'), b'\0' * 64)),
  'a bomb that says so': lambda p: claiming_size(p, 2**32 - 2),
  'encrypted': encrypted,
  'an unknown method': unknown_method,
  'objects': lambda p: saved(p, np.array([[1, None]])),
  'fields': lambda p: saved(p, np.zeros(3, [('a', 'i4'), ('b', 'f4')])),
  'no fields, but void': lambda p: saved(p, np.zeros((3, 4), 'V8')),
  'an empty array': lambda p: saved(p, np.zeros((0, 8, 8))),
  'empty examples': lambda p: saved(p, np.zeros((8, 0))),
  'one number': lambda p: saved(p, np.float32(3)),
  'texts': lambda p: saved(p, np.array([['a', 'b']])),
  'dates': lambda p: saved(p, np.zeros((3, 4), 'M8[s]')),
  'not a dict': lambda p: zipped(p, npy('[1, 2]')),
  'deeply nested': lambda p: zipped(p, npy('(' * 9000)),
  'half a header': lambda p: zipped(p, npy(header('(20, 6'))),
  'a type that is none': lambda p: zipped(p, npy(header('(2,2)', "'<zz'"))),
  'version 9': lambda p: zipped(p, npy(header('(2,2)'), b'\0' * 4, version=(9, 0))),
  'a long header': lambda p: zipped(p, npy(header('(2,2)') + ' ' * 20000, b'\0' * 4, (2, 0))),
  'fewer bytes than declared': lambda p: zipped(p, npy(header('(20, 30)'), b'\0' * 64)),
  'more bytes than declared': lambda p: zipped(p, npy(header('(2, 3)'), b'\0' * 64)),
  'not .npy': lambda p: zipped(p, b'text', name='images'),
  'PK and no more': lambda p: p.write_bytes(b'PK') and p,
  'PK and another file': lambda p: p.write_bytes(b'PKWARE is not what this is' * 9) and p,
  'an archive of nothing': lambda p: zipfile.ZipFile(p, 'w').close() or p,
  'one .npy': lambda p: p.write_bytes(npy(header('(2, 2)'), b'\0' * 4)) and p,
  'a text table': lambda p: p.write_text('1.5,2\n3,4\n') and p,
  'an HDF5 file': lambda p: p.write_bytes(b'\x89HDF\r\n\x1a\n' + bytes(99)) and p,
  'a directory': lambda p: p.mkdir() or p,
  'a pipe': lambda p: os.mkfifo(p) or p,
}


@pytest.mark.parametrize('make', REFUSED.values(), ids=REFUSED)
def test_an_odd_file_is_one_line(tmp_path, make):
  with pytest.raises((errors.InputError, errors.DamagedError)) as caught:
    load(make(tmp_path / 'mine.npz'))
  message = str(caught.value)
  assert 'mine.npz' in message
  assert '\n' not in message
  assert len(message) < 600
  assert 'allow_pickle' not in message


def table_of(path, text='a,b\n1,2\n3,4\n', encoding='utf-8'):
  path.write_text(text, encoding=encoding)


def archive_of(path, *names):
  with zipfile.ZipFile(path, 'w') as archive:
    for name in names:
      archive.writestr(name, b'')


WIDE = ','.join(f'gene{i}' for i in range(2000))
BYTES = {
  'png': b'\x89PNG\r\n\x1a\n',
  'jpeg': b'\xff\xd8\xff\xe0',
  'tiff': b'II*\0\x08',
  'gif': b'GIF89a\1\0',
  'bmp': b'BM\1\0',
  'webp': b'RIFF\1\0\0\0WEBP',
}
KINDS = {  # what makes one, the data.name that reads it, and what else the message has
  '.npz': (lambda p: np.savez(p.open('wb'), images=IMAGES), 'npz', ''),
  '.npy': (lambda p: np.save(p.open('wb'), IMAGES), 'npy', ''),
  '.csv': (table_of, 'table', ''),
  'one column.csv': (lambda p: table_of(p, 'a\n1\n2\n'), 'table', ''),
  'a table by another name.dat': (lambda p: table_of(p, 'a\tb\n1\t2\n3\t4\n'), 'table', ''),
  '.parquet': (
    lambda p: parquet.write_table(pa.table({'a': [1.0, 2.0], 'b': [3.0, 4.0]}), p), 'table', ''
  ),
  'wide.csv': (lambda p: table_of(p, WIDE), 'table', ''),
  '.xlsx': (lambda p: archive_of(p, '[Content_Types].xml', 'xl/workbook.xml'), '', 'as CSV'),
  '.ods': (lambda p: archive_of(p, 'mimetype', 'content.xml'), '', 'as CSV'),
  '.pt': (lambda p: archive_of(p, 'archive/data.pkl'), '', 'np.savez'),
  '.zip': (lambda p: archive_of(p, '1.png', '2.png'), '', 'a zip file without arrays; unpack it'),
  '.h5': (lambda p: p.write_bytes(b'\x89HDF\r\n\x1a\n'), '', 'np.savez'),
  '.mat': (lambda p: p.write_bytes(b'MATLAB 5.0 MAT-file\0\1'), '', 'np.savez'),
  '.csv.gz': (lambda p: p.write_bytes(b'\x1f\x8b\x08'), '', 'unpack it'),
  'utf-16.csv': (lambda p: table_of(p, encoding='utf-16'), '', 'save it as UTF-8'),
  **{f'.{name}': (lambda p, b=b: p.write_bytes(b), 'folder', '') for name, b in BYTES.items()},
}  # fmt: skip


@pytest.mark.parametrize('name', ['npz', 'npy', 'table', 'folder'])
def test_a_file_for_another_reader_is_sent_to_it(tmp_path, name):
  """And what was advised reads it, of those files that are whole."""
  for kind, (make, reader, words) in KINDS.items():
    make(path := tmp_path / f'mine{kind}')
    if name == reader != 'folder' and kind != 'wide.csv':
      assert data.open_source({'name': name, 'path': str(path)}).splits, kind
      continue
    with pytest.raises(errors.InputError) as caught:
      data.open_source({'name': name, 'path': str(path)})
    message = str(caught.value)
    assert message.startswith(f'data.path={str(path)!r}'), message
    assert '\n' not in message and words in message, message
    if kind == 'wide.csv' and name == 'table':
      assert 'has no row below its header' in message
    elif reader:
      assert f'set data.name={reader!r}' in message, message
    else:
      assert ('set data.name' in message) == (words == 'as CSV'), message


def test_what_names_labels_is_not_sent_to_another_reader(tmp_path):
  np.save(tmp_path / 'x.npy', IMAGES)
  np.savez(tmp_path / 'x.npz', IMAGES)
  labels = f'images={tmp_path / "x.npz"}'
  source = data.open_source({'name': 'npy', 'path': str(tmp_path / 'x.npy'), 'labels': labels})
  with pytest.raises(errors.InputError) as caught:
    source.read('images')
  assert str(caught.value).endswith(
    "'x.npz' is not an .npy file, which np.save(path, array) writes"
  )


def test_the_splits_of_a_file_of_keras_are_advised_with_their_slices(tmp_path):
  """Its names are those of mnist.npz; labels are near, too, and no examples."""
  of = {'x_test': IMAGES, 'x_train': IMAGES, 'y_train': np.arange(20), 'y_test': np.arange(20)}
  np.savez(tmp_path / 'mnist.npz', **of)
  source = data.open_source({'name': 'npz', 'path': str(tmp_path / 'mnist.npz')})
  asked = {'train': 'train[:75%]', 'validation': 'train[75%:]', 'test': 'test'}
  with pytest.raises(data.AbsentError) as caught:
    splits.parse(asked, source)
  assert str(caught.value).endswith(
    "; set data.train_split='x_train[:75%]', data.validation_split='x_train[75%:]' and "
    "data.test_split='x_test'"
  )
  with pytest.raises(data.AbsentError, match=r"; did you mean 'x_test'\?$"):
    splits.parse({'train': 'x_train', 'validation': '', 'test': 'test'}, source)


@pytest.mark.parametrize(
  ('arrays', 'settings'),
  [
    (('images', 'labels'), {}),
    (('labels', 'images'), {}),
    (('images', 'images_age'), {}),
    (('images', 'mask'), {'masks': 'images=mask'}),
  ],
)
def test_what_is_known_of_the_examples_is_advised_as_no_split(tmp_path, arrays, settings):
  of = {'images': IMAGES, 'mask': IMAGES > 9, 'labels': np.arange(20), 'images_age': np.ones(20)}
  np.savez(tmp_path / 'mine.npz', **{name: of[name] for name in arrays})
  source = data.open_source({'name': 'npz', 'path': str(tmp_path / 'mine.npz'), **settings})
  with pytest.raises(data.AbsentError) as caught:
    splits.parse({'train': 'train', 'validation': '', 'test': 'test'}, source)
  advice = "; set data.train_split='images[:80%]' and data.test_split='images[80%:]'"
  assert str(caught.value).endswith(advice)
  loaded = own.source_of({name: of[name] for name in arrays}, 'mine:load')
  if not settings:
    with pytest.raises(data.AbsentError, match=re.escape(advice)):
      splits.parse({'train': 'train', 'validation': '', 'test': 'test'}, loaded)


@pytest.mark.parametrize(
  ('path', 'words'),
  [
    ('~nosuchuser/x.npz', 'no such user'),
    ('gs://bucket/x.npz', 'is not read from'),
    ('x' * 400 + '.npz', 'no path: File name too long'),
    ('x\0.npz', 'no path'),
    ('absent.npz', 'there is no file'),
  ],
)
def test_a_path_that_leads_nowhere_is_one_line(path, words):
  with pytest.raises(errors.InputError, match=r'data\.path=') as caught:
    load(path)
  assert words in str(caught.value)
  assert len(str(caught.value)) < 700


def test_a_near_name_is_named(tmp_path):
  np.savez(tmp_path / 'faces.npz', images=IMAGES)
  with pytest.raises(errors.InputError, match=r"did you mean 'faces\.npz'"):
    load(tmp_path / 'face.npz')


def test_a_name_of_300_letters_is_read_and_shown_in_short(tmp_path):
  name = 'n' * 300
  np.savez(tmp_path / 'mine.npz', **{name: IMAGES})
  assert load(tmp_path / 'mine.npz', name).train.shape == (20, 6, 5, 1)
  with pytest.raises(errors.InputError) as caught:
    load(tmp_path / 'mine.npz', 'x' * 300)
  assert len(str(caught.value)) < 1200  # its advice has the name in full, twice


def test_positional_arrays_are_named_for_both_splits_at_once(tmp_path):
  np.savez(tmp_path / 'mine.npz', IMAGES, IMAGES[:5])
  with pytest.raises(errors.InputError) as caught:
    load(tmp_path / 'mine.npz', 'train', 'test')
  assert "set data.train_split='arr_0' and data.test_split='arr_1'" in str(caught.value)
  assert len(load(tmp_path / 'mine.npz', 'arr_0', 'arr_1').test) == 5


def test_memory_is_asked_before_it_is_taken(tmp_path, monkeypatch):
  np.savez_compressed(tmp_path / 'mine.npz', images=np.zeros((400, 50, 50), np.uint8))
  from vae_jax.data import npz

  class Free:
    available = 999_999

  monkeypatch.setattr(npz.psutil, 'virtual_memory', Free)
  with pytest.raises(errors.InputError, match=r'0\.0 GiB of memory are free'):
    load(tmp_path / 'mine.npz')
  Free.available = 10**6
  assert load(tmp_path / 'mine.npz').train.shape == (400, 50, 50, 1)


def flipped_and_cut(seed: int, count: int):
  """Valid files, each with a few bytes changed, or cut, or both; the same for one seed."""
  rng = np.random.default_rng(seed)
  buffers = [io.BytesIO() for _ in range(2)]
  np.savez(buffers[0], images=IMAGES, other=IMAGES[:3].astype(np.float64))
  np.savez_compressed(buffers[1], images=IMAGES)
  for _ in range(count):
    content = bytearray(buffers[rng.integers(2)].getvalue())
    for place in rng.integers(0, len(content), rng.integers(0, 4)):
      content[place] ^= 1 << rng.integers(8)
    if rng.integers(3) == 0:
      content = content[: rng.integers(4, len(content))]
    yield bytes(content)


def test_flips_and_cuts_are_seen_or_harmless(tmp_path):
  """Never another error, and never other values: a checksum lies over each array."""
  seen, path = 0, tmp_path / 'mine.npz'
  for content in flipped_and_cut(seed=1, count=600):
    path.write_bytes(content)
    try:
      loaded = load(path)
    except (errors.InputError, errors.DamagedError) as error:
      seen += 1
      assert re.fullmatch(r'[^\n]{1,700}', str(error))
    else:
      np.testing.assert_array_equal(loaded.train[..., 0], IMAGES)
  assert 300 < seen < 600


def test_a_disk_that_does_not_answer_is_no_damage(tmp_path, monkeypatch):
  np.savez(tmp_path / 'mine.npz', images=IMAGES)

  def fail(*args, **kwargs):
    raise OSError(5, 'Input/output error')

  monkeypatch.setattr(np.lib.format, 'read_array', fail)
  with pytest.raises(errors.StorageError, match='Input/output error'):
    load(pathlib.Path(tmp_path / 'mine.npz'))
