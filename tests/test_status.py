"""`vae-jax status`: where a run stands by its files, whoever writes them meanwhile."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest
from conftest import ROOT, small_config

from vae_jax import errors, files, lane_fields, lanes, records, standing
from vae_jax.commands import command, status
from vae_jax.records import journal, lines, schemas
from vae_jax.runs import training

pytestmark = pytest.mark.process

NOW = 1e9  # seconds since the epoch
SEVEN = {'combine': 'list', 'points': [[1.0, 2, seed] for seed in range(7)]}


def write(path, *, lane_section=SEVEN, rows=(), metrics=(), seconds=None, finished=False):
  """Makes a run by hand.

  Args:
    path: the workdir.
    lane_section: of its config.
    rows: of results.csv, a status and a validation ELBO for each lane.
    metrics: step -> the ELBO of each lane in a batch.
    seconds: NOW less the times at which its lock, its journal and its results were written.
    finished: whether nothing is left to do.
  """
  path.mkdir(parents=True)
  config = {'lanes': lane_section, 'train': {'steps': 100}}
  (path / 'config.json').write_text(json.dumps(config))
  (path / 'provenance.json').write_text(json.dumps({'finished': finished}))
  record = journal.open_journal(path / 'metrics.jsonl', 0)
  for step, elbos in dict(metrics).items():
    values = {'batch/elbo': np.array(elbos, np.float32)}
    record.append(step, journal.rows_of(step, values, range(len(elbos))))
  record.close()
  results = [
    lanes.point(seed=i) | {
      'lane': i, 'name': f'b1-z2-s{i}', 'status': status, 'step': 50, 'validation/elbo': elbo,
      'seconds': 10.0, 'steps_per_second': 20.0,
    }
    for i, (status, elbo) in enumerate(rows)
  ]  # fmt: skip
  if results:
    records.write_results(path / 'results.csv', results, lane_fields.NAMES)
  for name, age in (seconds or {}).items():
    os.utime(path / name, (NOW - age, NOW - age))
  return path


def seen(path):
  return standing.status_of(path, NOW)


def held(path, **ages):
  """Holds a run, in this process, as if for so many seconds."""
  stack = contextlib.ExitStack()
  stack.enter_context(files.directory_lock(path))
  for name, age in ages.items():
    os.utime(path / f'.{name}', (NOW - age, NOW - age))
  return stack


def test_a_run_that_goes_on_is_running_with_the_time_that_is_left(tmp_path):
  """50 steps in 10 s were evaluated 4 s ago; so the 40 from step 60 take 8 s."""
  rows = [('running', -3.0), ('running', -1.0), ('stopped', -2.0), ('diverged', 9.0)]
  run = write(
    tmp_path / 'run', lane_section=SEVEN | {'points': SEVEN['points'][:4]},
    metrics={50: [-9.0] * 4, 60: [-8.0] * 4}, rows=rows,
    seconds={'results.csv': 4, 'metrics.jsonl': 1},
  )  # fmt: skip
  with held(run, lock=100):
    found = seen(run)
  assert found.state == 'running'
  assert (found.step, found.steps) == (60, 100)
  assert found.lanes == {
    'done': 0, 'running': 2, 'stopped': 1, 'diverged': 1, 'failed': 0, 'waiting': 0
  }  # fmt: skip
  assert found.elbo == standing.Elbo('validation', -1.0, -2.0, 'b1-z2-s1', 1)
  assert found.seconds == pytest.approx(10 + 4)
  assert found.seconds_left == pytest.approx(40 * 10 / 50)
  assert found.row_age == pytest.approx(1.0)
  assert found.steps_per_second == 20.0
  assert found.holder.process == os.getpid()


def test_a_new_attempt_does_not_count_the_pause_before_it(tmp_path):
  run = write(tmp_path / 'run', rows=[('running', -1.0)], seconds={'results.csv': 5000})
  with held(run, lock=3):
    assert seen(run).seconds == pytest.approx(10 + 3)


def test_before_the_first_evaluation_the_batches_stand_in_and_the_journal_gives_the_pace(tmp_path):
  run = write(
    tmp_path / 'run',
    metrics={10: [-8.0] * 7, 20: [-7.0, *[-5.0] * 6]},
    seconds={'metrics.jsonl': 2},
  )
  with held(run, lock=12):
    found = seen(run)
  assert found.elbo == standing.Elbo('batch', -5.0, -5.0, 'lane 6', 0)
  assert found.lanes['running'] == found.num_lanes == 7
  assert found.seconds == pytest.approx(12)
  assert found.seconds_left == pytest.approx(80 * 10 / 20)
  (run / 'checkpoints' / '0').mkdir(parents=True)
  os.utime(run / 'checkpoints' / '0', (NOW - 4, NOW - 4))  # the compiler took 8 s of the 10
  with held(run, lock=12):
    assert seen(run).seconds_left == pytest.approx(80 * 2 / 20)
  (run / 'checkpoints' / '10').mkdir()
  with held(run, lock=3):  # a second attempt, from step 10 on
    os.utime(run / 'checkpoints' / '10', (NOW - 100, NOW - 100))
    assert seen(run).seconds_left == pytest.approx(80 * 1 / 10)


@pytest.mark.parametrize(
  ('parts', 'state'),
  [
    ({}, 'not begun'),
    ({'metrics': {10: [-1.0] * 7}}, 'interrupted'),
    ({'rows': [('done', -1.0)] * 7, 'finished': True}, 'done'),
    ({'rows': [('diverged', None)] * 7, 'finished': True}, 'done'),
    ({'rows': [('running', -1.0)] * 5, 'metrics': {10: [-1.0] * 7}}, 'interrupted'),
  ],
)
def test_without_a_holder_a_run_is_done_or_interrupted_or_not_begun(tmp_path, parts, state):
  run = write(tmp_path / 'run', **parts)
  found = seen(run)
  assert found.state == state
  assert sum(found.lanes.values()) == 7
  assert found.seconds_left is None and found.holder is None
  # Who held it and let go, here or in a process that is no more, holds it no longer.
  with held(run):
    assert seen(run).state == 'running'
  assert seen(run).state == state


def test_a_killed_process_holds_nothing_and_another_host_is_not_judged(tmp_path):
  run = write(tmp_path / 'run', metrics={10: [-1.0] * 7})
  code = (
    'from vae_jax import files\n'
    f'with files.directory_lock({str(run)!r}):\n'
    '  print(flush=True)\n'
    '  input()\n'
  )
  process = subprocess.Popen(
    [sys.executable, '-c', code], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
  )
  process.stdout.readline()
  assert seen(run).holder.process == process.pid
  process.kill()
  process.communicate()
  assert seen(run).state == 'interrupted'
  (run / '.lock').write_text(f'{os.getpid()} on elsewhere')
  found = seen(run)
  assert (found.state, found.holder.host) == ('unknown', 'elsewhere')
  assert 'held, if it still is, by process' in '\n'.join(standing.lines_of([found]))


def test_lanes_that_a_run_takes_in_are_a_row_of_their_own(tmp_path):
  run = write(tmp_path / 'run', rows=[('done', -1.0)] * 7, finished=True)
  (run / 'checkpoints' / '100').mkdir(parents=True)
  nine = {'combine': 'list', 'points': [[1.0, 2, seed] for seed in range(9)]}
  write(run / 'extension', lane_section=nine)
  found = seen(run)
  assert (found.state, found.extension.state) == ('interrupted', 'interrupted')
  assert (found.extension.step, found.extension.steps) == (0, 100)
  assert (found.num_lanes, found.extension.lanes['waiting']) == (7, 2)
  shutil.rmtree(run / 'extension')
  write(
    run / 'extension', lane_section=nine, metrics={20: [-1.0] * 2}, rows=[('running', -4.0)] * 2
  )
  with held(run):
    found = seen(run)
  assert (found.state, found.extension.state) == ('running', 'running')
  assert (found.extension.lanes['running'], found.extension.num_lanes) == (2, 2)
  assert found.extension.step == 50


def test_the_shares_of_several_processes_stand_together_until_they_are_gathered(tmp_path):
  four = {'combine': 'list', 'points': [[1.0, 2, seed] for seed in range(4)]}
  three = four | {'points': four['points'][:3]}
  write(
    tmp_path / 'run/process-0', lane_section=four, metrics={90: [-1.0] * 4}, finished=True,
    rows=[('done', -1.0), ('done', -2.0), ('done', -3.0), ('diverged', 7.0)],
  )  # fmt: skip
  write(
    tmp_path / 'run/process-1', lane_section=three, metrics={60: [-1.0] * 3},
    rows=[('running', -0.5)] * 3,
  )  # fmt: skip
  with held(tmp_path / 'run/process-1'):
    found = seen(tmp_path / 'run')
  assert [share.state for share in found.shares] == ['done', 'running']
  assert (found.state, found.step, found.num_lanes) == ('running', 60, 7)
  assert found.elbo == standing.Elbo('validation', -0.5, -0.75, 'b1-z2-s2', 1)
  assert len(standing.lines_of([found])) >= 4
  (tmp_path / 'run/process-1/provenance.json').write_text('{"finished": true}')
  assert seen(tmp_path / 'run').state == 'interrupted'  # process 0 has not gathered
  shutil.copytree(tmp_path / 'run/process-0', tmp_path / 'whole')
  for name in ('config.json', 'provenance.json', 'results.csv', 'metrics.jsonl'):
    shutil.copy(tmp_path / 'whole' / name, tmp_path / 'run' / name)
  found = seen(tmp_path / 'run')
  assert found.state == 'done'
  assert len(found.shares) == 2


def test_what_is_torn_or_damaged_or_gone_is_no_crash(tmp_path):
  run = write(tmp_path / 'run', metrics={10: [-1.0] * 7, 20: [-2.0] * 7}, rows=[('running', -1.0)])
  whole = (run / 'metrics.jsonl').read_bytes()
  (run / 'metrics.jsonl').write_bytes(whole[:-5])
  assert seen(run).step == 50
  (run / 'results.csv').write_text('lane,name\n0')
  found = seen(run)
  assert (found.step, found.state) == (20, 'interrupted')
  assert 'does not begin with the columns' in found.notes[0]
  (run / 'config.json').write_text('{"lanes"')
  found = seen(run)
  assert found.steps is None
  assert f'{run}: ' in '\n'.join(standing.lines_of([found]))
  for name in ('provenance.json', 'results.csv', 'config.json'):
    (run / name).unlink()
    seen(run)
  (run / 'metrics.jsonl').unlink()
  with pytest.raises(errors.InputError):
    seen(run)


def test_a_path_that_is_no_run_is_refused_with_the_nearest_one(tmp_path, capsys):
  write(tmp_path / 'digits')
  write(tmp_path / 'faces')
  for wrong, right in (('digit', 'digits'), ('fces', 'faces')):
    line = [f'--workdir={tmp_path}/{wrong}', f'--workdir={tmp_path}/digits']
    assert command.exit_code_of(status.make(), line) == 2
    out, err = capsys.readouterr()
    assert out == ''
    assert err == (
      f'--workdir={tmp_path}/{wrong} holds no run; did you mean --workdir={tmp_path}/{right}?\n'
    )
  assert command.exit_code_of(status.make(), [f'--workdir={tmp_path}/no/such']) == 2
  assert capsys.readouterr().err.endswith(f'there is none in {tmp_path}/no\n')


@pytest.fixture(scope='module')
def trained(traced_once, tmp_path_factory):
  """A run that was stopped at a log point, and the same when it is done."""
  from conftest import without_estimates, without_pictures

  root, config = tmp_path_factory.mktemp('trained'), small_config()
  with pytest.MonkeyPatch.context() as patch:
    without_pictures(patch)
    without_estimates(patch)
    asked = iter([0, 0, 15])
    with pytest.raises(errors.Stopped):
      training.run(config, root / 'stopped', lambda: next(asked, 15))
    shutil.copytree(root / 'stopped', root / 'done')
    training.run(config, root / 'done')
  return root


def test_a_genuine_run_is_interrupted_and_done_and_nothing_is_written(trained, capsys):
  def files_of(root):
    return {
      path: (path.stat().st_mtime_ns, path.is_file() and path.read_bytes())
      for path in [root, *root.rglob('*')]
    }

  before = files_of(trained)
  for path in [trained, *trained.rglob('*')]:
    if path.is_dir():
      path.chmod(0o500)
  try:
    line = [f'--workdir={trained}/stopped', f'--workdir={trained}/done']
    assert command.exit_code_of(status.make(), [*line, '--json']) == 0
    stopped, done = json.loads(capsys.readouterr().out)['runs']
    assert command.exit_code_of(status.make(), line) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1 + 2
  finally:
    for path in [trained, *trained.rglob('*')]:
      if path.is_dir():
        path.chmod(0o700)
  assert files_of(trained) == before
  assert (stopped['state'], stopped['steps']) == ('interrupted', 65)
  assert 0 < stopped['step'] == stopped['checkpoint'] < 65
  assert (done['state'], done['step'], done['checkpoint']) == ('done', 65, 65)
  assert done['lanes'] == {'total': 4, 'done': 4} | dict.fromkeys(
    ('running', 'stopped', 'diverged', 'failed', 'waiting'), 0
  )
  rows = records.read_results(trained / 'done' / 'results.csv')
  assert done['elbo']['best'] == max(row['test/elbo'] for row in rows)
  assert done['seconds'] == rows[0]['seconds']
  assert set(done) == set(schemas.names(schemas.STATUS))


def test_while_a_run_is_written_every_look_is_whole(tmp_path):
  """Rows, tables and checkpoints come and go as fast as another process can make them."""
  run = write(tmp_path / 'run', rows=[('running', -1.0)] * 7)
  code = f"""
import pathlib, sys
sys.path.insert(0, 'tests')
import numpy as np
from vae_jax import files, lane_fields, records
from vae_jax.records import journal
run = pathlib.Path({str(run)!r})
with files.directory_lock(run):
  rows = records.read_results(run / 'results.csv')
  record = journal.open_journal(run / 'metrics.jsonl', 0)
  print(flush=True)
  for step in range(1, 1000):
    record.append(step, journal.rows_of(step, {{'batch/elbo': np.zeros(7)}}, range(7)))
    records.write_results(run / 'results.csv', rows, lane_fields.NAMES)
    (run / 'checkpoints' / str(step)).mkdir(parents=True)
    if step > 2:
      (run / 'checkpoints' / str(step - 2)).rmdir()
"""
  process = subprocess.Popen([sys.executable, '-c', code], cwd=ROOT, stdout=subprocess.PIPE)
  process.stdout.readline()
  steps, end = [], time.monotonic() + 60
  while len(set(steps)) < 20 and time.monotonic() < end:
    found = seen(run)
    assert not found.notes
    assert sum(found.lanes.values()) == 7
    steps.append(found.step)
  process.kill()
  process.communicate()
  assert steps == sorted(steps)
  assert len(set(steps)) == 20


def test_a_long_journal_is_read_from_its_end(tmp_path, monkeypatch):
  run = write(tmp_path / 'run', metrics={10: [-1.0] * 7})
  line = records.encode({'lane': 0, 'step': 20, 'batch/elbo': -1.0})
  with open(run / 'metrics.jsonl', 'ab') as file:
    file.write(line * 100_000)
    for lane in range(7):
      file.write(records.encode({'lane': lane, 'step': 30, 'batch/elbo': -2.0}))
  parsed, parse = [], lines.row_of
  monkeypatch.setattr(lines, 'row_of', lambda *line: parsed.append(line) or parse(*line))
  found = seen(run)
  assert (found.step, found.elbo.median) == (30, -2.0)
  assert len(parsed) < 50 < 100_000


def test_a_step_longer_than_a_block_is_whole(tmp_path, monkeypatch):
  monkeypatch.setattr('vae_jax.records.lines._BLOCK_BYTES', 64)
  run = write(tmp_path / 'run', metrics={10: [-1.0] * 7, 20: [-2.0] * 7})
  assert [row['lane'] for row in records.newest_rows(run / 'metrics.jsonl')] == list(range(7))
  assert {row['step'] for row in records.newest_rows(run / 'metrics.jsonl')} == {20}


@pytest.mark.parametrize('combine', ['product', 'zip', 'list'])
def test_lanes_are_counted_as_the_grid_makes_them(combine):
  axes = {name: (default,) for name, default in lane_fields.DEFAULTS.items()}
  axes |= {'beta': (1.0, 2.0, 3.0), 'seed': (0, 1, 2)}
  points = ((1.0, 2, 0), (2.0, 2, 0))
  if combine == 'list':
    axes |= {'beta': (1.0,), 'seed': (0,)}
  expected = len(lanes.from_axes(combine, axes, points))
  assert lane_fields.count_of({**axes, 'combine': combine, 'points': points}) == expected


def test_it_starts_without_jax(tmp_path):
  run = write(tmp_path / 'run')
  code = (
    'import sys\n'
    'from vae_jax.commands import command, status\n'
    f"assert command.exit_code_of(status.make(), ['--workdir={run}']) == 0\n"
    "print('jax' in sys.modules)\n"
  )
  found = subprocess.run(
    [sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True, check=True
  )
  assert found.stdout.splitlines()[-1] == 'False'
