"""A run on a table, from the command line: trained, loaded, evaluated on another table."""

import json

import numpy as np
import pytest
from conftest import without_estimates, without_pictures

import vae_jax
from vae_jax import records, report
from vae_jax.commands import command, evaluate, train
from vae_jax.runs import outcome

pytestmark = [pytest.mark.run, pytest.mark.usefixtures('traced_once')]

RNG = np.random.default_rng(0)
FLAGS = (
  '--config=table', '--config.data.name=table', "--config.data.without=('person',)",
  "--config.data.categories=('sex',)", "--config.likelihood.columns_as=('sex=categorical',)",
  '--config.data.split_order=group:person', '--config.data.train_split=rows[:60%]',
  '--config.data.validation_split=rows[60%:80%]', '--config.data.test_split=rows[80%:]',
  '--config.lanes.latent_size=(2,)', '--config.lanes.seed=(0,)', '--config.encoder.hidden=(4,)',
  '--config.decoder.hidden=(4,)', '--config.train.steps=20', '--config.train.log_every=10',
  '--config.train.evaluate_every=20', '--config.train.checkpoint_every=20',
  '--config.train.batch_size=16', '--config.evaluation.nll_samples=4',
  '--config.evaluation.mixture_components=0',
)  # fmt: skip


def write(path, count, sexes=('male', 'female')):
  """Writes people, a third of whose weights are missing, and returns the path."""
  rows = ['sex,weight,height,person']
  for i in range(count):
    weight = '' if i % 3 == 0 else f'{RNG.normal(70, 9):.1f}'
    rows.append(f'{sexes[i % len(sexes)]},{weight},{RNG.normal(170, 9):.1f},p{i // 2}')
  path.write_text('\n'.join(rows) + '\n')
  return path


def of(make, *flags):
  return command.exit_code_of(make(), [str(flag) for flag in flags])


@pytest.fixture(scope='module')
def trained(tmp_path_factory, traced_once):
  directory = tmp_path_factory.mktemp('tables')
  path = write(directory / 'people.csv', 60)
  flags = (*FLAGS, f'--config.data.path={path}', f'--workdir={directory}/run')
  with pytest.MonkeyPatch.context() as patch:
    without_pictures(patch)
    without_estimates(patch)
    assert of(train.make, *flags) == 0
  return directory


def test_a_loaded_lane_takes_rows_as_they_are_stored(trained):
  run = vae_jax.load(trained / 'run')
  columns = json.loads((trained / 'run/model.json').read_text())['columns']
  assert [column['name'] for column in columns] == ['sex', 'weight', 'height']
  assert columns[0]['categories'] == ['female', 'male']
  (lane,) = run.lanes
  rows = np.array([[1, 80, 180], [0, np.nan, 170]], np.float32)
  assert lane.encode(rows).shape == (2, 2)
  found = lane.reconstruct(rows)
  assert set(found[:, 0]) <= {0.0, 1.0}
  assert 100 < found[:, 2].min() < found[:, 2].max() < 240  # in centimetres, not standardised


def test_a_group_that_is_asked_for_is_recorded(trained):
  config = json.loads((trained / 'run/config.json').read_text())
  assert config['data']['split_order'] == 'group:person'


@pytest.mark.parametrize(
  ('flags', 'words'),
  [
    ((), "data.path='': data.name='table' needs the path"),
    (('--config.data.path={path}', '--config.data.categories=()'), "column 'sex' is text, 'male'"),
    (('--config.data.path={path}', '--config.data.missing=refused'), "data.missing='left_out'"),
    (('--config.data.path={path}', '--config.data.split_order=group:town'), "no column 'town'"),
    (('--config.data.path={path}', '--config.data.split_order=sorted'), "or 'group:COLUMN'"),
    (('--config.data.path={path}', '--config.data.split_order=group:'), "or 'group:COLUMN'"),
  ],
)
def test_what_is_wrong_is_one_line_and_nothing_is_written(trained, capsys, flags, words):
  given = [flag.format(path=trained / 'people.csv') for flag in flags]
  names = {flag.split('=')[0] for flag in given}
  kept = [flag for flag in FLAGS if flag.split('=')[0] not in names]
  assert of(train.make, *kept, *given, f'--workdir={trained}/none') == 2
  err = capsys.readouterr().err
  assert words in err and not (trained / 'none').exists()


def test_another_table_is_seen_as_the_training_split_was(
  trained, capsys, caplog, no_pictures, no_images, no_parts
):
  """The test rows alone, in a file of their own with columns in another order."""
  (lane,) = (run := vae_jax.load(trained / 'run')).lanes
  lines = [f'{w:.1f},{h:.1f},{("female", "male")[int(sex)]}' for sex, w, h in run.test.tolist()]
  other = trained / 'other.csv'
  other.write_text('\n'.join(['weight,height,sex', *lines]).replace('nan', '') + '\n')
  flags = (f'--workdir={trained}/run', '--data_split=rows')
  assert of(evaluate.make, *flags, f'--data_path={other}') == 0
  # The rows are read as both splits of the config, and nothing is trained on them.
  assert 'in the training split' not in caplog.text
  (path,) = trained.glob('run/evaluations/other-*/results.csv')
  (row,) = records.read_results(path)
  assert row['test/elbo'] == pytest.approx(run.results[0]['test/elbo'], rel=1e-6)
  nll = -lane.log_likelihood(run.test, num_samples=4).mean()
  assert row['test/nll'] == pytest.approx(nll, rel=1e-6)
  said = outcome.read_verdict(path.parent)['sentences'][0]
  assert f'± is one standard error, of {len(lines)} rows' in said
  assert [report.read(each).example for each in (path.parent, trained / 'run')] == ['row', 'row']
  other.write_text('sex,height\nmale,170\nfemale,160\n')
  capsys.readouterr()
  assert of(evaluate.make, *flags, f'--data_path={other}') == 2
  assert "no column 'weight', only 'sex', 'height'" in capsys.readouterr().err
