"""`vae-jax dashboard`: the vendor's own classes take it, and what it names is logged."""

import json
import re

import numpy as np
import pytest
import wandb_server
from report_run import make_run, rows_of
from test_tracking_wandb import (  # noqa: F401 (its fixtures)
  CONFIG,
  FIELDS,
  HASH,
  PROVENANCE,
  isolated,
  server,
)

from vae_jax import errors, records
from vae_jax.commands import command
from vae_jax.commands import dashboard as dashboard_command
from vae_jax.records import schemas
from vae_jax.runs import dashboards, outcome
from vae_jax.tracking import dashboard, fragments, layout

pytestmark = pytest.mark.process


@pytest.fixture(scope='module')
def models():
  """The vendor's modules, imported by whoever reads them alone; an extra, which the tests have."""
  names = ('workspaces.internal', 'reports.v2.internal')
  return [pytest.importorskip(f'wandb_workspaces.{name}') for name in names]


@pytest.fixture
def stored(tmp_path):
  """A run made by hand, with a study id."""
  directory = make_run(tmp_path / 'stored')
  path = directory / 'provenance.json'
  path.write_text(json.dumps(json.loads(path.read_text()) | {'study_id': HASH}))
  return directory


def printed(directory, capsys):
  assert command.exit_code_of(dashboard_command.make(), [f'--workdir={directory}', '--print']) == 0
  return json.loads(capsys.readouterr().out)


def values_of(tree, key):
  """Yields what stands below a key, wherever it does."""
  if isinstance(tree, dict):
    for name, below in tree.items():
      if name == key:
        yield below
      yield from values_of(below, key)
  elif isinstance(tree, list):
    for below in tree:
      yield from values_of(below, key)


def test_the_vendors_own_classes_take_what_is_printed_without_a_server(stored, capsys, models):
  workspace_models, report_models = models
  found = printed(stored, capsys)
  workspace = workspace_models.WorkspaceViewspec.model_validate(found['workspace'])
  report = report_models.Spec.model_validate(found['report'])
  (runs,) = workspace.section.run_sets
  found_by = {(each['key']['name'], each['op'], each['value']) for each in runs.filters['filters']}
  assert found_by == {('group', '=', f'digits-{HASH}'), ('jobType', '=', 'lane')}
  kinds = [type(panel).__name__ for section in workspace.section.panel_bank_config.sections
           for panel in section.panels]  # fmt: skip
  assert kinds == ['ParallelCoordinatesPlot', 'ScatterPlot', *['LinePlot'] * 3, 'MediaBrowser']
  grids = [block for block in report.blocks if isinstance(block, report_models.PanelGrid)]
  assert len(grids) == 4
  text = json.dumps(found['report'])
  sentences = json.loads((stored / 'verdict.json').read_text())['sentences']
  assert all(json.dumps(sentence)[1:-1] in text for sentence in sentences)


@pytest.fixture
def logged(stored):
  """What stands in the config, the summary and the history of the run of a lane."""
  rows = records.read_results(stored / 'results.csv')
  fields = {name: rows[0][name] for name in FIELDS[0]}
  config = layout.lane_config(fields, CONFIG, PROVENANCE)
  names = (name.replace('SPLIT', 'test') for name in schemas.names(schemas.METRICS))
  history = layout.history(dict.fromkeys(names, 1))
  images = {name: np.zeros((1, 2, 4, 4, 1), np.uint8) for name in ('reconstructions', 'samples')}
  images |= {'originals': np.zeros((2, 4, 4, 1), np.uint8)}
  images |= {'traversals': np.zeros((1, 1, 1, 4, 4, 1), np.uint8)}
  media = layout.media(outcome.lane_grids(images, [0]), 0)
  return set(config), set(layout.summary(rows[0], config)), set(history), set(media)


@pytest.mark.usefixtures('models')
def test_every_key_that_it_names_is_logged(stored, logged, capsys):
  """A metric that is renamed turns this red."""
  found = printed(stored, capsys)
  config, summary, history, media = logged
  accessors = [
    *values_of(found, 'accessor'),
    *values_of(found, 'xAxis'),
    *values_of(found, 'yAxis'),
  ]
  of_config = {match[1] for key in accessors if (match := re.fullmatch(r'config:(.+)\.value', key))}
  of_summary = {match[1] for key in accessors if (match := re.fullmatch('summary:(.+)', key))}
  others = {key for key in accessors if ':' not in key}
  curves = {key for keys in values_of(found, 'metrics') for key in keys}
  grouped = {key.removesuffix('.value') for key in values_of(found, 'groupBy')}
  shown = {key for keys in values_of(found, 'mediaKeys') for key in keys}
  assert of_config == {'beta', 'latent_size'} and of_config | grouped <= config
  assert of_summary == {f'final/test/{name}' for name in ('nll', 'rate', 'distortion')} <= summary
  assert {f'test/{name}' for name in ('elbo', 'rate', 'distortion')} == curves <= history
  assert others == {layout.STEP, '_step'} and layout.STEP in history
  assert (
    shown == {f'media/{name}' for name in ('reconstructions', 'samples', 'traversals')} == media
  )


@pytest.mark.usefixtures('models')
def test_what_else_is_varied_is_an_axis_and_spread_values_are_on_logarithms():
  rows = rows_of(betas=(0.1, 1.0, 10.0), learning_rates=(1e-3, 2e-3))
  about = dashboard.About('digits', 'digits-1', 'test', rows, [])
  spec = dashboard.specification(*dashboard.make(about, '', ''))['workspace']
  (columns,) = values_of(spec, 'columns')
  assert [(column['accessor'], column.get('log')) for column in columns] == [
    ('config:beta.value', True),
    ('config:latent_size.value', False),
    ('config:learning_rate.value', False),
    ('summary:final/test/nll', None),
  ]
  rows = [row | {'beta': 0.0, 'test/nll': None} for row in rows]
  spec = dashboard.specification(*dashboard.make(about._replace(rows=rows), '', ''))['workspace']
  (columns,) = values_of(spec, 'columns')
  assert columns[0]['log'] is False  # the logarithm of 0
  assert columns[-1]['accessor'] == 'summary:final/test/elbo'


def test_it_is_saved_and_replaced_the_next_time(stored, server, capfd, models):  # noqa: F811
  workspace_models, report_models = models
  server.runs['b1-z2-s0'] = wandb_server.Run({'project': 'vae'})
  line = [f'--workdir={stored}', '--project=vae']
  for _ in range(2):
    assert command.exit_code_of(dashboard_command.make(), line) == 0
    first, second = capfd.readouterr().out.splitlines()
    assert re.fullmatch(rf'workspace: {server.url}/tester/vae\?nw=\w+', first)
    assert re.fullmatch(rf'report:    {server.url}/tester/vae/reports/digits-{HASH}--\w+', second)
    kinds = [view['type'] for view in server.views.values()]
    assert kinds == ['runs', 'project-view']
  report, workspace = server.views.values()
  workspace_models.WorkspaceViewspec.model_validate_json(workspace['spec'])
  report_models.Spec.model_validate_json(report['spec'])
  assert {view['projectName'] for view in server.views.values()} == {'vae'}
  (stored / 'wandb' / 'dashboard.json').write_text('{"enti')
  assert command.exit_code_of(dashboard_command.make(), line) == 0
  assert len(server.views) == 4


@pytest.mark.usefixtures('models')
def test_what_the_server_refuses_is_one_line_and_exit_6(stored, server, capfd):  # noqa: F811
  line = [f'--workdir={stored}', '--project=vae']
  assert command.exit_code_of(dashboard_command.make(), line) == 6  # no run is there yet
  *_, last = capfd.readouterr().err.splitlines()
  assert 'not found' in last and f'vae-jax upload --workdir={stored}' in last
  assert not server.views


@pytest.mark.usefixtures('models')
def test_who_is_not_logged_in_is_told_so(stored, server, monkeypatch):  # noqa: F811
  monkeypatch.delenv('WANDB_API_KEY')
  with pytest.raises(errors.StorageError, match='not logged in'):
    dashboards.save(stored)


@pytest.mark.usefixtures('models')
def test_the_group_is_that_under_which_the_run_was_tracked(stored):
  (stored / 'wandb').mkdir()
  fragments.write(stored / 'wandb', fragments.Fragments('89abcdef', {}))
  assert dashboards._about(stored).group == 'digits-89abcdef'


def test_without_the_extra_one_line_says_what_to_install(stored, capsys, monkeypatch):
  monkeypatch.setattr('importlib.util.find_spec', lambda name: None)
  for more in ([], ['--print']):
    line = [f'--workdir={stored}', *more]
    assert command.exit_code_of(dashboard_command.make(), line) == 2
    assert capsys.readouterr().err == (
      "vae-jax dashboard needs wandb-workspaces; pip install 'vae_jax[dashboard]'\n"
    )


def test_an_entity_that_cannot_be_one_is_refused(stored, capsys):
  line = [f'--workdir={stored}', '--project=a/b']
  assert command.exit_code_of(dashboard_command.make(), line) == 2
  assert 'wandb.project' in capsys.readouterr().err
