"""`upload`: what the W&B server lacks of a run comes there, and nothing of it twice."""

import collections
import json
import os
import pathlib
import subprocess
import sys

import pytest
import wandb_server
from report_run import BETAS, SIZES, make_run
from test_tracking_wandb import (  # noqa: F401 (its fixtures)
  CONFIG,
  FIELDS,
  HASH,
  NAMES,
  PROVENANCE,
  isolated,
  metrics,
  open_tracker,
  pictures,
  result_rows,
  server,
  workdir,
)

from vae_jax import errors, lane_fields, records, tracking
from vae_jax.commands import command
from vae_jax.commands import upload as upload_command
from vae_jax.runs import uploading
from vae_jax.tracking import options

pytestmark = pytest.mark.process

NOTHING = tracking.Results({}, (), None)


def upload(directory, ended=None):
  settings = tracking.Settings('online', '', 'vae', ('test',), 0)
  rows = records.read_metrics(directory / 'metrics.jsonl')
  return tracking.upload(directory, NAMES, FIELDS, CONFIG, PROVENANCE, settings, rows, ended)


def arrived(found):
  """Returns how often each (run, step) has come to the server with its metrics."""
  return collections.Counter(
    (name, row['step'])
    for name, run in found.lanes.items()
    for row in run.rows
    if 'batch/elbo' in row
  )


def stored_run(tmp_path):
  """Returns a workdir, made by hand, of an early version: it has no study id."""
  directory = make_run(tmp_path / 'run')
  lanes = {'beta': BETAS, 'latent_size': SIZES, 'seed': (0, 1)}
  config = {'data': {'name': 'digits'}, 'lanes': lanes}
  for name, more in (('config', config), ('provenance', {'finished': True})):
    path = directory / f'{name}.json'
    path.write_text(json.dumps(json.loads(path.read_text()) | more))
  return directory


def once(*steps):
  return {(f'{name}-{HASH}', step): 1 for name in NAMES for step in steps}


def test_a_run_that_was_not_tracked_is_uploaded_once(workdir, server):  # noqa: F811
  tracker = open_tracker(workdir, 'disabled')
  for step in (10, 20):
    tracker.write(step, metrics(step))
  tracker.close(exit_code=0)
  ended = tracking.Ended(20, result_rows(), pictures(), NOTHING)
  for _ in range(2):
    assert upload(workdir, ended).endswith(f'study-{HASH}')
    assert arrived(server) == once(10, 20)
  for lane, name in enumerate(NAMES):
    run = server.runs[f'{name}-{HASH}']
    last = run.rows[-1]
    assert len(run.rows) == 2 and 'media/samples' in last and last['test/nll'] == 80.5 + lane
    assert run.summary['final/test/nll'] == 80.5 + lane
    assert run.exit_code == (0, 1, 0)[lane]
  assert server.runs[f'study-{HASH}'].exit_code == 0


def test_what_lies_offline_goes_up_first_with_its_pictures(workdir, server):  # noqa: F811
  tracker = open_tracker(workdir, 'offline')
  tracker.write(10, metrics(10))
  tracker.show(10, (0, 1, 2), ([], [], []), pictures())
  tracker.close(exit_code=143)
  tracker = open_tracker(workdir, 'disabled', restored_step=10)
  tracker.write(20, metrics(20))
  tracker.close(exit_code=143)
  for _ in range(2):
    upload(workdir)
    assert arrived(server) == once(10, 20)
  assert all('media/samples' in run.rows[0] for run in server.lanes.values())


def test_a_run_killed_online_loses_nothing(workdir, server):  # noqa: F811
  """Once it is uploaded, and once it goes on: each row of each lane stands there once."""
  code = f"""
import pathlib, sys, time
sys.path[:0] = [{os.path.dirname(__file__)!r}, {os.getcwd()!r}]
import test_tracking_wandb as t
tracker = t.open_tracker(pathlib.Path({str(workdir)!r}), 'online')
for step in (10, 20, 30):
  tracker.write(step, t.metrics(step))
print('written', flush=True)
time.sleep(60)
"""
  with subprocess.Popen([sys.executable, '-c', code], stdout=subprocess.PIPE) as process:
    assert process.stdout.readline() == b'written\n'
    process.kill()
  upload(workdir)
  assert arrived(server) == once(10, 20, 30)
  tracker = open_tracker(workdir, 'online', restored_step=20)
  for step in (30, 40):
    tracker.write(step, metrics(step))
  tracker.close(exit_code=0)
  assert arrived(server) == once(10, 20, 30, 40)


def test_a_run_without_results_uploads_its_rows(tmp_path, server):  # noqa: F811
  """As a kill leaves it before the first evaluation."""
  directory = stored_run(tmp_path)
  for name in ('results.csv', 'verdict.json', 'images.npz'):
    (directory / name).unlink()
  provenance = json.loads((directory / 'provenance.json').read_text()) | {'finished': False}
  (directory / 'provenance.json').write_text(json.dumps(provenance))
  stored = records.read_metrics(directory / 'metrics.jsonl')
  for _ in range(2):
    uploading.upload(directory)
    assert sum(len(run.rows) for run in server.lanes.values()) == len(stored)
  (directory / 'metrics.jsonl').unlink()
  with pytest.raises(errors.InputError, match='has nothing to upload'):
    uploading.upload(directory)


def test_no_server_is_one_line_that_names_the_command(tmp_path, monkeypatch):
  directory = stored_run(tmp_path)
  monkeypatch.setattr(options, '_INIT_SECONDS', 1.0)
  with wandb_server.serve() as gone:
    monkeypatch.setenv('WANDB_BASE_URL', gone.url)
  monkeypatch.setenv('WANDB_API_KEY', '0' * 40)
  with pytest.raises(
    errors.StorageError, match=r'CommError.*vae-jax upload --workdir=.*run goes on'
  ):
    uploading.upload(directory)


def test_the_command_uploads_a_finished_run(tmp_path, server, capsys, monkeypatch):  # noqa: F811
  key = 'c0ffee' * 6 + 'beef'
  monkeypatch.setenv('WANDB_API_KEY', key)
  directory = stored_run(tmp_path)
  stored = records.read_metrics(directory / 'metrics.jsonl')
  line = [f'--workdir={directory}', '--project=other']
  assert command.exit_code_of(upload_command.make(), line) == 0
  out, err = capsys.readouterr()
  assert out.startswith('W&B: http') and 'other' in out
  assert {run.about['project'] for run in server.runs.values()} == {'other'}
  rows = [row for run in server.lanes.values() for row in run.rows]
  assert len(rows) == len(stored)
  study = next(run for run in server.runs.values() if run.about['jobType'] == 'study')
  assert study.summary['lanes_done'] == len(server.lanes)
  assert command.exit_code_of(upload_command.make(), line) == 0
  capsys.readouterr()
  assert ['study/results' in row for row in study.rows] == [True]  # not again, as it is the same
  files = [path.read_bytes() for path in pathlib.Path(tmp_path).rglob('*') if path.is_file()]
  assert not any(key.encode() in content for content in [out.encode(), err.encode(), *files])
  # A new evaluation changes the summaries, and no row.
  config = json.loads((directory / 'config.json').read_text())
  tracked = {'mode': 'online', 'project': 'other'}
  (directory / 'config.json').write_text(json.dumps(config | {'wandb': tracked}))
  results = records.read_results(directory / 'results.csv')
  results[0]['test/nll'] = 7.5
  columns = records.result_columns(lane_fields.NAMES)
  records.write_table(directory / 'results.csv', columns, results)
  uploading.update(directory)
  fields = {name: results[0][name] for name in ('beta', 'latent_size', 'seed')}
  lane = next(run for run in server.lanes.values() if fields.items() <= run.config.items())
  assert lane.summary['final/test/nll'] == 7.5
  assert ['study/results' in row for row in study.rows] == [True] * 2
  assert sum(len(run.rows) for run in server.lanes.values()) == len(stored)
  bad = [f'--workdir={directory}', '--project=a/b']
  assert command.exit_code_of(upload_command.make(), bad) == 2
  assert "wandb.project='a/b' is not valid" in capsys.readouterr().err
