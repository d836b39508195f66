"""W&B, through its real client: offline files read by its own parser, online on the loopback.

Nothing here leaves the machine, and nothing is written to the user's home.
"""

import collections
import contextlib
import io
import json
import os
import resource
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
import time

import click.testing
import jax.numpy as jnp
import numpy as np
import psutil
import pytest
import wandb_server
from PIL import Image

from vae_jax import records, tracking
from vae_jax.tracking import descriptors, fragments, options, wandb_runs
from vae_jax.tracking import tracker as tracker_module

pytestmark = pytest.mark.process

NAMES = ('b1-z2-s0', 'b4-z2-s0', 'b4-z10-s1')
FIELDS = (
  {'beta': np.float32(0.1), 'latent_size': 2, 'seed': 0},
  {'beta': 4.0, 'latent_size': 2, 'seed': 0},
  {'beta': 4.0, 'latent_size': 10, 'seed': 1},
)
CONFIG = {
  'study': 'digits-study',
  'data': {'name': 'digits'},
  'likelihood': {'name': 'bernoulli'},
  'lanes': {'beta': (0.1, 4.0)},
  'wandb': {'mode': 'online'},
}
HASH = '0123abcd'
PROVENANCE = {
  'study_id': HASH,
  'data_sha256': 'abc',
  'git': {'commit': 'def'},
  'device': {'kind': 'cpu'},
}
ABOUT = {
  'study': 'digits-study',
  'data': 'digits',
  'data_sha256': 'abc',
  'commit': 'def',
  'device': 'cpu',
}
TAGS = ['test', 'digits', 'bernoulli']
NOTHING = tracking.Results({}, (), None)
KEY = '0' * 40


@pytest.fixture(autouse=True)
def isolated(tmp_path, monkeypatch):
  """Gives wandb a home of its own, and ends whatever a failed test has left open."""
  for name in os.environ:
    if name.startswith('WANDB_') or name == 'NETRC':
      monkeypatch.delenv(name)
  for name in ('HOME', 'WANDB_DIR', 'WANDB_DATA_DIR', 'WANDB_CACHE_DIR', 'WANDB_CONFIG_DIR'):
    directory = tmp_path / 'home' / name
    directory.mkdir(parents=True)
    monkeypatch.setenv(name, str(directory))
  monkeypatch.setenv('WANDB_ERROR_REPORTING', 'false')
  monkeypatch.setenv('WANDB_X_SAVE_REQUIREMENTS', 'false')  # as in conftest
  yield
  if 'wandb' in sys.modules:
    with contextlib.suppress(Exception):
      sys.modules['wandb'].teardown()


@pytest.fixture
def workdir(tmp_path):
  directory = tmp_path / 'run'
  directory.mkdir()
  return directory


@pytest.fixture
def server(monkeypatch):
  with wandb_server.serve() as server:
    monkeypatch.setenv('WANDB_BASE_URL', server.url)
    monkeypatch.setenv('WANDB_API_KEY', KEY)
    yield server


def open_tracker(workdir, mode, restored_step=0, lanes=3, provenance=PROVENANCE, own='all'):
  settings = tracking.Settings(mode, '', 'vae', ('test',), 0, own)
  return tracking.open_tracker(
    workdir, NAMES[:lanes], FIELDS[:lanes], CONFIG, provenance, settings, restored_step
  )


def settle(tracker):
  """Waits until everything that was handed in so far has come back from W&B."""
  done = threading.Event()
  tracker._submit(done.set)
  assert done.wait(30)


def metrics(step, lanes=3):
  return {
    'batch/elbo': jnp.arange(lanes) - step,
    'train/elbo': jnp.ones(lanes),
    'test/rate': jnp.full(lanes, jnp.nan),
  }


def pictures(lanes=3):
  return {'samples': [np.full((4, 6), 40 * lane, np.uint8) for lane in range(lanes)]}


def result_rows():
  status = ('done', 'diverged', 'done')
  return [
    {
      'lane': i,
      'name': NAMES[i],
      'status': status[i],
      'step': 20,
      'best_step': 10,
      **FIELDS[i],
      'collapsed_at': (None, 20, None)[i],
      'test/nll': 80.5 + i,
    }
    for i in range(3)
  ]


def wandb_records(path):
  """Returns the records of a W&B run directory, by kind, as W&B's own parser reads them."""
  (file,) = path.glob('*.wandb')
  output, _ = inspected(file)
  by_kind = collections.defaultdict(list)
  for line in output:
    record = json.loads(line)
    by_kind[record['type']].append(record.get(record['type']))
  return by_kind


def inspected(file):
  """Returns the lines of stdout and stderr of W&B's parser, which `wandb leet inspect` starts."""
  from wandb.util import get_core_path  # half a second, which other workers need not wait

  command = [get_core_path(), 'leet', 'inspect', '--no-observability', '--json', '--run-file']
  found = subprocess.run([*command, str(file)], capture_output=True, timeout=60, check=True)
  return found.stdout.splitlines(), found.stderr


def sync(workdir):
  from wandb.cli import cli

  found = click.testing.CliRunner().invoke(cli.cli, ['sync', str(workdir / 'wandb')])
  assert found.exit_code == 0, found.output


def wandb_processes():
  """Returns the children of this process that are wandb's."""
  found = []
  for child in psutil.Process().children():
    with contextlib.suppress(psutil.NoSuchProcess):  # it has just ended
      if any('wandb-core' in word for word in child.cmdline()):
        found.append(child.pid)
  return found


def steps(rows):
  return [row['step'] for row in rows if 'step' in row]


def warnings(caplog):
  return [record.getMessage() for record in caplog.records if record.levelname == 'WARNING']


def test_offline_runs_hold_config_rows_and_summary(workdir, capfd, caplog):
  tracker = open_tracker(workdir, 'offline')
  tracker.write(10, metrics(10))
  print('a line of the training')
  tracker.write(20, metrics(20))
  tracker.summarise(20, result_rows(), {}, NOTHING)
  tracker.close(exit_code=3)
  tracker.close(exit_code=1)  # has no effect
  assert stat.S_IMODE((workdir / 'wandb').stat().st_mode) == 0o700
  assert (capfd.readouterr(), warnings(caplog)) == (('a line of the training\n', ''), [])
  assert wandb_processes() == []

  for lane, exit_code in enumerate((0, 3, 0)):  # the second diverged
    (path,) = (workdir / 'wandb').glob(f'offline-run-*-{NAMES[lane]}-{HASH}')
    found = wandb_records(path)
    assert not [kind for kind in found if kind.startswith('output')]  # stdout is not W&B's
    run = found['run'][0]
    assert run['run_id'] == run['display_name'] == f'{NAMES[lane]}-{HASH}'
    about = (run['project'], run['run_group'], run['job_type'])
    assert about == ('vae', f'digits-study-{HASH}', 'lane')
    assert run['tags'] == TAGS
    fields = {'beta': (0.1, 4, 4)[lane], 'latent_size': (2, 2, 10)[lane], 'seed': lane // 2}
    rest = {name: CONFIG[name] for name in ('study', 'data', 'likelihood')}
    config = {k: v for k, v in run['config']['update'].items() if k != '_wandb'}
    assert config == fields | ABOUT | {'config': rest}
    rows = [record['item'] for record in found['history']]
    elbos = [(row['step'], row['batch/elbo']) for row in rows]
    assert elbos == [(10, lane - 10), (20, lane - 20)]
    assert rows[0]['test/rate'] == 'NaN' and rows[0]['train_eval/elbo'] == 1
    assert rows[1]['test/nll'] == 80.5 + lane
    hidden, over = found['metric']
    assert hidden['name'] == 'step' and hidden['options']['hidden']
    assert {'glob_name': '*', 'step_metric': 'step'}.items() <= over.items()
    summary = collections.ChainMap(*(r.get('update', {}) for r in reversed(found['summary'])))
    assert summary['final/test/nll'] == 80.5 + lane
    flags = summary['collapsed'], summary['diverged']
    assert (summary['best/step'], *flags) == (10, lane == 1, lane == 1)
    assert not {'beta', 'final/beta', 'final/lane'} & summary.keys()  # that is config
    assert found['exit'][0]['exit_code'] == exit_code


def test_kill_and_restart_log_every_step_once(workdir, server):
  code = f"""
import sys, time
sys.path[:0] = [{os.path.dirname(__file__)!r}, {os.getcwd()!r}]
import test_tracking_wandb as t
tracker = t.open_tracker({str(workdir)!r}, 'offline')
for step in (10, 20, 30, 40):
  tracker.write(step, t.metrics(step))
t.settle(tracker)
print('written', flush=True)
time.sleep(60)
"""
  with subprocess.Popen([sys.executable, '-c', code], stdout=subprocess.PIPE) as process:
    assert process.stdout.readline() == b'written\n'
    time.sleep(1.5)  # W&B writes its rows to the disk once a second
    process.kill()

  tracker = open_tracker(workdir, 'offline', restored_step=20)  # sees 40 in metrics.jsonl
  tracker.write(30, metrics(30))
  tracker.close(exit_code=1)
  tracker = open_tracker(workdir, 'offline', restored_step=20)  # sees only 30
  for step in (30, 40, 50):
    tracker.write(step, metrics(step))
  tracker.close(exit_code=0)

  rows = records.read_metrics(workdir / 'metrics.jsonl')
  counts = collections.Counter((row['lane'], row['step']) for row in rows)
  assert counts == {(lane, step): 1 for lane in range(3) for step in (10, 20, 30, 40, 50)}
  sync(workdir)
  assert set(server.runs) == {f'{name}-{HASH}' for name in (*NAMES, 'study')}
  for run in server.lanes.values():
    assert steps(run.rows) == [10, 20, 30, 40, 50]


def test_online_runs_arrive_at_the_server(workdir, server, capfd, caplog):
  tracker = open_tracker(workdir, 'online')
  tracker.write(10, metrics(10))
  tracker.show(10, (2, 0), ([0.5, 0.5, 3.0], []), pictures(lanes=2))
  tracker.write(20, metrics(20))
  tracker.summarise(20, result_rows(), pictures(), NOTHING)
  tracker.close(exit_code=3)
  assert (capfd.readouterr(), warnings(caplog)) == (('', ''), [])

  for lane, name in enumerate(NAMES):
    run = server.runs[f'{name}-{HASH}']
    about = {
      'displayName': f'{name}-{HASH}',
      'groupName': f'digits-study-{HASH}',
      'jobType': 'lane',
      'tags': TAGS,
    }
    assert about.items() <= run.about.items()
    assert run.config['config']['data'] == CONFIG['data']
    assert run.config['latent_size'] == FIELDS[lane]['latent_size']
    assert [(row['step'], row['batch/elbo']) for row in run.rows] == [
      (10, lane - 10),
      (20, lane - 20),
    ]
    assert run.rows[1]['test/nll'] == run.summary['final/test/nll'] == 80.5 + lane
    assert run.rows[1]['media/samples']['_type'] == 'image-file'  # in the row of its step
    assert ('media/samples' in run.rows[0]) == (lane != 1)
    assert [sum(row['latents/rate']['values']) for row in run.rows if 'latents/rate' in row] == (
      [3] if lane == 2 else []
    )
    *_, picture = [run.files[path] for path in sorted(run.files) if 'media/samples_20' in path]
    pixels = np.asarray(Image.open(io.BytesIO(picture)))
    assert pixels.shape == (256, 384)
    np.testing.assert_array_equal(pixels[::64, ::64], pictures()['samples'][lane])
    assert run.exit_code == (0, 3, 0)[lane]


def test_a_run_of_its_own_sums_the_study_up(workdir, server):
  plot = workdir / 'plot.png'
  Image.fromarray(np.zeros((3, 5), np.uint8)).save(plot)
  tracker = open_tracker(workdir, 'online')
  report = workdir / 'report.html'
  report.write_text('<p>the answer</p>')
  verdict = {
    'sentences': ['One.', 'Two.'],
    'best': 'b4-z2',
    'points': [
      {'name': 'b1-z2', 'fields': {'beta': 1, 'latent_size': 2}, 'mean': 90},
      {'name': 'b4-z2', 'fields': {'beta': 4, 'latent_size': 2}, 'mean': 81.5},
    ],
  }
  tracker.summarise(20, result_rows(), {}, tracking.Results(verdict, [plot], report))
  tracker.close(exit_code=3)
  run = server.runs[f'study-{HASH}']
  assert (run.about['groupName'], run.about['jobType']) == (f'digits-study-{HASH}', 'study')
  assert run.exit_code == 0
  lanes = json.loads(json.dumps(CONFIG))['lanes']
  assert ABOUT.items() <= run.config.items() and run.config['config']['lanes'] == lanes
  expected = {
    'verdict': 'One.\nTwo.',
    'best/name': 'b4-z2',
    'best/beta': 4,
    'best/latent_size': 2,
    'best/nll': 81.5,
    'lanes': 3,
    'lanes_done': 3,
  }
  assert expected.items() <= run.summary.items()
  (page,) = [c for path, c in run.files.items() if 'study/report' in path]
  assert page == report.read_bytes()
  (table,) = [json.loads(c) for path, c in run.files.items() if path.endswith('.table.json')]
  assert table['columns'] == list(result_rows()[0])
  nll = table['columns'].index('test/nll')
  rows = [(row[1], row[nll]) for row in table['data']]
  assert rows == [(NAMES[0], 80.5), (NAMES[1], 81.5), (NAMES[2], 82.5)]
  (picture,) = [c for path, c in run.files.items() if 'study/plot' in path]
  assert picture == plot.read_bytes()


def test_online_restart_resumes_the_runs(workdir, server):
  tracker = open_tracker(workdir, 'online')
  for step in (10, 20, 30):
    tracker.write(step, metrics(step))
  tracker.close(exit_code=143)
  tracker = open_tracker(workdir, 'online', restored_step=10)
  for step in (20, 30, 40):
    tracker.write(step, metrics(step))
  tracker.close(exit_code=143)
  tracker = open_tracker(workdir, 'online', restored_step=40)  # stopped before its pictures
  for _ in range(2):  # the second time they are there
    tracker.summarise(40, result_rows(), pictures(), NOTHING)
  tracker.close(exit_code=0)
  for run in server.lanes.values():
    assert (steps(run.rows), run.sessions, run.exit_code) == ([10, 20, 30, 40], 3, 0)
    assert run.summary['media/samples']['path'] in run.files
    assert run.summary['test/nll'] == run.summary['final/test/nll']


def test_what_the_server_has_lost_is_logged_again_from_the_journal(workdir, server):
  """The steps that the server holds count, not those that were written here."""
  tracker = open_tracker(workdir, 'online')
  for step in (10, 20, 30, 40):
    tracker.write(step, metrics(step))
  tracker.close(exit_code=1)
  for lane, name in enumerate(NAMES):  # a kill -9 before the last upload
    run = server.runs[f'{name}-{HASH}']
    del run.rows[1 + lane :]
    run.summary |= {'step': 40, '_step': 10}  # may be ahead of the rows
  tracker = open_tracker(workdir, 'online', restored_step=40)
  tracker.write(50, metrics(50))
  tracker.close(exit_code=0)
  for lane, name in enumerate(NAMES):
    run = server.runs[f'{name}-{HASH}']
    elbos = [(row['step'], row['batch/elbo']) for row in run.rows]
    assert elbos == [(step, lane - step) for step in (10, 20, 30, 40, 50)]


def test_what_was_tracked_nowhere_comes_to_wandb_once_it_is_switched_on(workdir, server):
  tracker = open_tracker(workdir, 'disabled')
  for step in (10, 20, 30):
    tracker.write(step, metrics(step))
  tracker.close(exit_code=143)
  tracker = open_tracker(workdir, 'offline', restored_step=20)
  tracker.write(30, metrics(30))
  tracker.close(exit_code=143)
  # Rows in an offline fragment go up by `wandb sync`: not a second time here.
  tracker = open_tracker(workdir, 'online', restored_step=30)
  tracker.write(40, metrics(40))
  tracker.close(exit_code=0)
  assert [steps(run.rows) for run in server.lanes.values()] == [[40]] * 3
  sync(workdir)
  assert [sorted(steps(run.rows)) for run in server.lanes.values()] == [[10, 20, 30, 40]] * 3


def test_a_torn_fragment_is_completed_and_an_empty_one_does_not_keep_the_others(workdir, server):
  tracker = open_tracker(workdir, 'offline', lanes=1)
  for step in (10, 20, 30):
    tracker.write(step, metrics(step, lanes=1))
  tracker.close(exit_code=1)
  (path,) = (workdir / 'wandb').glob('offline-run-*/run-b*.wandb')
  known = fragments.look(workdir / 'wandb', None)
  assert known.suffix == HASH and set(known.steps.values()) == {30, -1}
  content = path.read_bytes()
  # As a kill leaves it: without the record of step 30. One that came before W&B wrote has nothing.
  path.write_bytes(content[: content.rindex(b'batch/elbo')])
  empty = workdir / 'wandb' / f'offline-run-20200101_000000-{NAMES[0]}-{HASH}'
  empty.mkdir()
  (empty / f'run-{NAMES[0]}-{HASH}.wandb').touch()
  fragments.write(workdir / 'wandb', fragments.Fragments(HASH, {}))
  tracker = open_tracker(workdir, 'offline', restored_step=30, lanes=1)
  tracker.write(40, metrics(40, lanes=1))
  tracker.close(exit_code=0)
  assert not empty.exists()
  sync(workdir)
  (run,) = server.lanes.values()
  assert steps(run.rows) == [10, 20, 30, 40]


def test_what_was_seen_in_a_fragment_is_known_once_it_is_removed(workdir):
  """`wandb sync --clean` removes what it has uploaded."""
  directory = workdir / 'wandb'
  tracker = open_tracker(workdir, 'offline', lanes=1)
  tracker.write(10, metrics(10, lanes=1))
  tracker.close(exit_code=1)
  known = fragments.look(directory, None)
  assert [known.held(f'{NAMES[0]}-{HASH}', online) for online in (False, True)] == [10, 10]
  fragments.write(directory, fragments.Fragments(HASH, {}))  # as a kill leaves it
  assert fragments.look(directory, None) == known
  for fragment in directory.glob('offline-run-*'):
    shutil.rmtree(fragment)
  assert fragments.look(directory, None) == known


def test_a_torn_file_is_cut_where_a_record_ends(workdir):
  """W&B's own parser is the oracle: it finds the first of the records, and nothing incomplete."""
  tracker = open_tracker(workdir, 'offline', lanes=1)
  for step in range(1, 301):
    tracker.write(step, metrics(step, lanes=1))
  tracker.close(exit_code=1)
  (path,) = (workdir / 'wandb').glob('offline-run-*/run-b*.wandb')
  content = path.read_bytes()
  assert fragments._whole_bytes(content) == len(content) > 2**16

  def inspect(data):
    path.write_bytes(data)
    return inspected(path)

  whole, _ = inspect(content)
  for cut in (len(content) - 1, 2**16 + 3, 2**16 - 3, 2**15 + 100, 2**15, 2000):
    healed, complaint = inspect(content[: fragments._whole_bytes(content[:cut])])
    torn, _ = inspect(content[:cut])
    assert healed == torn == whole[: len(healed)] and b'incomplete' not in complaint


def test_a_block_whose_end_has_no_room_for_a_chunk_is_filled_up():
  """By the document of the format: a chunk is 4 bytes of checksum, 2 of length, 1 of type."""
  first = b'W&B....' + b'....' + (32768 - 14 - 3).to_bytes(2, 'little') + b'\1'
  first = first.ljust(32768 - 3, b'a')
  content = first + b'\0\0\0' + b'....\5\0\1' + b'bbbbb'
  assert fragments._whole_bytes(content) == len(content) == 32768 + 12
  assert fragments._whole_bytes(content[:-1]) == len(first)


def test_a_moved_directory_goes_on_in_the_same_runs(tmp_path, server):
  """The ids belong to the directory, and come from nothing but what lies in it."""
  here, there = tmp_path / 'here', tmp_path / 'elsewhere' / 'there'
  here.mkdir()
  there.parent.mkdir()
  tracker = open_tracker(here, 'online')
  tracker.write(10, metrics(10))
  tracker.close(exit_code=143)
  first = set(server.runs)
  here.rename(there)
  for fragment in there.glob('wandb/run-*'):
    shutil.rmtree(fragment)
  tracker = open_tracker(there, 'online', restored_step=10)
  tracker.write(20, metrics(20))
  tracker.close(exit_code=0)
  assert set(server.runs) == first
  assert [steps(run.rows) for run in server.lanes.values()] == [[10, 20]] * 3
  here.mkdir()
  other = PROVENANCE | {'study_id': '89abcdef'}
  open_tracker(here, 'online', provenance=other).close(exit_code=0)
  assert len(set(server.runs) - first) == 4  # another run, other runs of W&B


def test_a_run_of_an_earlier_version_keeps_its_ids_and_its_steps(tmp_path, server):
  """It kept no record, and its steps at W&B counted the calls."""
  workdir = tmp_path / 'run'
  workdir.mkdir()
  tracker = open_tracker(workdir, 'online')
  for step in (10, 20, 30):
    tracker.write(step, metrics(step))
  tracker.close(exit_code=143)
  (workdir / 'wandb' / fragments.RECORD).unlink()
  (workdir / 'wandb' / 'step_already_logged').write_text('30\n')
  names = set(server.runs)
  for run in server.lanes.values():
    for calls, row in enumerate(run.rows):
      row['train/step'] = run.summary['train/step'] = row['step']
      row['_step'] = run.summary['_step'] = calls
  tracker = open_tracker(workdir, 'online', restored_step=20)
  for step in (30, 40):
    tracker.write(step, metrics(step))
  tracker.close(exit_code=0)
  assert set(server.runs) == names
  assert [steps(run.rows) for run in server.lanes.values()] == [[10, 20, 30, 40]] * 3


def test_an_unreachable_server_costs_one_warning_and_nothing_else(
  workdir, monkeypatch, caplog, capfd
):
  with socket.create_server(('127.0.0.1', 0)) as listener:
    closed_port = listener.getsockname()[1]
  monkeypatch.setattr(options, '_INIT_SECONDS', 2.0)
  monkeypatch.setenv('WANDB_BASE_URL', f'http://127.0.0.1:{closed_port}')
  monkeypatch.setenv('WANDB_API_KEY', KEY)
  began = time.monotonic()
  tracker = open_tracker(workdir, 'online')
  tracker.write(10, metrics(10))
  wrote = time.monotonic() - began
  settle(tracker)
  tracker.close(exit_code=0)
  assert wrote < 1
  assert len(records.read_metrics(workdir / 'metrics.jsonl')) == 3
  (warning,) = warnings(caplog)
  assert warning.startswith('W&B cannot be used online') and '\n' not in warning
  assert capfd.readouterr() == ('', '')

  with wandb_server.serve() as server:  # what was recorded offline can be uploaded later
    monkeypatch.setenv('WANDB_BASE_URL', server.url)
    sync(workdir)
  assert {name: steps(run.rows) for name, run in server.lanes.items()} == {
    f'{name}-{HASH}': [10] for name in NAMES
  }


def test_a_server_that_fails_midway_takes_all_lanes_offline(workdir, server, monkeypatch, caplog):
  open_run = wandb_runs.WandbRuns._open

  def fail_online(runs, name, *arguments, **keywords):
    if runs._mode == 'online' and name == NAMES[1]:
      raise ConnectionError('server is busy')
    return open_run(runs, name, *arguments, **keywords)

  monkeypatch.setattr(wandb_runs.WandbRuns, '_open', fail_online)
  tracker = open_tracker(workdir, 'online')
  tracker.write(10, metrics(10))
  tracker.close(exit_code=0)
  (warning,) = warnings(caplog)
  assert warning.endswith('server is busy')
  assert 'NetStatThr' not in {thread.name for thread in threading.enumerate()}
  assert len(list((workdir / 'wandb').glob('offline-run-*'))) == 3 + 1
  sync(workdir)
  assert [steps(run.rows) for run in server.lanes.values()] == [[10], [10], [10]]


def test_no_key_costs_one_warning_and_nothing_else(workdir, server, monkeypatch, caplog, capfd):
  monkeypatch.delenv('WANDB_API_KEY')
  tracker = open_tracker(workdir, 'online')
  tracker.write(10, metrics(10))
  tracker.close(exit_code=0)
  (warning,) = warnings(caplog)
  assert 'not logged in' in warning
  assert len(records.read_metrics(workdir / 'metrics.jsonl')) == 3
  assert len(list((workdir / 'wandb').glob('offline-run-*'))) == 3 + 1
  assert server.runs == {}
  assert capfd.readouterr() == ('', '')


def test_a_server_that_goes_away_ends_the_wait_not_the_training(workdir, monkeypatch, caplog):
  monkeypatch.setattr(options, '_FINISH_SECONDS', 2.0)
  monkeypatch.setenv('WANDB_API_KEY', KEY)
  with wandb_server.serve() as server:
    monkeypatch.setenv('WANDB_BASE_URL', server.url)
    tracker = open_tracker(workdir, 'online')
    settle(tracker)
  began = time.monotonic()
  tracker.write(10, metrics(10))
  wrote = time.monotonic() - began
  tracker.close(exit_code=0)
  closed = time.monotonic() - began
  assert wrote < 1 and closed < 8
  (warning,) = warnings(caplog)
  assert 'TimeoutError' in warning
  assert 'NetStatThr' not in {thread.name for thread in threading.enumerate()}
  assert len(records.read_metrics(workdir / 'metrics.jsonl')) == 3


def test_when_wandb_dies_the_journal_goes_on(workdir, caplog, capfd):
  tracker = open_tracker(workdir, 'offline')
  tracker.write(10, metrics(10))
  settle(tracker)
  (core,) = wandb_processes()
  os.kill(core, signal.SIGKILL)
  time.sleep(0.3)
  for step in (20, 30):
    tracker.write(step, metrics(step))
  tracker.summarise(30, result_rows(), pictures(), NOTHING)
  tracker.close(exit_code=0)
  (warning,) = warnings(caplog)
  assert warning.startswith('W&B tracking stopped')
  assert len(records.read_metrics(workdir / 'metrics.jsonl')) == 9
  assert capfd.readouterr() == ('', '')


def test_the_limit_of_open_files_is_raised_or_named(workdir, monkeypatch, caplog):
  soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
  resource.setrlimit(resource.RLIMIT_NOFILE, (100, hard))
  try:
    descriptors.raise_limit(71)
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (71 * 5 + 100, hard)
  finally:
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
  monkeypatch.setattr(resource, 'getrlimit', lambda _: (100, 110))
  tracker = open_tracker(workdir, 'offline')
  tracker.write(10, metrics(10))
  tracker.close(exit_code=0)
  (warning,) = warnings(caplog)
  assert '4 runs need 120 open files, the limit is 110' in warning
  assert len(records.read_metrics(workdir / 'metrics.jsonl')) == 3


def test_forty_lanes_open_quickly_and_write_in_milliseconds(workdir):
  settings = tracking.Settings('offline', '', 'vae', (), 0)
  names = [f'b{lane}' for lane in range(40)]
  began = time.monotonic()
  tracker = tracking.open_tracker(
    workdir, names, [{'beta': lane} for lane in range(40)], CONFIG, PROVENANCE, settings, 0
  )
  opened = time.monotonic() - began
  seconds = []
  for step in range(1, 11):
    began = time.monotonic()
    tracker.write(step, {f'batch/{i}': jnp.arange(40) / 3 for i in range(10)})
    seconds.append(time.monotonic() - began)
  tracker.close(exit_code=0)
  assert len(list((workdir / 'wandb').glob('offline-run-*'))) == 41
  # Measured 0.9 s and 15 ms on two cores; the bounds leave room for a busy machine.
  assert opened < 10 and np.median(seconds) < 0.2


def test_under_an_agent_the_run_of_the_study_is_the_trial(workdir, server, monkeypatch):
  monkeypatch.setenv('WANDB_SWEEP_ID', 'sweep')
  monkeypatch.setenv('WANDB_RUN_ID', 'trial')
  monkeypatch.setenv('WANDB_PROJECT', 'sweep-project')
  tracker = open_tracker(workdir, 'online')
  tracker.write(10, metrics(10))
  tracker.close(exit_code=0)
  trials = {name: run.about.get('sweep') for name, run in server.runs.items()}
  assert trials == {'trial': 'sweep', **{f'{name}-{HASH}': None for name in NAMES}}
  for run in server.lanes.values():
    assert (run.about['project'], steps(run.rows)) == ('sweep-project', [10])
  monkeypatch.setenv('WANDB_PROJECT', '')
  tracker = open_tracker(workdir, 'online', restored_step=10)  # without the agent
  tracker.write(20, metrics(20))
  tracker.close(exit_code=0)
  assert set(server.runs) == set(trials) and server.runs['trial'].sessions == 2


@pytest.mark.parametrize('name', ['init', 'log', 'finish'])
@pytest.mark.parametrize('fault', ['hangs', 'exits'])
def test_a_wandb_that_hangs_or_exits_costs_a_warning(workdir, monkeypatch, caplog, name, fault):
  import wandb

  ended = threading.Event()

  def act(*_, **__):
    if fault == 'hangs':
      ended.wait()
    sys.exit(1)

  limit = 1.0 if fault == 'hangs' else 4.0  # in which W&B has exited, on busy cores too
  monkeypatch.setattr(tracker_module, '_CLOSE_SECONDS', limit)
  monkeypatch.setattr(wandb if name == 'init' else wandb.Run, name, act)
  began = time.monotonic()
  tracker = open_tracker(workdir, 'offline')
  working = tracker._worker._thread
  for step in range(10, 60, 10):
    tracker.write(step, metrics(step))
  wrote = time.monotonic() - began
  tracker.close(exit_code=0)
  closed = time.monotonic() - began
  left = wandb_processes()
  ended.set()
  working.join(30)  # which goes on into no other test
  assert wrote < 1 and closed < wrote + 5
  (warning,) = warnings(caplog)
  # On busy cores a run may still be opening when its second is over, and is closed meanwhile.
  of_hanging = 'TimeoutError: not everything was taken', 'MailboxClosedError'
  expected = {'hangs': of_hanging, 'exits': ('SystemExit: 1',)}[fault]
  assert warning.startswith('W&B tracking stopped') and any(each in warning for each in expected)
  assert len(records.read_metrics(workdir / 'metrics.jsonl')) == 15
  assert left == []


def test_a_process_ends_though_wandb_core_stands_still(workdir):
  code = f"""
import os, signal, sys
sys.path[:0] = [{os.path.dirname(__file__)!r}, {os.getcwd()!r}]
import test_tracking_wandb as t
t.tracker_module._CLOSE_SECONDS = 1.0
tracker = t.open_tracker({str(workdir)!r}, 'offline')
tracker.write(10, t.metrics(10))
t.settle(tracker)
os.kill(t.wandb_processes()[0], signal.SIGSTOP)
tracker.write(20, t.metrics(20))
tracker.close(exit_code=0)
print('closed', flush=True)
"""
  with subprocess.Popen(
    [sys.executable, '-c', code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
  ) as process:
    assert process.stdout.readline() == 'closed\n'
    _, stderr = process.communicate(timeout=5)
  assert process.returncode == 0
  (line,) = stderr.splitlines()
  assert line.startswith('W&B tracking stopped')
  assert len(records.read_metrics(workdir / 'metrics.jsonl')) == 6
