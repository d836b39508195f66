"""A study over several processes: how it is cut, what the shares leave, what stops one of them."""

import csv
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import long_study
import numpy as np
import pytest
from conftest import ROOT, without_pictures
from run_files import results_without_times

from vae_jax import errors, figures, lane_fields, multihost, records, study, validation
from vae_jax.commands import command, train
from vae_jax.multihost import gathering
from vae_jax.runs import outcome, training
from vae_jax.runs import workdir as workdir_room

pytestmark = pytest.mark.process

TRAIN = {'steps': 100, 'evaluate_every': 40, 'checkpoint_every': 20}
# Shares of one lane and of two, and names that tell learning rates apart where there are several.
# The largest latent size is in both: one program serves the shares and the whole.
LANES = {
  'combine': 'zip', 'beta': (0.5, 1.0, 4.0), 'latent_size': (5, 2, 5), 'seed': (0,),
  'learning_rate': (1e-3, 1e-3, 2e-3),
}  # fmt: skip
OWN = [['b0.5-z5-s0'], ['b1-z2-s0-lr0.001', 'b4-z5-s0-lr0.002']]
WHOLE = ['b0.5-z5-s0-lr0.001', 'b1-z2-s0-lr0.001', 'b4-z5-s0-lr0.002']
# Of the first lane the rate is so high that it stops early.
STOPPING = {'log_every': 10, 'evaluate_every': 10, 'patience': 1, 'keep': 'best'}
EARLY = {'latent_size': (2, 5, 5), 'learning_rate': (0.3, 1e-3, 2e-3)}


COMMAND = [sys.executable, '-m', 'launch.train', '--config=tests/long_study.py']


def long_config(**changes) -> dict:
  config = long_study.get_config().to_dict()
  config['train'] |= TRAIN | changes.get('train', {})
  config['lanes'] |= LANES | changes.get('lanes', {})
  config['program'] |= dict(width=1)  # one program for shares of any number of lanes
  return config


def start(workdir: pathlib.Path, count: int = 2, **changes) -> list[subprocess.Popen]:
  """Starts the command of `long_config(**changes)` in so many processes on this host."""
  config = long_config(**changes)
  words = [
    f'--config.{section}.{name}={config[section][name]}'
    for section, names in (('train', TRAIN | STOPPING), ('lanes', LANES), ('program', ['width']))
    for name in names
  ]
  with socket.socket() as free:
    free.bind(('127.0.0.1', 0))
    port = free.getsockname()[1]
  together = [f'--workdir={workdir}', f'--coordinator=127.0.0.1:{port}', f'--processes={count}']
  return [
    subprocess.Popen(
      [*COMMAND, *words, *together, f'--process={index}'],
      cwd=ROOT,
      env=os.environ,
      stdout=subprocess.PIPE,
      stderr=subprocess.PIPE,
      text=True,
    )
    for index in range(count)
  ]


def finish(processes: list[subprocess.Popen]) -> tuple[list[int], list[str], list[str]]:
  """Returns exit codes, stdout and stderr; a process that hangs fails the test."""
  try:
    outputs = [process.communicate(timeout=250) for process in processes]
  finally:
    for process in processes:
      process.kill()
  return [process.returncode for process in processes], *map(list, zip(*outputs, strict=True))


def read(path: pathlib.Path) -> list[dict]:
  with open(path) as file:
    return list(csv.DictReader(file))


def assert_close(one: list[dict], other: list[dict]):
  """Checks rows of text: the same keys and words, the same numbers to rounding."""
  assert len(one) == len(other) > 0
  for row, like in zip(one, other, strict=True):
    assert list(row) == list(like)
    for key, value in like.items():
      try:
        assert float(row[key]) == pytest.approx(float(value), rel=1e-4, abs=1e-5), key
      except (TypeError, ValueError):  # a word, or nothing
        assert row[key] == value, key


def assert_same_study(workdir: pathlib.Path, reference: pathlib.Path):
  assert_close(results_without_times(workdir), results_without_times(reference))
  for name in ('latents.csv', 'nll_curve.csv'):
    assert_close(read(workdir / name), read(reference / name))
  journals = [path / 'metrics.jsonl' for path in (workdir, reference)]
  assert_close(*map(records.read_metrics, journals))
  with np.load(workdir / 'images.npz') as images, np.load(reference / 'images.npz') as like:
    assert sorted(images) == sorted(like)
    for name, expected in like.items():
      if expected.dtype.kind == 'U':
        assert images[name] == expected
      else:
        tolerance = 1 if expected.dtype == np.uint8 else 1e-3
        np.testing.assert_allclose(images[name].astype(float), expected, atol=tolerance)
  values, expected = (records.read_per_image(d / 'per_image.npz') for d in (workdir, reference))
  assert list(values) == list(expected)
  for split, like in expected.items():
    assert values[split].sha256 == like.sha256
    np.testing.assert_allclose(values[split].nll, like.nll, rtol=1e-4)
    np.testing.assert_allclose(values[split].elbo, like.elbo, rtol=1e-4)
  config, like = (json.loads((d / 'config.json').read_text()) for d in (workdir, reference))
  assert config == like
  own = [workdir, *(multihost.cutting.share_directory(workdir, index) for index in (0, 1))]
  recorded = [json.loads((path / 'provenance.json').read_text()) for path in own]
  assert recorded[0]['finished'] is True
  assert len({each['study_id'] for each in recorded}) == 1  # one group of W&B


def assert_same_pictures(workdir: pathlib.Path, reference: pathlib.Path):
  figures.draw_all(reference)
  pictures = [sorted(p.name for p in (d / 'figures').iterdir()) for d in (workdir, reference)]
  assert pictures[0] == pictures[1]


@pytest.fixture(scope='module')
def reference(tmp_path_factory, traced_once):
  """The same study by one process, without its pictures."""
  workdir = tmp_path_factory.mktemp('one') / 'run'
  with pytest.MonkeyPatch.context() as patch:
    without_pictures(patch)
    training.run(long_config(), workdir)
  return workdir


def check_shares(workdir, reference):
  """Each share has its own lanes; what is gathered has all of them, and one verdict."""
  for name in ('results.csv', 'latents.csv', 'nll_curve.csv'):
    assert list(dict.fromkeys(row['name'] for row in read(workdir / name))) == WHOLE
  for index, names in enumerate(OWN):
    share = workdir / f'process-{index}'
    assert [row['name'] for row in read(share / 'results.csv')] == names
    lanes_there = {json.loads(line)['lane'] for line in (share / 'metrics.jsonl').open()}
    assert lanes_there == set(range(len(names)))
  told, alone = (json.loads((each / 'verdict.json').read_text()) for each in (workdir, reference))
  assert [point['name'] for point in told['points']] == [p['name'] for p in alone['points']]
  assert told['best'] == alone['best']


def check_said(workdir, stdout):
  """Process 0 says what it has gathered, process 1 where its share is."""
  told = json.loads((workdir / 'verdict.json').read_text())
  assert 'Best of 3 lanes' in stdout[0]
  assert stdout[0].splitlines()[-1] == told['sentences'][-1]
  assert stdout[1].splitlines() == [
    f'the share of process 1 is done: {workdir}/process-1/results.csv'
  ]


class Killed(BaseException):
  """Process 0 is killed."""


def killed(*arguments, **keywords):
  raise Killed


# What it may be doing then, one after the other.
GATHERS = (
  (gathering, '_merge_metrics'),
  (gathering, '_merge_images'),
  (gathering, '_merge_per_image'),
  (gathering, '_merge_table'),
  (outcome, 'write_verdict'),
  (figures, 'draw_all'),
  (outcome, 'write_page'),
  (workdir_room, 'mark_finished'),
)


def test_shares_that_are_gathered_are_what_one_process_leaves(reference, tmp_path, monkeypatch):
  """One after the other, in this process; `-m slow` has two processes that talk to each other."""
  config, workdir, drawn = long_config(), tmp_path / 'run', []
  without_pictures(monkeypatch)
  for index in (0, 1):
    share, together = multihost.cut(config, index, 2), multihost.cutting.study_id(workdir)
    training.run(share, workdir / f'process-{index}', study_id=together)
    if index == 0:
      with pytest.raises(errors.Stopped, match=r'^process 1 ended without finishing the share'):
        multihost.gather(config, workdir, 2)
      assert not (workdir / 'results.csv').exists()
  monkeypatch.setattr(figures, 'draw_all', drawn.append)
  for module, name in GATHERS:
    with monkeypatch.context() as patch, pytest.raises(Killed):
      patch.setattr(module, name, killed)
      multihost.gather(config, workdir, 2)
    assert not json.loads((workdir / 'provenance.json').read_text())['finished']
  drawn.clear()
  multihost.gather(config, workdir, 2)
  assert drawn == [workdir]
  assert_same_study(workdir, reference)
  check_shares(workdir, reference)


@pytest.mark.slow
def test_two_processes_leave_what_one_leaves(reference, tmp_path):
  workdir = tmp_path / 'run'
  codes, stdout, stderr = finish(start(workdir))
  assert codes == [0, 0], stderr
  assert_same_study(workdir, reference)
  assert_same_pictures(workdir, reference)
  check_shares(workdir, reference)
  check_said(workdir, stdout)


@pytest.mark.slow
def test_a_lane_that_stops_in_one_of_two_processes_stops_as_in_one(traced_once, tmp_path):
  changes = dict(train=STOPPING, lanes=EARLY)
  training.run(long_config(**changes), tmp_path / 'one')
  codes, _, stderr = finish(start(tmp_path / 'two', **changes))
  assert codes == [0, 0], stderr
  status = [row['status'] for row in records.read_results(tmp_path / 'two' / 'results.csv')]
  assert status == ['stopped', 'done', 'done']
  # To rounding: the share of the first lane is padded to fewer latents.
  assert_same_study(tmp_path / 'two', tmp_path / 'one')


@pytest.mark.slow
def test_a_process_that_is_stopped_stops_the_whole_and_the_same_commands_finish(
  reference, tmp_path
):
  workdir = tmp_path / 'run'
  processes = start(workdir)
  journal = workdir / 'process-1' / 'metrics.jsonl'
  deadline = time.monotonic() + 60
  while not (journal.exists() and journal.stat().st_size) and time.monotonic() < deadline:
    time.sleep(0.005)
  processes[1].send_signal(signal.SIGTERM)
  codes, stdout, stderr = finish(processes)
  assert codes == [143, 143], stderr
  assert 'stopped' in stderr[1].splitlines()[-1]
  assert stderr[0].splitlines()[-1] == (
    'process 1 ended without finishing the share; the same commands continue'
  )
  assert not stdout[0]
  assert not (workdir / 'results.csv').exists()
  before = (workdir / 'process-0' / 'results.csv').stat().st_mtime_ns
  codes, stdout, stderr = finish(start(workdir))
  assert codes == [0, 0], stderr
  assert 'process-0 is finished already' in stderr[0]
  assert (workdir / 'process-0' / 'results.csv').stat().st_mtime_ns == before
  assert_same_study(workdir, reference)
  check_shares(workdir, reference)
  check_said(workdir, stdout)


@pytest.mark.parametrize('count', [1, 2, 3, 5, 6])
def test_every_lane_is_in_one_share_and_in_order(config, count):
  config['lanes'] |= dict(beta=(0.5, 1.0, 4.0), warmup=('linear',), warmup_steps=(10,))
  whole = study.points_of(config)
  assert len(whole) == 6
  cuts = [multihost.cut(config, index, count) for index in range(count)]
  for share in cuts:
    validation.check(share)
    assert {name for name in config if share[name] != config[name]} == {'lanes'}
  points = [study.points_of(share) for share in cuts]
  assert [point for share in points for point in share] == whole
  sizes = [len(share) for share in points]
  assert max(sizes) - min(sizes) <= 1
  assert all(tuple(point) == lane_fields.NAMES for share in points for point in share)


def test_more_processes_than_lanes_are_refused(config):
  with pytest.raises(errors.InputError, match=r'--processes=5 is .* 4 lanes .* valid value is 4$'):
    multihost.cut(config, 0, 5)


def test_gather_waits_for_no_share_and_writes_nothing_without_it(config, tmp_path):
  with pytest.raises(errors.Stopped, match=r'^processes 0, 1 ended without finishing') as stopped:
    multihost.gather(config, tmp_path / 'run', 2)
  assert stopped.value.exit_code == 143
  assert not (tmp_path / 'run').exists()


def test_a_share_that_is_done_has_work_left_when_the_study_gets_more_steps(config, tmp_path):
  share = tmp_path / 'process-0'
  share.mkdir()
  (share / 'config.json').write_text(json.dumps(multihost.cut(config, 0, 2)))
  (share / 'provenance.json').write_text(json.dumps({'finished': True}))
  (share / 'results.csv').touch()
  assert gathering.unfinished(config, tmp_path, 2) == [1]
  longer = config | {'train': config['train'] | {'steps': 66}}
  assert gathering.unfinished(longer, tmp_path, 2) == [0, 1]


def test_a_workdir_belongs_to_one_config_and_one_number_of_processes(config, tmp_path):
  multihost.check(config, tmp_path / 'run', 2)
  assert not (tmp_path / 'run').exists()
  for index in (0, 1):
    share = tmp_path / 'run' / f'process-{index}'
    share.mkdir(parents=True)
    (share / 'config.json').write_text(json.dumps(multihost.cut(config, index, 2)))
  multihost.check(config, tmp_path / 'run', 2)
  with pytest.raises(errors.InputError, match=r'--processes=4.*nearest valid value is 2'):
    multihost.check(config, tmp_path / 'run', 4)
  with pytest.raises(errors.InputError, match=r'--processes=1.*nearest valid value is 2'):
    multihost.check(config, tmp_path / 'run', 1)
  multihost.check(config | {'train': config['train'] | {'steps': 66}}, tmp_path / 'run', 2)
  other = config | {'data': config['data'] | {'seed': 7}}
  with pytest.raises(errors.InputError, match=r'other config: data\.seed is 0 there, 7 here;'):
    multihost.check(other, tmp_path / 'run', 2)
  other = config | {'lanes': config['lanes'] | {'seed': (7,)}}
  with pytest.raises(errors.InputError, match='of another config: its lanes are others;'):
    multihost.check(other, tmp_path / 'run', 2)
  (tmp_path / 'notes.txt').touch()
  with pytest.raises(errors.InputError, match='holds files that are no run'):
    multihost.check(config, tmp_path, 2)


@pytest.mark.parametrize(
  ('arguments', 'words'),
  [
    (('--coordinator=localhost:1', '--process=0'), '--processes is missing'),
    (('--coordinator=localhost:1', '--processes=2', '--process=2'), '--process=2 is not between 0 '
     'and 1; the nearest valid value is 1'),
    (('--coordinator=localhost:1', '--processes=2', '--process=1', '--wait_seconds=nan'),
     '--wait_seconds=nan is no time; give 0 or more'),
  ],
  ids=['missing', 'out of range', 'no time'],
)  # fmt: skip
def test_a_mistake_is_one_line_and_exit_2(tmp_path, monkeypatch, capsys, arguments, words):
  monkeypatch.chdir(ROOT)
  workdir = tmp_path / 'run'
  line = [*COMMAND[3:], f'--workdir={workdir}', *arguments]
  assert command.exit_code_of(train.make(), line) == 2
  stdout, stderr = capsys.readouterr()
  assert words in stderr
  assert len(stderr.splitlines()) == 1
  assert not stdout
  assert not workdir.exists()
