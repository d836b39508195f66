"""Schemas: the page of files shows them, and what a run leaves is in them."""

import fnmatch
import json
import re
import tarfile

import pytest
from conftest import ROOT

from vae_jax import disentanglement, lane_fields, records
from vae_jax.records import __main__ as command
from vae_jax.records import schemas

pytestmark = pytest.mark.run

PAGE = ROOT / 'docs' / 'files.md'


def test_the_page_of_files_shows_the_schemas():
  page = PAGE.read_text(encoding='utf-8')
  assert page.count(command.BEGIN) == page.count(command.END) == 1
  assert command.written(page) == page, 'python -m vae_jax.records docs/files.md'
  for column in records.result_columns(lane_fields.NAMES):
    assert f'| `{column}` |' in page


@pytest.mark.parametrize('name', ['RESULTS', 'LATENTS', 'NLL_CURVE', 'DISENTANGLEMENT', 'METRICS'])
def test_every_column_has_a_name_of_its_own_and_a_meaning(name):
  columns = getattr(schemas, name)
  assert len({column.name for column in columns}) == len(columns)
  for column in columns:
    assert column.meaning and '|' not in column.meaning.replace('\\|', '')
    assert column.better in ('', 'higher', 'lower')


def test_a_bound_is_better_higher_and_a_loss_lower():
  better = {column.name.split('/')[-1]: column.better for column in schemas.RESULTS}
  assert {better[name] for name in ('elbo', 'objective')} == {'higher'}
  assert {better[name] for name in ('nll', 'rate', 'distortion')} == {'lower'}


def test_the_scores_are_those_of_disentanglement():
  assert schemas.names(schemas.DISENTANGLEMENT)[3:] == disentanglement.NAMES


def test_a_stored_run_has_no_file_no_key_and_no_metric_without_a_schema(tmp_path):
  with tarfile.open(ROOT / 'tests' / 'fixtures' / 'runs_of_91_keys.tar.gz') as archive:
    archive.extractall(tmp_path, filter='data')
  runs = sorted(path.parent for path in tmp_path.rglob('config.json'))
  assert runs
  patterns = [file.name.split('/')[0] for file in schemas.FILES]
  metrics = '|'.join(
    re.escape(name).replace('SPLIT', '(batch|train|test)')
    for name in schemas.names(schemas.METRICS)
  )
  for run in runs:
    provenance = json.loads((run / 'provenance.json').read_text())
    assert set(provenance) <= set(schemas.names(schemas.PROVENANCE))
    for path in run.iterdir():
      known = any(fnmatch.fnmatch(path.name, pattern) for pattern in patterns)
      assert known or path.name.startswith('.'), path.name
    for line in (run / 'metrics.jsonl').read_text().splitlines():
      for name in json.loads(line):
        assert re.fullmatch(metrics, name), name
