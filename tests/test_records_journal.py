"""metrics.jsonl: what is written is read back, whatever kills the writer."""

import collections
import json
import os
import re
import resource
import tracemalloc

import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax import errors, records
from vae_jax.records import journal, lines, scalars

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
  assert records.newest_rows(path) == rows(30)
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


def test_what_is_killed_leaves_the_old_file_or_the_new_one(tmp_path, monkeypatch):
  path = tmp_path / 'metrics.jsonl'
  write_steps(path, [10, 20])
  whole = path.read_bytes()
  bare = b''.join(json.dumps(row).encode() + b'\n' for row in records.read_metrics(path))

  def killed(*_):
    raise KeyboardInterrupt

  monkeypatch.setattr(os, 'fsync', killed)
  with pytest.raises(KeyboardInterrupt):
    journal.open_journal(path, restored_step=10)
  assert path.read_bytes() == whole[: len(whole) // 2]  # the size of a file changes at one moment
  path.write_bytes(bare)
  with pytest.raises(KeyboardInterrupt):
    journal.open_journal(path, restored_step=10)
  assert path.read_bytes() == bare


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
  for act in (
    records.read_metrics,
    records.last_step,
    lambda p: records.read_columns(p, ['test/elbo']),
    lambda p: journal.open_journal(p, 0),
  ):
    with pytest.raises(errors.DamagedError, match=r'metrics\.jsonl, line 2: '):
      act(path)
  assert records.damage(path, [10, 20], [None] * 2) == ([2], [(10, 1)])
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


@pytest.mark.parametrize('block_bytes', [1, 7, 50, 2**16])
def test_lines_from_the_end_are_those_of_the_whole(tmp_path, monkeypatch, block_bytes):
  monkeypatch.setattr(lines, '_BLOCK_BYTES', block_bytes)
  path = tmp_path / 'metrics.jsonl'
  for content in (
    b'',
    b'torn',
    b'\n',
    b'one\n',
    b'one\n\ntwo' * 9,
    b'a' * 60 + b'\nb\n' + b'c' * 70,
  ):
    path.write_bytes(content)
    whole = content.split(b'\n')[:-1]
    ends = np.cumsum([len(line) + 1 for line in whole]).tolist()
    assert list(lines.from_the_end(path))[::-1] == list(zip(ends, whole, strict=True))


@pytest.mark.parametrize('block_bytes', [7, 2**16])
def test_a_journal_torn_anywhere_is_cut_to_the_rows_that_stay(tmp_path, monkeypatch, block_bytes):
  """Beside the rows of the whole file, parsed one by one."""
  monkeypatch.setattr(lines, '_BLOCK_BYTES', block_bytes)
  path = tmp_path / 'metrics.jsonl'
  write_steps(path, [10, 20, 30])
  content = path.read_bytes()
  for restored_step in (0, 10, 25, 30):
    for end in range(0, len(content) + 1, 11):
      path.write_bytes(content[:end])
      whole = [line for line in content[:end].splitlines(True) if line.endswith(b'\n')]
      kept = [line for line in whole if json.loads(line)['step'] <= restored_step]
      record = journal.open_journal(path, restored_step)
      record.close()
      assert path.read_bytes() == b''.join(kept)
      assert record.last_step == (json.loads(kept[-1])['step'] if kept else -1)


def test_a_restart_parses_the_end_and_holds_no_row(tmp_path, monkeypatch):
  path = tmp_path / 'metrics.jsonl'
  more = {f'test/{name}': 0.125 for name in range(40)}
  with open(path, 'wb') as file:
    for step in range(1, 301):
      file.write(b''.join(records.encode(row | more) for row in rows(step, lanes=10)))
  tracemalloc.start()
  found = records.damage(path, range(1, 301), [None] * 10)
  _, peak = tracemalloc.get_traced_memory()
  tracemalloc.stop()
  assert found == ([], [])
  assert peak < path.stat().st_size / 4
  parsed, parse = [], lines.point_of
  monkeypatch.setattr(lines, 'point_of', lambda *line, **of: parsed.append(0) or parse(*line, **of))
  journal.open_journal(path, restored_step=290).close()
  assert len(parsed) == 10 * 10 + 2
  assert records.newest_rows(path)[0]['step'] == 290


def test_columns_are_those_of_the_rows(tmp_path):
  """With checks and without; names that end alike, null, numbers of all lengths, a torn end."""
  path = tmp_path / 'metrics.jsonl'
  written = [
    {'lane': 0, 'step': 5, 'a/elbo': None, 'elbo': -1.25e-30, 'b': 7},
    {'lane': 1, 'step': 5, 'x": 1, "elbo': 3.0, 'elbo': 0.1, 'b': 1e300},
    {'lane': 0, 'step': 9, 'elbo': float('nan'), 'a/elbo': -0.5},
  ]
  expected = [
    {'lane': 0, 'step': 5, 'elbo': -1.25e-30, 'b': 7.0},
    {'lane': 1, 'step': 5, 'elbo': 0.1, 'b': 1e300},
    {'lane': 0, 'step': 9, 'a/elbo': -0.5},
  ]
  bare = [re.sub(rb', "crc32": "\w+"', b'', records.encode(row)) for row in written]
  for encoded in ([records.encode(row) for row in written], bare):
    path.write_bytes(b''.join(encoded) + b'{"lane": 1, "st')
    found = records.read_columns(path, ['elbo', 'a/elbo', 'b'])
    assert list(found) == list(found) == expected and len(found) == 3
    assert records.last_step(path) == 9
  path.write_bytes(b'')
  assert records.last_step(path) is None and not records.read_columns(path, ['elbo'])


def test_columns_of_many_rows_take_a_few_bytes_a_number(tmp_path):
  path, more = tmp_path / 'metrics.jsonl', {f'test/{name}': 0.125 for name in range(12)}
  with open(path, 'wb') as file:
    for step in range(1, 301):
      file.write(b''.join(records.encode(row | more) for row in rows(step, lanes=10)))
  tracemalloc.start()
  found = records.read_columns(path, ['test/elbo', 'test/0'])
  _, peak = tracemalloc.get_traced_memory()
  tracemalloc.stop()
  assert peak < 2**17 + 60 * len(found)  # and no row of them


def test_damage_is_what_an_account_of_every_row_finds(tmp_path):
  """Rows that are lost, that stand twice, are of no log point or lane, or have a bit flipped."""
  path = tmp_path / 'metrics.jsonl'
  chance = np.random.default_rng(0)
  steps, stopped_at = [3, 5, 8, 13], [None, 5, None, 13]
  ends = [13, 5, 13, 13]
  due = [(step, lane) for step in steps for lane in range(4) if step <= ends[lane]]
  for _ in range(30):
    written = [point for point in due if chance.random() > 0.1] + [(21, 0), (21, 9)]
    for point in ((5, 0), (4, 1), (8, 4), (8, 1), (8, -1)):
      if chance.random() < 0.3:
        written.insert(chance.integers(len(written)), point)
    encoded = [bytearray(records.encode({'lane': g, 'step': s, 'x': 0.5})) for s, g in written]
    wrong, seen = [], set()
    for number, point in enumerate(written, start=1):
      if chance.random() < 0.1 and number < len(written):
        encoded[number - 1][chance.integers(len(encoded[number - 1]) - 1)] ^= 1
        wrong.append(number)
      elif point[0] <= 13 and (point not in due or point in seen):
        wrong.append(number)
      else:
        seen.add(point)
    path.write_bytes(b''.join(encoded))
    missing = [point for point in due if point not in seen]
    assert records.damage(path, steps, stopped_at) == (wrong, missing)
