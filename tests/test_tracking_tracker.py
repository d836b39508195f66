"""The tracker's contract with the training loop, without W&B."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax import records, tracking
from vae_jax.tracking import wandb_runs

pytestmark = pytest.mark.process


def open_tracker(workdir, mode='disabled', restored_step=0):
  settings = tracking.Settings(mode, '', '', (), 0)
  fields = [{'beta': 1.0}, {'beta': 4.0}]
  return tracking.open_tracker(workdir, ['b1', 'b4'], fields, {}, {}, settings, restored_step)


NOTHING = tracking.Results({}, (), None)


def pictures(lanes=2, dtype=np.uint8):
  return {'samples': [np.zeros((2, 2), dtype)] * lanes}


def test_disabled_never_imports_wandb(tmp_path):
  code = f"""
import sys
sys.path[:0] = {sys.path!r}
import test_tracking_tracker as t
tracker = t.open_tracker({str(tmp_path)!r})
tracker.write(1, {{'x': t.jnp.ones(2)}})
tracker.summarise(1, [{{'lane': 0, 'status': 'done'}}], {{}}, t.NOTHING)
tracker.close(0)
assert 'wandb' not in sys.modules
"""
  subprocess.run([sys.executable, '-c', code], check=True, timeout=120)
  assert len(records.read_metrics(tmp_path / 'metrics.jsonl')) == 2
  assert [entry.name for entry in tmp_path.iterdir()] == ['metrics.jsonl']


def test_a_write_moves_all_metrics_to_the_host_at_once(tmp_path, monkeypatch):
  on_device = {f'batch/{i}': object() for i in range(15)}  # useless but to device_get
  calls = []

  def device_get(tree):
    calls.append(tree)
    return {name: np.full(2, i) for i, name in enumerate(tree)}

  monkeypatch.setattr(jax, 'device_get', device_get)
  tracker = open_tracker(tmp_path)
  tracker.write(10, on_device)
  tracker.close(0)
  assert calls == [on_device]
  values = {f'batch/{i}': i for i in range(15)}
  assert records.read_metrics(tmp_path / 'metrics.jsonl') == [
    {'lane': lane, 'step': 10, **values} for lane in range(2)
  ]


def test_a_restarted_run_writes_each_step_once(tmp_path):
  for restored_step, steps in ((0, (10, 20, 30)), (20, (30, 40))):
    tracker = open_tracker(tmp_path, restored_step=restored_step)
    assert tracker.last_step == (restored_step or -1)
    for step in steps:
      tracker.write(step, {'x': jnp.full(2, step)})
    tracker.close(0)
    tracker.close(1)  # has no effect
  rows = records.read_metrics(tmp_path / 'metrics.jsonl')
  assert [(row['lane'], row['step']) for row in rows] == [
    (lane, step) for step in (10, 20, 30, 40) for lane in (0, 1)
  ]


def test_wandb_is_left_alone_after_its_first_failure(tmp_path, monkeypatch, caplog):
  calls = []

  def fail(_, *arguments):
    calls.append(arguments[0])
    raise ConnectionError('first line\nsecond line')

  monkeypatch.setattr(wandb_runs.WandbRuns, 'open', lambda *_: None)
  monkeypatch.setattr(wandb_runs.WandbRuns, 'held_step', lambda _: 0)
  monkeypatch.setattr(wandb_runs.WandbRuns, 'log', fail)
  monkeypatch.setattr(wandb_runs.WandbRuns, 'finish', fail)
  tracker = open_tracker(tmp_path, mode='offline')
  for step in (10, 20, 30):
    tracker.write(step, {'x': jnp.ones(2)})
  tracker.close(7)
  assert calls == [10, [7, 7]]  # but what it has is flushed
  (message,) = [record.getMessage() for record in caplog.records]
  assert message.endswith('ConnectionError: first line')
  assert len(records.read_metrics(tmp_path / 'metrics.jsonl')) == 6


def test_wrong_calls_are_errors_and_not_warnings(tmp_path, monkeypatch):
  with pytest.raises(ValueError, match="'of'"):
    open_tracker(tmp_path, mode='of')
  monkeypatch.setattr(wandb_runs.WandbRuns, 'open', lambda *_: None)
  monkeypatch.setattr(wandb_runs.WandbRuns, 'held_step', lambda _: 0)
  tracker = open_tracker(tmp_path, mode='offline')
  for wrong in (pictures(dtype=np.float32), pictures(lanes=1), pictures(lanes=3)):
    with pytest.raises(ValueError, match="'samples': expected 2 pictures of uint8"):
      tracker.summarise(1, [{}, {}], wrong, NOTHING)
    with pytest.raises(ValueError, match="'samples': expected 2 pictures of uint8"):
      tracker.show(1, (0, 1), ([], []), wrong)
  with pytest.raises(ValueError, match=r"'x' \(3,\): expected a metric of shape \(2,\)"):
    tracker.write(1, {'x': jnp.ones(3)})
  tracker.write(1, {'x': jnp.ones(2)})
  with pytest.raises(ValueError, match='step 1 would stand twice'):
    tracker.write(1, {'x': jnp.ones(2)})
  tracker.close(0)
  assert len(records.read_metrics(tmp_path / 'metrics.jsonl')) == 2
