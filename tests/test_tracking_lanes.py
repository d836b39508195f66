"""`wandb.lanes`: which lanes have a W&B run of their own."""

import jax.numpy as jnp
import pytest
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
  steps,
  warnings,
  workdir,
)

from vae_jax import records, tracking
from vae_jax.tracking import choosing, layout

pytestmark = pytest.mark.process

BEST = {
  'best': 'b4',
  'chosen_on': 'test',
  'sentences': ['One.'],
  'points': [
    {'name': 'b1', 'lanes': [0], 'fields': {}, 'mean': 79.5},
    {'name': 'b4', 'lanes': [2, 1], 'fields': {}, 'mean': 79.0},
  ],
}


def test_a_study_without_a_best_point_has_its_sentences():
  """As where all lanes have diverged."""
  verdict = {'best': None, 'points': [], 'sentences': ['Nothing counts.']}
  rows = [{'status': 'diverged'}]
  assert layout.study_summary(rows, verdict) == {
    'lanes': 1,
    'lanes_done': 1,
    'verdict': 'Nothing counts.',
  }


@pytest.mark.parametrize(
  ('setting', 'lanes', 'expected'),
  [
    ('all', 3, [0, 1, 2]),
    ('best', 3, []),
    (1, 3, [0]),
    (2, 40, [0, 39]),
    (5, 40, [0, 9, 19, 29, 39]),
    (8, 5, [0, 1, 2, 3, 4]),
    (8, 1, [0]),
  ],
)
def test_so_many_lanes_are_spread_evenly(setting, lanes, expected):
  settings = tracking.Settings('offline', '', 'vae', (), 0, setting)
  assert choosing.while_training(settings, lanes) == expected


def test_the_best_lane_is_that_of_the_verdict_else_of_the_objective():
  rows = [
    {'lane': i, 'status': status, 'validation/elbo': -1.0, 'validation/objective': objective}
    | {'test/nll': (80.5, 81.5, 82.5)[i], 'test/objective': -i}
    for i, (status, objective) in enumerate((('done', -3.0), ('stopped', -2.0), ('failed', -1.0)))
  ]
  assert choosing.best_of(rows, BEST) == 1
  assert choosing.best_of(rows, {}) == choosing.best_of(rows, {'best': None}) == 1
  assert choosing.best_of(rows[2:], {}) is None


def test_a_thousand_lanes_open_nine_runs(workdir, caplog):  # noqa: F811
  settings = tracking.Settings('offline', '', 'vae', (), 0, 8)
  names = [f'b{lane}' for lane in range(1000)]
  fields = [{'beta': lane} for lane in range(1000)]
  for restored_step in (0, 10):  # the same ones when it goes on
    tracker = tracking.open_tracker(
      workdir, names, fields, CONFIG, PROVENANCE, settings, restored_step
    )
    tracker.write(restored_step + 10, {'batch/elbo': jnp.arange(1000)})
    tracker.close(exit_code=0)
  found = list((workdir / 'wandb').glob('offline-run-*/run-*.wandb'))
  opened = {path.stem.removeprefix('run-').removesuffix(f'-{HASH}') for path in found}
  spread = [lane * 999 // 7 for lane in range(8)]
  assert (len(found), opened) == (18, {'study', *(f'b{lane}' for lane in spread)})
  assert len(records.read_metrics(workdir / 'metrics.jsonl')) == 2000
  assert warnings(caplog) == []


def test_the_best_lane_alone_is_uploaded_whole_at_the_end(workdir, server):  # noqa: F811
  tracker = open_tracker(workdir, 'online', own='best')
  assert not tracker.shown
  tracker.write(10, metrics(10))
  tracker.show(10, (0, 1, 2), ([], [], []), pictures())
  tracker.close(exit_code=143)
  assert list(server.runs) == [f'study-{HASH}']
  tracker = open_tracker(workdir, 'online', restored_step=10, own='best')
  tracker.write(20, metrics(20))
  results = tracking.Results(BEST, (), None)
  assert tracker.shown_at_end(result_rows(), BEST) == [1]
  of_best = {name: {1: image[1]} for name, image in pictures().items()}
  tracker.summarise(20, result_rows(), of_best, results)
  tracker.close(exit_code=0)

  def check():
    assert set(server.runs) == {f'study-{HASH}', f'{NAMES[1]}-{HASH}'}
    (best,) = server.lanes.values()
    assert [(row['step'], row['batch/elbo']) for row in best.rows] == [(10, -9), (20, -19)]
    assert 'media/samples' in best.rows[1]
    assert best.summary['final/test/nll'] == best.rows[1]['test/nll'] == 81.5
    (table, *_) = [c for path, c in server.runs[f'study-{HASH}'].files.items() if '.table' in path]
    assert all(name.encode() in table for name in NAMES)

  check()
  settings = tracking.Settings('online', '', 'vae', (), 0, 'best')
  rows = records.read_metrics(workdir / 'metrics.jsonl')
  ended = tracking.Ended(20, result_rows(), pictures(), results)
  tracking.upload(workdir, NAMES, FIELDS, CONFIG, PROVENANCE, settings, rows, ended)
  check()


def test_more_lanes_later_have_their_rows_from_the_journal(workdir, server):  # noqa: F811
  tracker = open_tracker(workdir, 'online', own=2)
  tracker.write(10, metrics(10))
  tracker.close(exit_code=143)
  assert set(server.lanes) == {f'{NAMES[0]}-{HASH}', f'{NAMES[2]}-{HASH}'}
  tracker = open_tracker(workdir, 'online', restored_step=10)
  tracker.write(20, metrics(20))
  tracker.close(exit_code=143)
  assert [steps(run.rows) for run in server.lanes.values()] == [[10, 20]] * 3


@pytest.mark.parametrize(
  ('most', 'lanes', 'own', 'adds'),
  [(0, 9, 9, False), (3, 2, 2, False), (3, 3, 3, False), (3, 4, 3, True), (500, 10_000, 500, True)],
)
def test_a_study_of_so_many_lanes_has_runs_of_some(most, lanes, own, adds):
  """Of as many lanes as there may be runs, and of fewer, each has one, as ever."""
  settings = tracking.Settings('offline', '', 'vae', (), 0, 'all', most)
  found = choosing.while_training(settings, lanes)
  assert (len(found), len(set(found)), found[0], found[-1]) == (own, own, 0, lanes - 1)
  assert choosing.adds_best(settings, lanes) == adds
  assert choosing.while_training(settings._replace(lanes=2), lanes) == [0, lanes - 1]
  assert not choosing.adds_best(settings._replace(lanes=2), lanes)


def test_lanes_beyond_the_most_have_no_run_but_the_best_one(workdir, server, caplog):  # noqa: F811
  """Here the lane in the middle: its run comes at the end, whole; each start takes the same."""
  caplog.set_level('INFO')
  settings = tracking.Settings('online', '', 'vae', (), 0, 'all', 2)
  results = tracking.Results(BEST, (), None)
  for restored_step in (0, 10):
    tracker = tracking.open_tracker(
      workdir, NAMES, FIELDS, CONFIG, PROVENANCE, settings, restored_step
    )
    assert tracker.shown == [0, 2]
    tracker.write(restored_step + 10, metrics(restored_step + 10))
    if restored_step:
      assert tracker.shown_at_end(result_rows(), BEST) == [0, 2, 1]
      assert set(server.lanes) == {f'{NAMES[0]}-{HASH}', f'{NAMES[2]}-{HASH}'}
      shown = {name: dict(enumerate(image)) for name, image in pictures().items()}
      tracker.summarise(20, result_rows(), shown, results)
    tracker.close(exit_code=0)
  assert [steps(server.runs[f'{name}-{HASH}'].rows) for name in NAMES] == [[10, 20]] * 3
  assert all('media/samples' in run.rows[-1] for run in server.lanes.values())
  assert warnings(caplog) == []
  (line, _) = [r.getMessage() for r in caplog.records if 'wandb.most_lanes' in r.getMessage()]
  assert 'of 2 of the 3 lanes' in line


def test_very_many_runs_are_one_warning(workdir, monkeypatch, caplog):  # noqa: F811
  monkeypatch.setattr(choosing, 'MANY', 2)
  open_tracker(workdir, 'offline').close(exit_code=0)
  (warning,) = warnings(caplog)
  assert 'wandb.lanes' in warning and '3 lanes' in warning
