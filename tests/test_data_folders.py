"""Folders of pictures: what is a split and a class, pixels against NumPy, and what is refused."""

import logging
import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from vae_jax import data, errors
from vae_jax.data import pixels

pytestmark = pytest.mark.math

RNG = np.random.default_rng(0)
COLOURS = RNG.integers(0, 256, (8, 6, 5, 3), dtype=np.uint8)  # [n, H, W, C]
HALVES = {'train_split': 'images[:50%]', 'test_split': 'images[50%:]'}


def put(path, pixels_, mode=None, **options):
  path.parent.mkdir(parents=True, exist_ok=True)
  image = Image.fromarray(pixels_)
  (image.convert(mode) if mode else image).save(path, **options)


@pytest.fixture
def root(tmp_path, monkeypatch):
  """Returns a folder of eight PNGs, and an empty cache."""
  monkeypatch.setenv('VAE_JAX_CACHE', str(tmp_path / 'cache'))
  for i, image in enumerate(COLOURS):
    put(tmp_path / 'photos' / f'{i}.png', image)
  return tmp_path / 'photos'


def read(path, train_split='images', test_split='images', beside=(), order='stored', **own):
  source = data.open_source({'name': 'folder', 'path': str(path), **own})
  return data.read(
    source, train_split, test_split, (), (), 'auto', (), beside=beside, split_order=order
  )


def refused(path, *words, **keywords):
  with pytest.raises(errors.InputError) as caught:
    read(path, **keywords)
  (line,) = caught.value.problems
  for word in words:
    assert word in line
  return line


def test_a_folder_of_images_is_one_split_in_the_order_of_names(root):
  stored = read(root, **HALVES, beside=('file',))
  np.testing.assert_array_equal(np.concatenate([stored.train, stored.test]), COLOURS)
  assert stored.beside['test']['file'].tolist() == ['4.png', '5.png', '6.png', '7.png']
  assert stored.labels is None and (stored.support, stored.kind) == ('uint8', 'image')


def test_folders_are_classes_or_splits_or_both(tmp_path, monkeypatch):
  monkeypatch.setenv('VAE_JAX_CACHE', str(tmp_path / 'cache'))
  for i, name in enumerate(['b/1.png', 'a/deeper/2.JPG', 'b/3.webp', 'a/4.bmp']):
    put(tmp_path / 'classes' / name, COLOURS[i])
    put(tmp_path / 'splits' / 'val' / name.replace('/', '-'), COLOURS[i])
    put(tmp_path / 'splits' / 'train' / name.replace('/', '-'), COLOURS[i])
    put(tmp_path / 'both' / ('train' if i < 2 else 'holdout') / name, COLOURS[i])
  stored = read(tmp_path / 'classes', beside=('label', 'file'))
  assert stored.beside['train']['label'].tolist() == ['a', 'a', 'b', 'b']
  assert stored.labels['train'].tolist() == ['a', 'a', 'b', 'b']
  assert stored.beside['train']['file'][1] == os.path.join('a', 'deeper', '2.JPG')
  stored = read(tmp_path / 'splits', 'train', 'val')
  assert len(stored.train) == len(stored.test) == 4 and stored.labels is None
  stored = read(tmp_path / 'both', 'train', 'holdout', beside=('label',))
  assert stored.beside['train']['label'].tolist() == ['a', 'b']
  assert stored.beside['test']['label'].tolist() == ['a', 'b']


def test_a_class_has_one_number_in_all_splits(tmp_path, monkeypatch):
  """Also where a split lacks another one; and folders are splits in capitals, too."""
  monkeypatch.setenv('VAE_JAX_CACHE', str(tmp_path / 'cache'))
  for i, name in enumerate(['Train/cat/1.png', 'Train/dog/2.png', 'VAL/dog/3.png']):
    put(tmp_path / 'photos' / name, COLOURS[i])
  source = data.open_source({'name': 'folder', 'path': str(tmp_path / 'photos')})
  numbers = {split: source.read(split).factors['label'].tolist() for split in source.splits}
  assert numbers == {'Train': [0, 1], 'VAL': [1]}


def test_a_slice_of_images_sorted_by_class_is_shuffled_or_refused(tmp_path, monkeypatch):
  monkeypatch.setenv('VAE_JAX_CACHE', str(tmp_path / 'cache'))
  for i in range(8):
    put(tmp_path / 'photos' / 'ab'[i % 2] / f'{i}.png', COLOURS[i])
  refused(tmp_path / 'photos', 'sorted by class', "data.split_order='shuffled'", **HALVES)
  assert len(read(tmp_path / 'photos', order='shuffled', **HALVES).train) == 4


def test_a_changed_file_is_decoded_anew_and_only_then(root, monkeypatch):
  decoded, inner = [], pixels.decoded
  monkeypatch.setattr(pixels, 'decoded', lambda *a: decoded.append(1) or inner(*a))
  first, second = read(root), read(root)
  assert len(decoded) == 1 and first.sha256 == second.sha256
  put(root / '3.png', COLOURS[2])
  assert (read(root).train[3] == COLOURS[2]).all() and len(decoded) == 2
  assert read(root, channels='grey').event == (6, 5, 1) and len(decoded) == 3


def test_what_is_transparent_lies_on_white(root):
  alpha = RNG.integers(0, 256, (6, 5, 1), dtype=np.uint8)
  put(root / '3.png', np.concatenate([COLOURS[3], alpha], -1))
  weight = alpha / 255.0
  expected = weight * COLOURS[3] + (1 - weight) * 255
  np.testing.assert_allclose(read(root, channels='rgb').train[3], expected, atol=1)


def test_greys_are_weighted_colours(root):
  luma = COLOURS @ np.array([0.299, 0.587, 0.114])  # ITU-R 601-2
  np.testing.assert_allclose(read(root, channels='grey').train[..., 0], luma, atol=1)


def test_a_camera_on_its_side_is_turned(root):
  exif = Image.Exif()
  exif[0x0112] = 6  # 90 degrees clockwise to be upright
  put(root / '3.png', np.rot90(COLOURS[3]), exif=exif)
  np.testing.assert_array_equal(read(root).train[3], COLOURS[3])


def test_cropping_keeps_the_centre_and_resizing_all(root):
  wide = np.zeros((6, 15, 3), np.uint8)
  wide[:, 5:10] = COLOURS[3]
  put(root / '3.png', wide)
  np.testing.assert_array_equal(read(root, size=(6, 5)).train[3], COLOURS[3])
  grey = np.full((12, 40, 3), 77, np.uint8)
  grey[:, 20:] = 99
  put(root / '3.png', grey)
  resized = read(root, size=(6, 4), fit='resize').train[3]
  assert (resized[:, 0] == 77).all() and (resized[:, 3] == 99).all()


def test_files_of_systems_and_of_other_kinds_are_left_aside(root, caplog):
  (root / 'notes.txt').write_text('mine')
  for name in ('.hidden.png', '__MACOSX/0.png', 'Thumbs.db'):
    (root / name).parent.mkdir(exist_ok=True)
    (root / name).write_text('no image')
  (root / 'up').symlink_to(root)
  with caplog.at_level(logging.INFO):
    assert len(read(root).train) == 8
  assert '1 other files are left aside' in caplog.text


WRONG = {
  'another size': (lambda f: put(f, COLOURS[0][:5]), ['6x5', '5x5', 'data.size', 'data.fit']),
  'grey': (lambda f: put(f, COLOURS[0][..., 0]), ["'x.png' is grey", "data.channels='rgb'"]),
  'RGBA': (lambda f: put(f, COLOURS[0], 'RGBA'), ["'x.png' is transparent", 'data.channels']),
  'CMYK': (lambda f: put(f, COLOURS[0], 'CMYK', format='JPEG'), ["'x.png' is CMYK", 'channels']),
  '16 bits': (
    lambda f: put(f, COLOURS[0][..., 0].astype(np.uint16)),
    ['1 of 9 files', "'x.png' has more than 8 bits", 'data.skip'],
  ),
  '32 bits': (
    lambda f: put(f, COLOURS[0][..., 0].astype(np.int32), format='TIFF'),
    ["'x.png' has more than 8 bits", 'data.skip=True'],
  ),
  'text': (lambda f: f.write_text('hello'), ["'x.png' is no image", 'data.skip=True']),
  'empty': (lambda f: f.write_bytes(b''), ["'x.png' is no image", 'data.skip=True']),
  'half': (
    lambda f: f.write_bytes((f.parent / '0.png').read_bytes()[:90]),
    ["'x.png' cannot be read", 'data.skip=True'],
  ),
  'frames': (
    lambda f: put(
      f, COLOURS[0], format='GIF', save_all=True, append_images=[Image.fromarray(COLOURS[1])]
    ),
    ["'x.png' has 2 frames", 'data.skip=True'],
  ),
  'no target': (lambda f: f.symlink_to('nothing'), ["'x.png' cannot be read", 'No such file']),
  'beside a folder': (lambda f: put(f.parent / 'a' / 'y.png', COLOURS[0]), ['beside', 'move']),
}


@pytest.mark.parametrize('name', WRONG)
def test_a_wrong_file_is_one_line_that_says_what_to_do(root, name):
  make, words = WRONG[name]
  make(root / 'x.png')
  line = refused(root, *words)
  if 'data.skip' in line:
    assert len(read(root, skip=True).train) == 8


def test_colours_of_16_bits_are_refused_though_pillow_reads_them_as_8(root):
  # A PNG of one row of two pixels, by its chunks: Pillow does not write 16 bits of colours.
  def chunk(kind, content):
    checksum = zlib.crc32(kind + content)
    return struct.pack('>I', len(content)) + kind + content + struct.pack('>I', checksum)

  header = struct.pack('>IIBBBBB', 2, 1, 16, 2, 0, 0, 0)
  parts = [(b'IHDR', header), (b'IDAT', zlib.compress(b'\0' + bytes(12))), (b'IEND', b'')]
  (root / 'x.png').write_bytes(b'\x89PNG\r\n\x1a\n' + b''.join(chunk(*part) for part in parts))
  refused(root, "'x.png' has more than 8 bits")


def test_many_wrong_files_are_counted_and_three_named(root):
  for i in range(5):
    (root / f'x{i}.png').write_text('')
  line = refused(root, '5 of 13 files', "'x0.png'", "'x2.png'", 'and 2 more')
  assert "'x3.png'" not in line and line.count('is no image') == 1


def test_what_is_left_out_is_named(root, caplog):
  (root / '3x.png').write_text('')
  for _ in range(2):  # decoded, and from the cache
    caplog.clear()
    read(root, skip=True)
    assert "left out 1 of 9 files: '3x.png'" in caplog.text


def test_no_folder_and_no_images(root, tmp_path):
  (tmp_path / 'none').mkdir()
  refused(tmp_path / 'none', 'has no images', '.png')
  (tmp_path / 'none' / 'a.txt').write_text('')
  refused(tmp_path / 'none', "no images, and 1 other files such as 'a.txt'")
  put(tmp_path / 'none' / '1.png', COLOURS[0])
  refused(tmp_path / 'none', "has one image, '1.png'", 'several')
  refused(tmp_path / 'photo', 'no folder', "did you mean 'photos'?")
  refused(root / '0.png', "is a picture; set data.name='folder', and data.path to the folder")
  refused('', "data.name='folder' needs the path")
  refused(root, "data.train_split='train'", "has only 'images'", train_split='train')


def test_splits_with_and_without_classes_do_not_go_together(tmp_path):
  put(tmp_path / 'train' / 'a' / '1.png', COLOURS[0])
  put(tmp_path / 'test' / '2.png', COLOURS[1])
  refused(tmp_path, "'train' has folders of classes and other splits have none")


def test_images_beyond_the_memory_are_refused_before_any_is_decoded(root, monkeypatch):
  free = pixels.psutil.virtual_memory()._replace(available=100)
  monkeypatch.setattr(pixels.psutil, 'virtual_memory', lambda: free)
  monkeypatch.setattr(pixels, 'pixels', None)
  refused(root, 'of memory are free', 'data.size')
