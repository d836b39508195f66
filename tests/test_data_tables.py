"""Tables in files that the test makes: what is read of them, and what is refused in one line."""

import datetime

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from vae_jax import config as settings
from vae_jax import data, errors, parts
from vae_jax.data import tables
from vae_jax.densities import Column

pytestmark = pytest.mark.math

TEXT = """age,sex,weight,city,smokes
41,male,70.5,Oslo,true
38,female,,Rome,false
29,male,81.25,Oslo,true
55,female,64,Lima,NA
62,male,77,Rome,false
"""
SLICES = dict(train='rows[:60%]', test='rows[60%:]')


@pytest.fixture
def save(tmp_path):
  """Writes a file, of text in UTF-8 or of bytes, and returns its path."""

  def write(content, name='people.csv'):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)

  return write


def opened(path, **settings):
  return data.open_source({'name': 'table', 'path': path, 'missing': 'left_out', **settings})


def read(path, train='rows[:60%]', test='rows[60%:]', missing='left_out', beside=(), **settings):
  source = opened(path, missing=missing, **settings)
  return data.read(source, train, test, (), (), 'auto', (), '', beside, missing)


def test_columns_by_name_are_the_values_of_an_example(save):
  found = read(save(TEXT), without=('city',), categories=('sex',))
  assert found.columns == (
    Column('age'),
    Column('sex', ('female', 'male')),
    Column('weight'),
    Column('smokes'),
  )
  assert found.support == 'real' and found.train.dtype == np.float32 and found.has_missing
  nan = np.nan
  np.testing.assert_array_equal(
    np.concatenate([found.train, found.test]),
    [[41, 1, 70.5, 1], [38, 0, nan, 0], [29, 1, 81.25, 1], [55, 0, 64, nan], [62, 1, 77, 0]],
  )


def test_columns_may_be_chosen_in_another_order(save):
  found = read(save(TEXT), columns=('weight', 'age'))
  assert [column.name for column in found.columns] == ['weight', 'age']
  np.testing.assert_array_equal(found.train[0], [70.5, 41])


def test_every_column_is_beside_the_examples(save):
  found = read(save(TEXT), columns=('age',), beside=('city', 'weight', 'smokes', 'age'))
  assert found.beside['test']['city'].tolist() == ['Lima', 'Rome']
  np.testing.assert_array_equal(found.beside['train']['weight'], [70.5, np.nan, 81.25])
  np.testing.assert_array_equal(found.beside['train']['smokes'], [1, 0, 1])
  np.testing.assert_array_equal(found.beside['test']['smokes'], np.array([np.nan, 0]))
  assert found.beside['train']['age'].dtype.kind == 'i'


def test_what_is_beside_is_no_value_of_an_example(save):
  asked = dict(conditions=('sex', 'smokes:classes'), size_factor='weight', split_order='group:city')
  assert opened(save(TEXT), **asked).columns == (Column('age'),)


@pytest.mark.parametrize(
  'rows', ['0,1\n1,0\n0,0\n', '0.1,0.9\n0.2,0.3\n1,0\n', '7,1\n255,2\n9,3\n']
)
def test_values_are_real_whatever_they_look_like(save, rows):
  assert read(save(f'a,b\n{rows}')).support == 'real'


@pytest.mark.parametrize('delimiter', [',', ';', '\t', '|'])
def test_the_delimiter_is_that_of_the_header(save, delimiter):
  expected = read(save(TEXT), without=('city', 'sex'))
  found = read(save(TEXT.replace(',', delimiter)), without=('city', 'sex'))
  assert found.sha256 == expected.sha256


def test_decimals_may_have_a_comma(save):
  points = 'height, in m;mass;sex\n1.84;70;m\n1.72;;f\n-0.5;1e-2;m\n'
  expected = read(save(points), without=('sex',))
  commas = points.replace('.', ',')
  found = read(save(commas), without=('sex',), decimal=',')
  assert [column.name for column in found.columns] == ['height, in m', 'mass']
  np.testing.assert_array_equal(found.train, np.array([[1.84, 70], [1.72, np.nan]], np.float32))
  assert found.sha256 == expected.sha256
  assert read(save(commas.replace(';', '\t')), without=('sex',), decimal=',').sha256 == found.sha256


@pytest.mark.parametrize(
  'content',
  [
    b'\xef\xbb\xbf' + TEXT.encode(),
    TEXT.replace('\n', '\r\n').encode(),
    TEXT.replace('age,sex', 'age , sex').encode(),
    TEXT.replace('NA', '').encode(),
    TEXT.replace('NA', '?').encode(),
    TEXT.replace('41,', '"41",').encode(),
    TEXT.rstrip().encode(),
  ],
  ids=[
    'BOM',
    'CRLF',
    'spaces in the header',
    'an empty cell',
    'a question mark',
    'quoted',
    'no last newline',
  ],
)
def test_the_same_table_written_otherwise_is_the_same(save, content):
  settings = dict(without=('city', 'sex'))
  assert read(save(content), **settings).sha256 == read(save(TEXT), **settings).sha256


def test_a_parquet_file_of_the_same_rows_is_the_same(save, tmp_path):
  path = str(tmp_path / 'people.parquet')
  parquet.write_table(
    pa.table({
      'age': pa.array([41, 38, 29, 55, 62], pa.int8()),
      'sex': pa.array(['male', 'female', 'male', 'female', 'male']).dictionary_encode(),
      'weight': pa.array([70.5, None, 81.25, 64, 77], pa.float32()),
      'city': ['Oslo', 'Rome', 'Oslo', 'Lima', 'Rome'],
      'smokes': [True, False, True, None, False],
      '__index_level_0__': list(range(5)),
    }),
    path,
  )  # fmt: skip
  settings = dict(without=('city',), categories=('sex',), beside=('city',))
  found, expected = (read(p, **settings) for p in (path, save(TEXT)))
  assert found.sha256 == expected.sha256 and found.columns == expected.columns


def test_the_values_of_a_column_decide_its_type_however_late_they_come(save):
  """And not those of the first megabyte, which is read at a time."""
  rows = ''.join(f'{i},0\n' for i in range(200_000))
  found = read(save(f'a,b\n{rows}1.5,2\n'), 'rows', 'rows[-1:]')
  assert found.train.shape == (200_001, 2)
  np.testing.assert_array_equal(found.test, [[1.5, 2]])


def test_categories_are_those_of_all_files_in_sorted_order(save):
  one = save('size\nsmall\nlarge\n', 'a.csv')
  two = save('size\nmedium\nlarge\n', 'b.csv')
  path = f'train={one}, test={two}'
  found = read(path, 'train', 'test', categories=('size',))
  assert found.columns == (Column('size', ('large', 'medium', 'small')),)
  assert found.train.ravel().tolist() == [2, 0] and found.test.ravel().tolist() == [1, 0]
  said = read(path, 'train', 'test', categories=('size=small | medium | large',))
  assert said.columns == (Column('size', ('small', 'medium', 'large')),)
  assert said.train.ravel().tolist() == [0, 2] and said.test.ravel().tolist() == [1, 2]
  with pytest.raises(errors.InputError, match=r"column 'size' has 'medium', and data.categories"):
    read(path, 'train', 'test', categories=('size=small|large',))


def test_numbers_may_be_categories_in_their_order(save):
  found = read(save('region,x\n10,1\n9,2\n,3\n10,4\n2,5\n'), categories=('region',))
  assert found.columns[0] == Column('region', ('2', '9', '10'))
  np.testing.assert_array_equal(found.train[:, 0], [2, 1, np.nan])


@pytest.mark.parametrize(
  ('labels', 'expected'), [('city', ['Oslo', 'Rome', 'Oslo']), ('age', [41, 38, 29])]
)
def test_labels_are_a_column_by_name(save, labels, expected):
  path, settings = save(TEXT), dict(columns=('age', 'weight'))
  found = read(path, labels=labels, **settings)
  assert found.labels['train'].tolist() == expected
  assert found.sha256 == read(path, **settings).sha256  # nothing is computed of a class


def test_a_label_has_one_number_in_all_files(save):
  one, two = save('x,kind\n1,b\n2,d\n', 'a.csv'), save('x,kind\n3,d\n4,a\n', 'b.csv')
  source = opened(f'train={one}, test={two}', columns=('x',), labels='kind')
  numbers = {split: source.read(split).factors['label'].tolist() for split in source.splits}
  assert numbers == {'train': [1, 2], 'test': [2, 0]}


def test_text_may_have_several_lines_wherever_they_lie(save):
  """Also where one megabyte ends, which is read at a time."""
  rows = ''.join(f'{i},"one,\ntwo,\nthree,\n{i}"\n' for i in range(100_000))
  source = opened(save(f'x,said\n{rows}'), columns=('x',))
  said = source.read('rows').beside['said']
  assert said[[0, -1]].tolist() == [f'one,\ntwo,\nthree,\n{i}' for i in (0, 99_999)]


def test_rows_are_shuffled_as_those_of_an_npz(save, tmp_path):
  x = np.random.default_rng(0).normal(size=(50, 3)).round(3)
  rows = '\n'.join(','.join(map(str, row)) for row in x)
  np.savez(tmp_path / 'x.npz', rows=x.astype(np.float32))
  named = {'name': 'npz', 'path': str(tmp_path / 'x.npz'), 'labels': ''}
  found, expected = (
    data.read(source, *splits, (), (), 'auto', (), split_order='shuffled', seed=4)
    for splits in [('rows[:80%]', 'rows[80%:]')]
    for source in (opened(save(f'a,b,c\n{rows}\n')), data.open_source(named))
  )
  np.testing.assert_array_equal(found.train, expected.train)
  np.testing.assert_array_equal(found.test, expected.test)
  assert not np.array_equal(found.train, x[:40].astype(np.float32))


def test_another_table_is_read_as_the_one_of_the_run(save):
  """By name and in the order of its columns, with its codes, whatever else the other one has."""
  settings = dict(
    name='table', path=save(TEXT), without=('city',), categories=('sex',), labels='city'
  )
  columns = data.open_source(settings).columns
  other = save('id,smokes,sex,weight,age\n1,1,male,50,30\n2,0,male,60,40\n', 'other.csv')
  source = data.open_source(data.moved_to(settings, other, columns))
  assert source.columns == columns
  np.testing.assert_array_equal(source.read('rows').images, [[30, 1, 50, 1], [40, 1, 60, 0]])
  assert source.read('rows').factors is None  # it has no cities
  assert data.moved_to(settings, settings['path'], columns)['labels'] == 'city'
  # What has gaps is read for its columns, too: what is wrong with it are the gaps.
  gaps = save('smokes,sex,weight,age\n1,male,,30\n2,female,60,40\n', 'gaps.csv')
  moved = data.moved_to(settings | dict(missing='refused'), gaps, columns)
  assert moved['labels'] == ''
  with pytest.raises(errors.InputError, match="column 'weight' has no value in row 1"):
    data.open_source(moved).read('rows')


def test_a_likelihood_knows_the_columns(save):
  source = opened(save(TEXT), without=('city',), categories=('sex',))
  settings = dict(name='by_column', columns_as=('sex=categorical', 'smokes=bernoulli'))
  likelihood = parts.build('likelihood', settings, event=(4,), columns=source.columns)
  assert likelihood.standardises == (True, False, True, False) and likelihood.num_heads == 2


def test_columns_are_standardised_by_the_training_split_alone(save):
  """And what the likelihood does not standardise is left as it is."""
  stored = read(save(TEXT), without=('city',), categories=('sex',))
  found = data.prepare(
    stored, False, 'none', 'per_pixel', 0, standardises=(True, False, True, True)
  )
  train = np.array([[41, 70.5], [38, np.nan], [29, 81.25]])
  np.testing.assert_allclose(found.standard.shift[[0, 2]], np.nanmean(train, axis=0), rtol=1e-6)
  np.testing.assert_allclose(found.standard.spread[[0, 2]], np.nanstd(train, axis=0), rtol=1e-6)
  assert (found.standard.shift[1], found.standard.spread[1]) == (0, 1)


def test_a_column_that_never_varies_is_pointed_out(save):
  stored = read(save('a,b\n1,7\n2,7\n3,7\n4,8\n5,7\n'))
  found = list(data.oddities(stored, *data.describe(stored)))
  assert any("all training examples have the same value of 'b'" in line for line in found)


def test_the_diabetes_data_are_a_table_of_two_kinds_of_columns():
  found = data.read(data.open_source({'name': 'diabetes'}), 'train', 'test', (), (), 'auto', (),
                    beside=('progression',))  # fmt: skip
  assert found.train.shape == (354, 10) and found.test.shape == (88, 10)
  assert found.columns[1] == Column('sex', ('1', '2')) and {*found.train[:, 1]} == {0.0, 1.0}
  assert found.train[0, [0, 2]].tolist() == pytest.approx([59, 32.1])  # as Efron's file begins
  assert found.beside['train']['progression'][0] == 151


WRONG = [
  ('', {}, 'is empty; write a header'),
  ('a,b\n', {}, 'has no row below its header'),
  ('a,b', {}, 'has no row below its header'),
  ('a,b\n1,2\n', {}, 'has one row below its header'),
  ('1,2\n3,4\n5,6\n', {}, 'begins with a row of numbers, \'1,2\'; give it a header'),
  (b'\xef\xbb\xbf1,2\n3,4\n5,6\n', {}, "begins with a row of numbers, '1,2'; give it a header"),
  ('a,a\n1,2\n3,4\n', {}, "has two columns named 'a'"),
  (',a\n0,2\n1,4\n', {}, 'column 1 has no name; give it one, or leave it out (in pandas'),
  ('a,b\n1,2\n3\n', {}, "line 3 has 1 values, and the header 2: '3'"),
  ('a,b\n1,2\n3,4,5\n', {}, "line 3 has 3 values, and the header 2: '3,4,5'"),
  ('a;b,c\n1;2\n3;4\n', {}, "its header has ',' and ';'; set data.delimiter"),
  ('a;b\n1,5;2\n2,5;x\n', {'decimal': ','}, "column 'b' is text, 'x' in row 2"),
  ('a;b\n1,5;2.5\n2,5;3\n', {'decimal': ','}, "'2.5' in row 1: data.decimal=',' is for decimals"),
  ('1,5;2\n2,5;3\n1;2\n', {'decimal': ','}, 'begins with a row of numbers'),
  ('a,b\n1,x\n2,y\n', {}, "column 'b' is text, 'x' in row 1; for categories add it to"),
  ('a;b\n1,5;2\n2,5;3\n', {}, "'1,5' in row 1: set data.decimal=',' if decimals have"),
  ('a,b\n"1,234",2\n"2,345",3\n', {}, "'1,234' in row 1: set data.decimal=',' if decimals"),
  ('a,b\n"1,234,5",2\n"2,345",3\n', {}, "'1,234,5' in row 1: write decimals with a point, and th"),
  ('a;b\n1.234.567;2\n2;3\n', {}, "'1.234.567' in row 1: write thousands without a separator"),
  ('a,b\n1,5 kg\n2,6 kg\n', {}, "'5 kg' in row 1: write numbers alone, without a unit"),
  ('a,b\n1,\n2,\n', {}, "column 'b' has no value in any row; add it to data.without"),
  ('a,b\n1,2026-01-02\n2,2026-01-03\n', {}, "column 'b' is text, '2026-01-02' in row 1"),
  ('a,b\n1,inf\n2,3\n', {}, '1 values that are infinite'),
  ('a,b\n,\n2,3\n4,5\n', {}, 'all of example 0 is missing everywhere'),
  ('å,b\n1,2\n3,4\n'.encode('latin1'), {}, 'is not in UTF-8; save it as UTF-8'),
  ('a,b\n1,å\n3,ø\n'.encode('latin1'), {}, "column 'b' is binary: neither numbers nor text"),
  (TEXT.encode('utf-16'), {}, 'is text in UTF-16; save it as UTF-8'),
  (b'PK\x03\x04sheet', {}, "'{path}' begins like a zip file, such as an .npz, and is none"),
  (b'\x00\x01\x02table', {}, 'is no text'),
  (TEXT, {'columns': ('agee',)}, "data.columns: data.path='{path}' has no column 'agee', only"),
  (TEXT, {'columns': ('agee',)}, "did you mean 'age'?"),
  (TEXT, {'columns': ('age', 'age')}, "data.columns has 'age' twice"),
  (TEXT, {'columns': ('age',), 'without': ('sex',)}, "data.without=('sex',): data.columns says"),
  (TEXT, {'without': ('town',)}, "data.without: data.path='{path}' has no column 'town'"),
  (TEXT, {'categories': ('city',), 'columns': ('age',)}, "data.categories: 'city' is no column of"),
  (TEXT, {'categories': ('weight',)}, "column 'weight' has numbers that are not whole"),
  (TEXT, {'columns': ('age',), 'labels': 'town'}, "data.labels: data.path='{path}' has no column"),
  (TEXT, {'columns': ('age',), 'labels': 'weight'}, 'is float64 and has more than whole numbers'),
  ('a\n1\n2\n', {'without': ('a',)}, 'no column is left that is a value of an example'),
]  # fmt: skip


@pytest.mark.parametrize(('content', 'settings', 'words'), WRONG)
def test_a_wrong_table_is_refused_in_one_line(save, content, settings, words):
  path = save(content)
  with pytest.raises(errors.InputError) as caught:
    read(path, 'rows', 'rows', **settings)
  assert words.format(path=path) in str(caught.value), caught.value
  assert '\n' not in str(caught.value) and 'data.' in str(caught.value)


def test_all_columns_of_text_are_named_at_once(save):
  with pytest.raises(errors.InputError) as caught:
    read(save('a,b,c\n1,x,u\n2,y,v\n'), 'rows', 'rows')
  assert [line.split("column '")[1][0] for line in caught.value.problems] == ['b', 'c']


def test_what_is_missing_is_refused_where_nothing_says_what_it_means(save):
  with pytest.raises(errors.InputError) as caught:
    read(path := save(TEXT), missing='refused', without=('city', 'sex'))
  (line,) = caught.value.problems
  assert line == (
    f"data.path={path!r}: column 'weight' has no value in row 2 (and in some rows: 'smokes'); set "
    "data.missing='left_out' where a value may be missing, or add it to data.without"
  )
  with pytest.raises(errors.InputError, match=r'or take it out of data\.columns$'):
    read(path, missing='refused', columns=('age', 'weight'))


def test_whether_a_value_may_be_missing_is_said_by_the_config(save):
  path = save(TEXT)
  common = settings.base().to_dict()['data']
  del common['missing']
  section = common | dict(
    scale_to_unit=False,
    name='table',
    path=path,
    without=('city', 'sex'),
    train_split='rows',
    test_split='rows',
  )
  assert data.load(**section, missing='left_out').has_missing
  with pytest.raises(errors.InputError, match=r"column 'weight' has no value in row 2"):
    data.load(**section)


def test_text_and_what_is_missing_are_said_at_once(save):
  with pytest.raises(errors.InputError) as caught:
    read(save(TEXT), missing='refused')
  found = [line.split("column '")[1].split("'")[0] for line in caught.value.problems]
  assert found == ['sex', 'city', 'weight']


def test_a_header_may_begin_as_other_files_do(save):
  """PK as a zip file, MATLAB as its files, GIF as a picture."""
  for name in ('PK', 'MATLAB 5.0 MPa', 'GIF89a', 'BM', 'RIFF', 'PAR', 'II'):
    found = read(save(f'{name},b\n1,2\n3,4\n'), 'rows', 'rows')
    assert [column.name for column in found.columns] == [name, 'b']


@pytest.mark.parametrize(
  ('path', 'words'),
  [
    ('', "data.name='table' needs the path of a .csv or .parquet file"),
    ('none.csv', 'there is no file'),
    ('train=none.csv,train=other.csv', "is not valid: it is a file, or 'train=FILE,test=FILE'"),
  ],
)
def test_a_path_that_is_none_is_refused_in_one_line(path, words):
  with pytest.raises(errors.InputError) as caught:
    opened(path)
  assert words in str(caught.value) and '\n' not in str(caught.value)


def test_files_of_other_columns_are_refused(save):
  one, two = save('a,b\n1,2\n3,4\n', 'one.csv'), save('a,c\n1,2\n3,4\n', 'two.csv')
  with pytest.raises(errors.InputError, match=r"split 'test' has no column 'b', only 'a', 'c'"):
    opened(f'train={one},test={two}')


def test_a_damaged_parquet_file_is_said_to_be_one(save, tmp_path):
  path = tmp_path / 'whole.parquet'
  parquet.write_table(pa.table({'a': [1.0, 2.0], 'day': [datetime.date(2026, 1, 2)] * 2}), path)
  assert tables.open_table(str(path), without=('day',)).columns == (Column('a'),)
  with pytest.raises(errors.DamagedError, match=r'is damaged'):
    opened(save(path.read_bytes()[:-20], 'cut.parquet'))
