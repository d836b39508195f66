"""What W&B's server or the disk can do to a run: it costs a warning, and `upload` makes it good."""

import os
import pathlib
import random
import resource
import subprocess
import sys
import time

import numpy as np
import pytest
from test_tracking_upload import arrived, once, upload
from test_tracking_wandb import (  # noqa: F401 (its fixtures)
  CONFIG,
  HASH,
  KEY,
  NAMES,
  PROVENANCE,
  TAGS,
  isolated,
  metrics,
  open_tracker,
  server,
  settle,
  warnings,
  workdir,
)

from vae_jax import records, tracking
from vae_jax.tracking import options
from vae_jax.tracking import tracker as tracker_module

pytestmark = pytest.mark.process

CANARY = 'c0ffee' * 6 + 'beef'


@pytest.fixture
def canary(tmp_path, monkeypatch, caplog, capfd):
  """A key that stands in no file and in nothing that is printed."""
  monkeypatch.setenv('WANDB_API_KEY', CANARY)
  yield CANARY
  said = ''.join([caplog.text, *capfd.readouterr()]).encode()
  files = {str(path): path.read_bytes() for path in tmp_path.rglob('*') if path.is_file()}
  found = {'what is said': said, **files}
  assert [name for name, content in found.items() if CANARY.encode() in content] == []


@pytest.fixture
def hasty(monkeypatch):
  """W&B is waited for as long as a test may last, in the proportions of the promise."""
  assert tracker_module._CLOSE_SECONDS + tracker_module._ABANDON_SECONDS < 20
  assert options._FINISH_SECONDS < tracker_module._CLOSE_SECONDS
  monkeypatch.setattr(options, '_FINISH_SECONDS', 2.0)
  monkeypatch.setattr(tracker_module, '_CLOSE_SECONDS', 3.0)


@pytest.mark.usefixtures('hasty')
def test_a_stall_costs_20_seconds_and_a_warning(workdir, server, canary, caplog):  # noqa: F811
  tracker = open_tracker(workdir, 'online')
  tracker.write(10, metrics(10))
  settle(tracker)
  server.answers.clear()
  began = time.monotonic()
  for step in (20, 30):
    tracker.write(step, metrics(step))
  tracker.close(exit_code=0)
  assert time.monotonic() - began < 6
  (warning,) = warnings(caplog)
  assert f'later: vae-jax upload --workdir={workdir}' in warning
  server.answers.set()
  for _ in range(2):
    upload(workdir)
    assert arrived(server) == once(10, 20, 30)


def test_a_wrong_key_costs_a_warning(workdir, server, canary, caplog, monkeypatch):  # noqa: F811
  server.key = KEY
  tracker = open_tracker(workdir, 'online')
  for step in (10, 20):
    tracker.write(step, metrics(step))
  tracker.close(exit_code=0)
  (warning,) = warnings(caplog)
  assert warning.startswith('W&B cannot be used online') and 'vae-jax upload' in warning
  with pytest.raises(ConnectionError) as refused:
    upload(workdir)
  assert len(str(refused.value).splitlines()) == 1 and canary not in str(refused.value)
  assert server.runs == {}
  monkeypatch.setenv('WANDB_API_KEY', KEY)
  upload(workdir)
  assert arrived(server) == once(10, 20)


def test_a_full_disk_costs_a_warning(workdir, server, caplog):  # noqa: F811
  """A limit on the size of files stands for the full disk; metrics.jsonl stays below it."""
  noise = np.random.default_rng(0).integers(0, 256, (256, 256), np.uint8)
  limits = resource.getrlimit(resource.RLIMIT_FSIZE)
  resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
  try:
    tracker = open_tracker(workdir, 'offline')
    tracker.write(10, metrics(10))
    tracker.show(10, (0, 1, 2), ([], [], []), {'samples': [noise] * 3})
    tracker.write(20, metrics(20))
    tracker.close(exit_code=0)
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
  (warning,) = warnings(caplog)
  assert warning.startswith('W&B tracking stopped') and 'vae-jax upload' in warning
  assert len(records.read_metrics(workdir / 'metrics.jsonl')) == 6
  upload(workdir)
  assert arrived(server) == once(10, 20)


def test_runs_without_own_tags_have_those_of_the_study(workdir, server):  # noqa: F811
  settings = tracking.Settings('online', '', 'vae', (), 0)
  tracking.open_tracker(
    workdir, NAMES[:1], [{}], CONFIG, PROVENANCE, settings, restored_step=0
  ).close(0)
  assert [run.about['tags'] for run in server.runs.values()] == [TAGS[1:]] * 2


TRAINING = """
import json, pathlib, sys, time
sys.path[:0] = [{here!r}, {root!r}]
import test_tracking_wandb as t
workdir, saved = pathlib.Path({workdir!r}), pathlib.Path({workdir!r}) / 'saved'
names = [f'b{{lane}}' for lane in range(12)]
fields = [{{'beta': lane}} for lane in range(12)]
restored = int(saved.read_text()) if saved.exists() else 0
settings = t.tracking.Settings('online', '', 'vae', (), 0)
tracker = t.tracking.open_tracker(
  workdir, names, fields, t.CONFIG, t.PROVENANCE, settings, restored
)
print('training', flush=True)
for step in range(restored + 10, {last} + 10, 10):
  tracker.write(step, t.metrics(step, lanes=12))
  time.sleep(0.05)
  if step % 50 == 0:  # as a checkpoint, which is written whole
    (workdir / 'new').write_text(str(step))
    (workdir / 'new').rename(saved)
tracker.close(exit_code=0)
"""


@pytest.mark.slow
def test_kills_at_random_online_bring_each_row_once(workdir, server):  # noqa: F811
  last, draw = 2000, random.Random(0)
  code = TRAINING.format(
    here=str(pathlib.Path(__file__).parent), root=os.getcwd(), workdir=str(workdir), last=last
  )
  kills = 0
  for limit in [*(draw.uniform(0, 4) for _ in range(8)), 120]:
    with subprocess.Popen([sys.executable, '-c', code], stdout=subprocess.PIPE) as process:
      assert process.stdout.readline() == b'training\n'
      try:
        assert process.wait(limit) == 0
        break
      except subprocess.TimeoutExpired:
        process.kill()
        kills += 1
  assert kills >= 4
  expected = {
    (f'b{lane}-{HASH}', step): 1 for lane in range(12) for step in range(10, last + 1, 10)
  }
  assert arrived(server) == expected
