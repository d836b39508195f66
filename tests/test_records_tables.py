"""CSV tables: short numbers that read back unchanged, and damage that does not pass."""

import os

import numpy as np
import pytest

from vae_jax import errors, records

pytestmark = pytest.mark.run

COLUMNS = ('lane', 'name', 'rate', 'active')


def test_the_tables_of_a_workdir_have_the_columns_of_the_contract():
  assert (
    *('lane', 'name', 'layer', 'latent', 'rate', 'mean_variance', 'active'),
  ) == records.LATENT_COLUMNS
  assert records.NLL_CURVE_COLUMNS == ('lane', 'name', 'samples', 'bound', 'stderr', 'images')


def test_cells_are_as_short_as_they_can_be(tmp_path):
  path = tmp_path / 'latents.csv'
  rows = [
    {'lane': np.int32(0), 'name': 'b4-z2-s0', 'rate': np.float32(0.1), 'active': np.bool_(True)},
    {'lane': 1, 'name': 'a,"b"', 'rate': None, 'active': False},
    {'lane': 2, 'rate': float('nan')},
  ]
  records.write_table(path, COLUMNS, rows)
  assert path.read_text().splitlines() == [
    'lane,name,rate,active',
    '0,b4-z2-s0,0.1,1',
    '1,"a,""b""",,0',
    '2,,nan,',
  ]


def test_rows_read_back_as_they_were(tmp_path):
  path = tmp_path / 'table.csv'
  values = np.random.default_rng(0).normal(size=50).astype(np.float32)
  records.write_table(
    path, COLUMNS, [{'lane': i, 'name': '1e5', 'rate': v} for i, v in enumerate(values)]
  )
  rows = records.read_table(path, COLUMNS)
  back = np.asarray([row['rate'] for row in rows], np.float32)
  np.testing.assert_array_equal(back.view(np.uint32), values.view(np.uint32))
  assert [row['lane'] for row in rows] == list(range(50))
  assert {type(row['lane']) for row in rows} == {int}
  assert {row['name'] for row in rows} == {'1e5'}  # a name stays a name
  assert {row['active'] for row in rows} == {None}


def test_a_table_may_be_empty_and_may_have_grown_columns(tmp_path):
  path = tmp_path / 'table.csv'
  records.write_table(path, COLUMNS, [])
  assert records.read_table(path, COLUMNS) == []
  records.write_table(path, (*COLUMNS, 'new'), [{'lane': 0, 'new': 2.5}])
  (row,) = records.read_table(path, COLUMNS)
  assert row == {'lane': 0, 'name': None, 'rate': None, 'active': None, 'new': 2.5}


def test_a_typo_does_not_pass_and_writes_nothing(tmp_path):
  with pytest.raises(ValueError, match=r'no such columns in table\.csv: rat$'):
    records.write_table(tmp_path / 'table.csv', COLUMNS, [{'lane': 0, 'rat': 1.0}])
  assert list(tmp_path.iterdir()) == []


def test_a_reader_sees_the_old_table_until_the_new_one_is_whole(tmp_path, monkeypatch):
  path = tmp_path / 'table.csv'
  records.write_table(path, COLUMNS, [{'lane': 0}])
  before = path.read_text()

  def killed(*_):
    assert path.read_text() == before
    raise KeyboardInterrupt

  monkeypatch.setattr(os, 'fsync', killed)
  with pytest.raises(KeyboardInterrupt):
    records.write_table(path, COLUMNS, [{'lane': 1}])
  assert path.read_text() == before
  assert [entry.name for entry in tmp_path.iterdir()] == ['table.csv']


@pytest.mark.parametrize(
  ('content', 'message'),
  [
    (b'', 'does not begin with the columns lane, name'),
    (b'{"lane": 0}\n', 'does not begin'),
    (b'name,lane,rate,active\na,0,1.0,1\n', 'does not begin'),
    (b'lane,name,rate\n0,a,1.0\n', 'does not begin'),
    (b'lane,name,rate,active\n0,a,1.5,1\n1,b,2', 'line 3: 3 cells for 4 columns'),
    (b'lane,name,rate,active\n0,a,1.5,1,7\n', 'line 2: 5 cells for 4 columns'),
    (b'lane,name,rate,active\n\n0,a,1.5,1\n', 'line 2: 0 cells for 4 columns'),
    (b'lane,name,rate,active\n0,a,1.5,1\n1,b,2.5,1', 'the end of the last line is torn off'),
    (b'lane,name,rate,active', 'the end of the last line is torn off'),
    (b'lane,name,rate,active\n0,"a,1.5,1\n', 'is not a table: unexpected end of data'),
    (b'lane,name,rate,active\n0,\xff\xfe,1.5,1\n', 'is not a table'),
  ],
)
def test_a_torn_or_foreign_file_is_damage(tmp_path, content, message):
  path = tmp_path / 'table.csv'
  path.write_bytes(content)
  with pytest.raises(errors.DamagedError, match=rf'table\.csv.*{message}'):
    records.read_table(path, COLUMNS)


@pytest.mark.parametrize('cut', range(1, 40))
def test_no_cut_but_between_lines_passes_for_a_table(tmp_path, cut):
  path = tmp_path / 'table.csv'
  rows = [{'lane': i, 'name': f'b{i}', 'rate': 0.25 * i, 'active': 1} for i in range(2)]
  records.write_table(path, COLUMNS, rows)
  whole = path.read_text()
  path.write_text(whole[:-cut])
  if whole[:-cut].endswith('\n'):
    assert records.read_table(path, COLUMNS) == rows[: whole[:-cut].count('\n') - 1]
  else:
    with pytest.raises(errors.DamagedError):
      records.read_table(path, COLUMNS)
