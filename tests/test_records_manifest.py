"""The sha256 of every file: what changes is seen, and a kill at any moment is no change."""

import hashlib
import json
import os
import pathlib

import pytest

from vae_jax import errors
from vae_jax.records import manifest

pytestmark = pytest.mark.run


def sha256(text):
  return hashlib.sha256(text.encode()).hexdigest()


@pytest.fixture
def directory(tmp_path):
  manifest.begin(tmp_path, ())
  return tmp_path


def test_a_file_is_announced_before_it_has_its_name(directory):
  """What is on the disk at every rename: the manifest allows the old file and the new one."""
  path = directory / 'results.csv'
  manifest.write_text(path, 'one')
  assert manifest.read(directory) == {'results.csv': [None, sha256('one')]}
  manifest.write_text(path, 'two')
  assert manifest.read(directory) == {'results.csv': [sha256('one'), sha256('two')]}
  manifest.write_text(path, 'two')
  manifest.settle(directory)
  assert manifest.read(directory) == {'results.csv': [sha256('two')]}
  stored = json.loads((directory / manifest.NAME).read_text())
  assert stored['files']['results.csv'] == [sha256('two')]


def test_a_picture_is_in_the_manifest_above_it_and_other_files_are_in_none(directory, tmp_path):
  (directory / 'figures').mkdir()
  manifest.write_text(directory / 'figures' / 'a.png', 'picture')
  assert manifest.read(directory).keys() == {'figures/a.png'}
  outside = tmp_path / 'a' / 'b' / 'c'
  outside.mkdir(parents=True)
  manifest.write_text(outside / 'x.csv', 'alone')
  manifest.verify(outside / 'x.csv')
  assert [path.name for path in outside.iterdir()] == ['x.csv']


@pytest.mark.parametrize('moment', ['announced', 'renamed'])
def test_a_kill_leaves_the_old_file_or_the_new_one_and_both_pass(directory, monkeypatch, moment):
  path = directory / 'results.csv'
  manifest.write_text(path, 'old')
  manifest.settle(directory)
  original = pathlib.Path.replace

  def killed(self, target):
    if moment == 'renamed' or pathlib.Path(target) != path:
      original(self, target)
    if pathlib.Path(target) == path:
      raise KeyboardInterrupt

  with monkeypatch.context() as patch:
    patch.setattr(pathlib.Path, 'replace', killed)
    with pytest.raises(KeyboardInterrupt):
      manifest.write_text(path, 'new')
  assert path.read_text() == ('new' if moment == 'renamed' else 'old')
  assert manifest.faults(directory) == {}
  manifest.settle(directory)
  assert manifest.read(directory) == {'results.csv': [sha256(path.read_text())]}


def test_every_bit_of_a_file_counts(directory):
  path = directory / 'results.csv'
  manifest.write_text(path, 'lane,seed\n0,1\n')
  content = path.read_bytes()
  for bit in range(8 * len(content)):
    damaged = bytearray(content)
    damaged[bit // 8] ^= 1 << bit % 8
    path.write_bytes(damaged)
    assert manifest.faults(directory) == {'results.csv': manifest.CHANGED}
    with pytest.raises(errors.DamagedError, match=r'results\.csv fails its sha256'):
      manifest.verify(path)
  path.write_bytes(content)
  manifest.verify(path)


def test_a_missing_file_is_seen_and_one_never_written_is_not(directory):
  path = directory / 'results.csv'
  manifest.write_text(path, 'x')
  path.unlink()
  assert manifest.faults(directory) == {}  # killed before it had its name
  manifest.write_text(path, 'x')
  manifest.settle(directory)
  path.unlink()
  assert manifest.faults(directory) == {'results.csv': manifest.MISSING}
  with pytest.raises(errors.DamagedError, match='is missing'):
    manifest.verify(path)
  manifest.forget(directory, 'results.csv')
  assert manifest.faults(directory) == {}


def test_what_is_damaged_stays_so_until_it_is_replaced(directory, monkeypatch):
  path = directory / 'results.csv'
  manifest.write_text(path, 'good')
  manifest.settle(directory)
  path.write_text('gone')
  manifest.settle(directory)
  assert manifest.faults(directory) == {'results.csv': manifest.CHANGED}
  with monkeypatch.context() as patch:
    patch.setattr(pathlib.Path, 'replace', lambda *a: os.rename(*a) if a[1] != path else 1 / 0)
    with pytest.raises(ZeroDivisionError):
      manifest.write_text(path, 'new')
  assert manifest.faults(directory) == {'results.csv': manifest.CHANGED}
  manifest.write_text(path, 'new')
  assert manifest.faults(directory) == {}


@pytest.mark.parametrize('damage', ['flip', 'cut', 'list'])
def test_a_damaged_manifest_is_said_in_one_line(directory, damage):
  manifest.write_text(directory / 'results.csv', 'x')
  path = directory / manifest.NAME
  text = path.read_text()
  sha = sha256('x')
  other = {'flip': text.replace(sha, '0' + sha[1:] if sha[0] != '0' else '1' + sha[1:]),
           'cut': text[:-30], 'list': '[]'}[damage]  # fmt: skip
  path.write_text(other)
  with pytest.raises(errors.DamagedError, match=r'^\S*manifest\.json fails its own check; if '):
    manifest.faults(directory)


def test_the_files_of_an_earlier_version_are_listed_as_they_are(tmp_path):
  (tmp_path / 'figures').mkdir()
  for name in ('results.csv', 'figures/a.png', 'figures/.b.tmp-1.png', 'notes.txt'):
    (tmp_path / name).write_text(name)
  assert manifest.faults(tmp_path) == {}
  assert manifest.begin(tmp_path, ('results.csv', 'figures/*.png', 'latents.csv'))
  assert manifest.read(tmp_path) == {
    name: [sha256(name)] for name in ('figures/a.png', 'results.csv')
  }
  assert not manifest.begin(tmp_path, ())
