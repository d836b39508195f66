"""metrics.jsonl: what is written is read back, whatever kills the writer."""

import collections
import os
import re
import resource

import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax import errors, records
from vae_jax.records import journal, scalars

pytestmark = pytest.mark.run


def rows(step, lanes=2):
  """Returns rows whose values tell lane and step."""
  return [{'lane': lane, 'step': step, 'test/elbo': -step - lane / 4} for lane in range(lanes)]


def write_steps(path, steps, restored_step=0):
  record = journal.open_journal(path, restored_step)
  for step in steps:
    record.append(step, rows(step))
  record.close()


def lanes_and_steps(path):
  return [(row['lane'], row['step']) for row in records.read_metrics(path)]


def write_and_read(path, metrics, lanes):
  record = journal.open_journal(path, 0)
  record.append(1, journal.rows_of(1, metrics, range(lanes)))
  record.close()
  return records.read_metrics(path)


def test_the_file_is_one_strict_json_object_a_line(tmp_path):
  path = tmp_path / 'metrics.jsonl'
  metrics = {
    'test/elbo': np.asarray([-0.1, np.nan, np.inf], np.float32),
    'test/active_units': np.asarray([10, 2, 0], np.int32),
  }
  write_and_read(path, metrics, 3)
  lines = path.read_text().splitlines(keepends=True)
  assert [re.sub(r', "crc32": "[0-9a-f]{8}"', '', line) for line in lines] == [
    '{"lane": 0, "step": 1, "test/elbo": -0.1, "test/active_units": 10}\n',
    '{"lane": 1, "step": 1, "test/elbo": null, "test/active_units": 2}\n',
    '{"lane": 2, "step": 1, "test/elbo": null, "test/active_units": 0}\n',
  ]


def test_float32_reads_back_bit_equal(tmp_path):
  bits = np.random.default_rng(0).integers(0, 2**32, 20_000, dtype=np.uint32)
  special = np.asarray([0.0, -0.0, 1e-45, 3.4028235e38, 1 / 3, 16777216.0], np.float32)
  # Its shortest form, 7.038531e-26, read as a float64 and then rounded, is its neighbour.
  twice_rounded = np.asarray([363742205], np.uint32).view(np.float32)
  values = np.concatenate([bits.view(np.float32), special, twice_rounded])
  read = write_and_read(tmp_path / 'metrics.jsonl', {'x': values}, len(values))
  finite = np.isfinite(values)
  assert 0 < finite.sum() < len(values)
  assert [row['x'] is not None for row in read] == finite.tolist()
  back = np.asarray([row['x'] for row in read if row['x'] is not None], np.float32)
  np.testing.assert_array_equal(back.view(np.uint32), values[finite].view(np.uint32))


@pytest.mark.parametrize('dtype', [np.float64, np.float16, jnp.bfloat16, np.int64, np.uint8])
def test_other_dtypes_read_back_bit_equal(tmp_path, dtype):
  values = np.asarray([0, 1, 3, 1 / 3, 100.7]).astype(dtype)
  read = write_and_read(tmp_path / 'metrics.jsonl', {'x': values}, 5)
  assert np.asarray([row['x'] for row in read]).astype(dtype).tobytes() == values.tobytes()
  is_integer = np.issubdtype(dtype, np.integer)
  assert all(isinstance(row['x'], int) == is_integer for row in read)


def test_only_numbers_are_metrics():
  with pytest.raises(TypeError, match='complex64'):
    scalars.python_numbers(np.ones(2, np.complex64))


@pytest.mark.parametrize(
  'metrics', [{'x': np.ones(3)}, {'x': np.ones(())}, {'x': np.ones((2, 1))}, {'step': np.ones(2)}]
)
def test_a_metric_is_one_number_per_lane_under_a_free_name(metrics):
  with pytest.raises(ValueError, match='metric '):
    journal.rows_of(1, metrics, range(2))


def test_a_torn_last_line_is_cut_wherever_it_was_torn(tmp_path):
  path = tmp_path / 'metrics.jsonl'
  write_steps(path, [10, 20])
  whole = path.read_bytes()
  start = whole.rindex(b'\n', 0, -1) + 1
  for end in range(start, len(whole)):
    path.write_bytes(whole[:end])
    assert lanes_and_steps(path) == [(0, 10), (1, 10), (0, 20)]
    assert path.read_bytes() == whole[:end]  # a reader leaves the file alone
    journal.open_journal(path, restored_step=20).close()
    assert path.read_bytes() == whole[:start]
  path.write_bytes(whole[:start] + b'\0\0\0"x": 1}\n')  # a power cut
  journal.open_journal(path, restored_step=20).close()
  assert path.read_bytes() == whole[:start]


def test_steps_after_the_checkpoint_are_written_again_exactly_once(tmp_path):
  path = tmp_path / 'metrics.jsonl'
  write_steps(path, [0, 10, 20, 30])
  assert journal.last_step(path) == 30
  record = journal.open_journal(path, restored_step=10)
  assert (record.last_step, lanes_and_steps(path)) == (10, [(0, 0), (1, 0), (0, 10), (1, 10)])
  for step in (20, 30, 40):
    record.append(step, rows(step))
  record.close()
  counts = collections.Counter(lanes_and_steps(path))
  assert counts == {(lane, step): 1 for lane in (0, 1) for step in (0, 10, 20, 30, 40)}


def test_a_whole_file_is_not_rewritten(tmp_path):
  path = tmp_path / 'metrics.jsonl'
  write_steps(path, [10, 20])
  before = path.stat()
  journal.open_journal(path, restored_step=20).close()
  after = path.stat()
  assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_healing_leaves_the_old_file_or_the_new_one(tmp_path, monkeypatch):
  path = tmp_path / 'metrics.jsonl'
  write_steps(path, [10, 20])
  whole = path.read_bytes()

  def killed(*_):
    raise KeyboardInterrupt

  monkeypatch.setattr(os, 'fsync', killed)
  with pytest.raises(KeyboardInterrupt):
    journal.open_journal(path, restored_step=10)
  assert path.read_bytes() == whole


@pytest.mark.parametrize(
  'line', [b'{"lane": 0, "st', b'', b'[0, 1]', b'{"lane": 0}', b'{"lane": 0, "step": 1, "x": NaN}']
)
def test_a_damaged_line_inside_is_named_and_kept(tmp_path, line):
  path = tmp_path / 'metrics.jsonl'
  write_steps(path, [10, 20])
  lines = path.read_bytes().splitlines()
  lines[1] = line
  damaged = b'\n'.join(lines) + b'\n'
  path.write_bytes(damaged)
  for act in (records.read_metrics, journal.last_step, lambda p: journal.open_journal(p, 20)):
    with pytest.raises(errors.DamagedError, match=r'metrics\.jsonl, line 2: '):
      act(path)
  assert path.read_bytes() == damaged


def test_every_step_is_on_the_disk_when_append_returns(tmp_path, monkeypatch):
  path = tmp_path / 'metrics.jsonl'
  record = journal.open_journal(path, 0)
  synced = []
  monkeypatch.setattr(os, 'fsync', lambda _: synced.append(len(records.read_metrics(path))))
  for step in (1, 2, 3):
    record.append(step, rows(step))
  record.close()
  assert synced == [2, 4, 6]


@pytest.mark.parametrize('step', [10, 20])
def test_a_step_cannot_stand_twice(tmp_path, step):
  path = tmp_path / 'metrics.jsonl'
  write_steps(path, [10, 20])
  record = journal.open_journal(path, restored_step=20)
  with pytest.raises(ValueError, match=f'step {step} would stand twice'):
    record.append(step, rows(step))
  record.close()
  assert len(lanes_and_steps(path)) == 4


def test_without_space_a_step_is_written_whole_or_not_at_all(tmp_path):
  path = tmp_path / 'metrics.jsonl'
  record = journal.open_journal(path, 0)
  record.append(1, rows(1))
  whole = path.read_bytes()
  soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
  resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) + 50, hard))  # half of a step
  try:
    with pytest.raises(errors.StorageError, match=r'metrics\.jsonl'):
      record.append(2, rows(2))
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
  assert path.read_bytes() == whole
  record.append(2, rows(2))
  record.close()
  assert records.read_metrics(path) == rows(1) + rows(2)
