"""A whole study of 40 lanes, trained, tracked offline and synchronised by the genuine client."""

import math

import pytest
from test_tracking_wandb import isolated, server, sync, wandb_records  # noqa: F401 (its fixtures)

from vae_jax import records
from vae_jax.runs import training
from vae_jax.tracking import layout

pytestmark = pytest.mark.process


def as_wandb_writes(row):
  """Returns what W&B gets of a row of metrics.jsonl, as its JSON has it."""
  values = layout.history(row)
  return {
    name: 'NaN' if isinstance(value, float) and math.isnan(value) else value
    for name, value in values.items()
  }


@pytest.mark.slow
@pytest.mark.usefixtures('no_pictures')
def test_forty_lanes_are_41_runs_with_all_rows(config, tmp_path, server):  # noqa: F811
  config['wandb'] |= dict(mode='offline')
  config['lanes'] |= dict(beta=(0.1, 0.5, 1.0, 2.0, 4.0), latent_size=(2, 3, 4, 5), seed=(0, 1))
  directory = tmp_path / 'run'
  assert training.run(config, directory).exit_code == 0
  study_id = (directory / 'provenance.json').read_text()
  journal = records.read_metrics(directory / 'metrics.jsonl')
  names = [row['name'] for row in records.read_results(directory / 'results.csv')]
  assert (len(names), len(journal)) == (40, 40 * 7)
  runs = sorted((directory / 'wandb').glob('offline-run-*'))
  assert len(runs) == 41

  def check(rows_of):
    for lane, name in enumerate(names):
      rows = rows_of(name)
      expected = [as_wandb_writes(row) for row in journal if row['lane'] == lane]
      assert [row['step'] for row in rows] == [row['step'] for row in expected]
      for row, values in zip(rows, expected, strict=True):
        assert {key: row[key] for key in values} == values

  def offline(name):
    (path,) = [run for run in runs if run.name.split('-', 3)[3].rpartition('-')[0] == name]
    assert path.name.rpartition('-')[2] in study_id
    return [record['item'] for record in wandb_records(path)['history']]

  check(offline)
  sync(directory)
  assert len(server.runs) == 41
  by_name = {run_id.rpartition('-')[0]: run.rows for run_id, run in server.runs.items()}
  check(by_name.get)
