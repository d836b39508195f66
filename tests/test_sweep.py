"""`vae-jax sweep`, as processes: launches that are stopped, killed and refused."""

import csv
import json
import random
import subprocess
import sys
import time
import types

import psutil
import pytest
from conftest import ROOT, without_pictures

from vae_jax import errors, launches, records, standing, sweeps
from vae_jax.commands import command, run, sweep
from vae_jax.records import manifest
from vae_jax.runs import training
from vae_jax.sweeps import on_ray

pytestmark = pytest.mark.process

CONFIG = """
from vae_jax import config as settings

def get_config():
  config = settings.base()
  config.study = 'mine'
  config.lanes.update(beta=(0.5, 2.0), latent_size=(2,), learning_rate=(1e-2,))
  config.data.update(name='digits', binarize='dynamic')
  config.data.update(train_split='train[:75%]', validation_split='train[75%:]')
  config.encoder.update(hidden=(4,))
  config.decoder.update(hidden=(4,))
  config.train.update(steps=STEPS, batch_size=16, log_every=50)
  config.train.update(evaluate_every=STEPS, checkpoint_every=50)
  config.evaluation.update(dict.fromkeys(
    ('train_images', 'validation_images', 'test_images', 'nll_images', 'aggregate_images'), 20))
  config.evaluation.update(nll_samples=4, mixture_components=0)
  return config

def launches():
  for num_samples in SAMPLES:
    yield {'bound.num_samples': num_samples}
"""
CHANGING = ('seconds', 'steps_per_second')


def write(path, steps=200, samples=(1, 2)):
  path.write_text(CONFIG.replace('STEPS', str(steps)).replace('SAMPLES', repr(samples)))
  return path


WIDE = """
def launches():
  for hidden in ((8,), (16,)):
    for num_samples in (1, 2, 3):
      yield {'encoder.hidden': hidden, 'decoder.hidden': hidden, 'bound.num_samples': num_samples}
"""


def write_wide(path, steps, nll_samples=4):
  """Writes 6 launches of 12 lanes: two architectures, three values of L."""
  text = write(path, steps).read_text()
  text = text.replace(
    'beta=(0.5, 2.0), latent_size=(2,)', 'beta=(0.25, 0.5, 1.0, 2.0), latent_size=(2, 3, 4)'
  )
  text = text.replace('nll_samples=4', f'nll_samples={nll_samples}')
  path.write_text(text[: text.index('def launches')] + WIDE)
  return path


@pytest.fixture
def started():
  """Starts `python -m launch.sweep *words`; what still runs at the end of the test is killed."""
  processes = []

  def start(*words):
    command = [sys.executable, '-m', 'launch.sweep', *map(str, words)]
    pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    processes.append(subprocess.Popen(command, cwd=ROOT, **pipes))
    return processes[-1]

  yield start
  for process in processes:
    process.kill()
    process.communicate()


def wait_for(condition, seconds=60):
  deadline = time.monotonic() + seconds
  while not condition():
    assert time.monotonic() < deadline
    time.sleep(0.02)


def rows_of(directory):
  """Returns the rows of results.csv but for how long they took."""
  with open(directory / 'results.csv', newline='') as file:
    rows = list(csv.DictReader(file))
  return [{k: v for k, v in row.items() if k not in CHANGING} for row in rows]


def check_equal(directory, undisturbed):
  """Checks a sweep of the wide study: every lane once, with the bytes of an undisturbed sweep."""
  rows = rows_of(directory)
  assert len(rows) == len({(row['launch'], row['name']) for row in rows}) == 6 * 12
  assert rows == rows_of(undisturbed)
  for launch in launches.read(undisturbed).launches:
    runs = [launches.run_of(place, launch.name) for place in (directory, undisturbed)]
    assert len({(run / 'metrics.jsonl').read_bytes() for run in runs}) == 1


@pytest.mark.slow
def test_a_coordinator_that_is_killed_leaves_nothing_behind(tmp_path, started, monkeypatch):
  """Its launch stops with its state saved; the next one goes on, and the end is the same."""
  config = write(tmp_path / 'mine.py', steps=20_000, samples=(1,))
  flags = f'--config={config}', f'--workdir={tmp_path}/a'
  first = started(*flags)
  first_run = launches.run_of(tmp_path / 'a', 'num_samples-1')
  wait_for(lambda: (records.newest_step(first_run) or 0) >= 100)
  second = started(*flags)
  assert second.wait(60) == 5
  assert 'is in use by process' in second.stderr.read()
  first.kill()
  first.wait()
  wait_for(lambda: launches.standing_of(tmp_path / 'a', 'num_samples-1').state == 'interrupted', 20)
  assert 100 <= records.newest_step(first_run) < 20_000
  # The rest of it in a moment: fewer steps are what the run has not done yet.
  steps = records.newest_step(first_run) + 100
  write(config, steps=steps - steps % 50)
  third = started(*flags)
  out, err = third.communicate(timeout=120)
  assert third.returncode == 0, err
  assert '2 launches: 1 interrupted, 1 queued' in err  # one is new
  assert 'num_samples-1: goes on' in err
  assert 'Best by NLL on the validation set: launch num_samples-' in out

  alone = launches.read(tmp_path / 'a').named('num_samples-1')
  without_pictures(monkeypatch)
  training.run(alone.config, tmp_path / 'b')
  # On one device here, on one for each core there: equal but for the last bits.
  both = [records.read_metrics(place / 'metrics.jsonl') for place in (first_run, tmp_path / 'b')]
  for row, other in zip(*both, strict=True):
    assert row == pytest.approx(other, rel=1e-3, abs=1e-3)
  status = standing.status_of(tmp_path / 'a', time.time())
  assert (status.launches['done'], status.num_lanes) == (2, 4)
  assert sweeps.counted(tmp_path / 'a') == '2 launches: 2 done'
  assert '2 launches: 2 done' in (tmp_path / 'a/report.html').read_text(encoding='utf-8')
  rows = rows_of(tmp_path / 'a')
  assert [row['launch'] for row in rows] == ['num_samples-1'] * 2 + ['num_samples-2'] * 2
  assert [row['bound.num_samples'] for row in rows] == ['1', '1', '2', '2']
  own = [
    {name: row[name] for name in each} for row, each in zip(rows, rows_of(first_run), strict=False)
  ]
  assert own == rows_of(first_run)


class Here:
  """An engine that runs a launch in this process, while it is submitted."""

  slots = 1

  def __init__(self, directory, *_):
    self.directory = directory

  def submit(self, index, name):
    code = command.exit_code_of(run.make(), [f'--study={self.directory}', f'--index={index}'])
    return types.SimpleNamespace(exit_code=lambda: code, cancel=lambda: None)


def test_a_sweep_ends_with_one_table_one_verdict_and_one_page(tmp_path, monkeypatch, capsys):
  """And again, with nothing left to do but a launch that is new."""
  without_pictures(monkeypatch)
  monkeypatch.setattr(sweeps, 'Local', Here)
  monkeypatch.setattr(sweeps, 'devices', lambda: sweeps.Devices('cpu', 1))
  config, directory = tmp_path / 'mine.py', tmp_path / 'a'
  for samples in ((1,), (1, 2)):
    write(config, steps=50, samples=samples)
    line = [f'--config={config}', f'--workdir={directory}']
    assert command.exit_code_of(sweep.make(), line) == 0
    out = capsys.readouterr().out
    assert f'{len(samples)} launch' in sweeps.counted(directory)
    assert f'report:    {directory}/report.html' in out
    rows = rows_of(directory)
    assert [row['launch'] for row in rows] == [f'num_samples-{n}' for n in samples for _ in '12']
  assert [row['bound.num_samples'] for row in rows] == ['1', '1', '2', '2']
  for launch in launches.read(directory).launches:
    alone = rows_of(launches.run_of(directory, launch.name))
    mine = [row for row in rows if row['launch'] == launch.name]
    assert [{name: row[name] for name in alone[0]} for row in mine] == alone
    assert launches.standing_of(directory, launch.name).attempts == 1
  # The best of all lanes by the NLL that choosing goes by, on the same images.
  verdict = json.loads((directory / 'verdict.json').read_text())
  best = min(rows, key=lambda row: float(row['validation/nll']))
  assert verdict['best'] == f'launch {best["launch"]}, beta {best["beta"].removesuffix(".0")}'
  assert verdict['sentences'][0] in out
  assert len(verdict['points']) == 4
  status = standing.status_of(directory, time.time())
  assert (status.launches['done'], status.num_lanes) == (2, 4)
  page = (directory / 'report.html').read_text(encoding='utf-8')
  assert '2 launches: 2 done' in page
  assert 'num_samples-2 b2-z2-s0' in page
  for launch in launches.read(directory).launches:  # as if of a table
    path = launches.run_of(directory, launch.name) / 'provenance.json'
    manifest.write_text(path, json.dumps(json.loads(path.read_text()) | {'event': [64]}))
  said = sweeps.gather(directory).said[0]
  assert ' images' in verdict['sentences'][0]
  assert said == verdict['sentences'][0].replace(' images', ' rows')


def test_a_launch_on_ray_has_the_devices_of_its_task(tmp_path, monkeypatch):
  """Ray says in the environment of a worker which GPUs are its own; of none it says nothing."""
  names = 'CUDA_VISIBLE_DEVICES', 'JAX_NUM_CPU_DEVICES', 'XLA_FLAGS'
  said = 'import os, sys; open(sys.argv[1], "w").write(str([os.environ[n] for n in sys.argv[2:]]))'
  line = [sys.executable, '-c', said, str(tmp_path / 'said'), *names]
  monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '3')
  monkeypatch.setenv('XLA_FLAGS', 'of this process')
  for asked, seen in (
    ({'gpus': 1, 'cpus': 4}, ['3', '4']),
    ({'gpus': 0, 'cpus': 0}, ['', '1']),
  ):
    assert on_ray._launch(line, on_ray._environment(asked)) == 0
    assert (tmp_path / 'said').read_text() == str([*seen, 'of this process'])
  monkeypatch.setenv('JAX_NUM_CPU_DEVICES', '2')  # whoever says it himself is heard
  assert on_ray._environment({'gpus': 1, 'cpus': 4})['JAX_NUM_CPU_DEVICES'] == '2'


def test_room_on_ray_is_that_of_one_node_that_lives(caplog):
  """What is asked for together with what is there; GPUs that no launch would see are said."""
  here = {'Alive': True, 'Resources': {'CPU': 4.0, 'GPU': 2.0, 'memory': 2.0**33}}
  nodes = [here, {'Alive': False, 'Resources': {'CPU': 64.0, 'GPU': 8.0}}]
  on_ray._check_room(nodes, {'cpus': 4, 'gpus': 2, 'memory_gib': 8.0})
  assert not caplog.messages
  with pytest.raises(errors.InputError) as raised:
    on_ray._check_room(nodes, {'cpus': 5, 'gpus': 3, 'memory_gib': 8.5})
  assert [line.split(':')[0] for line in raised.value.problems] == [
    'resources.cpus=5', 'resources.gpus=3', 'resources.memory_gib=8.5',
  ]  # fmt: skip
  on_ray._check_room(
    [{'Alive': True, 'Resources': {'CPU': 4.0}}], dict.fromkeys(('cpus', 'gpus', 'memory_gib'), 0)
  )
  assert not caplog.messages
  on_ray._check_room(nodes, {'cpus': 0, 'gpus': 0, 'memory_gib': 0.0})
  assert 'resources.gpus=0: launches train on cores' in caplog.text


def test_a_launch_that_cannot_be_built_is_named_and_nothing_starts(tmp_path, capsys):
  config = write(tmp_path / 'mine.py', samples=(1, 0))
  line = [f'--config={config}', f'--workdir={tmp_path}/a']
  assert command.exit_code_of(sweep.make(), line) == 2
  assert capsys.readouterr().err.startswith('launch num_samples-0: bound.num_samples=0')
  assert not (tmp_path / 'a').exists()


@pytest.mark.slow
def test_ten_kills_change_nothing(tmp_path, started):
  """Coordinator and workers are killed ten times, each after a random part of all rows."""
  config = write_wide(tmp_path / 'mine.py', steps=2000)
  assert started(f'--config={config}', f'--workdir={tmp_path}/b').wait(1800) == 0
  rng, flags = random.Random(0), (f'--config={config}', f'--workdir={tmp_path}/a')
  moments = sorted(rng.uniform(0, written(tmp_path / 'b')) for _ in range(10))
  said = []
  coordinator = started(*flags)
  for moment in moments:
    while written(tmp_path / 'a') < moment and coordinator.poll() is None:
      time.sleep(0.05)
    time.sleep(rng.uniform(0, 2))
    workers = psutil.Process(coordinator.pid).children() if coordinator.poll() is None else []
    victims = [coordinator] if rng.random() < 0.5 else workers
    for victim in victims:
      victim.kill()
    time.sleep(rng.uniform(0, 2))
    if coordinator.poll() is not None:
      said.append(coordinator.communicate()[1])
      coordinator = started(*flags)
  out, err = coordinator.communicate(timeout=1800)
  assert coordinator.returncode == 0, err
  assert 'Best by NLL' in out
  check_equal(tmp_path / 'a', tmp_path / 'b')
  assert any('goes on' in each for each in [*said, err])


def written(directory):
  """Returns how many bytes of metrics all launches of a study have written."""
  return sum(path.stat().st_size for path in directory.glob('launches/*/metrics.jsonl'))
