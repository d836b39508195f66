"""The words of a command line and the paths in them, strictly."""

import pathlib

import pytest

from vae_jax import errors, paths
from vae_jax.commands import train, words

pytestmark = pytest.mark.math

OWN = train.make().flags


@pytest.mark.parametrize(
  ('written', 'words'),
  [
    ('', 'is empty'),
    (' ', 'is empty'),
    ('gs://bucket/run', 'is a URL'),
    ('s3://bucket', 'is a URL'),
    ('file:///tmp/x', 'is a URL'),
    (pathlib.PurePosixPath('gs://bucket/run'), 'is a URL'),  # gs:/bucket/run
    ('~nosuchuser/x', 'no such user'),
    ('a\0b', 'no name of a file'),
    ('x' * 300, 'too long'),
    ('x/' * 3000, 'too long'),
  ],
)
def test_what_is_no_path_of_this_machine_is_refused_in_a_short_line(written, words):
  with pytest.raises(errors.InputError, match=rf'^--workdir=.*{words}') as caught:
    paths.expanded(written, '--workdir')
  assert len(str(caught.value)) < 200


def test_a_path_is_expanded_and_otherwise_as_it_is(monkeypatch):
  monkeypatch.setenv('HOME', '/home/somebody')
  for written, path in {
    '~/runs/x': '/home/somebody/runs/x',
    'runs/~': 'runs/~',
    'C:/x': 'C:/x',
    'a:b': 'a:b',
    'run 1': 'run 1',
  }.items():
    assert paths.expanded(written, '--workdir') == pathlib.Path(path)


def test_a_flag_is_known_by_either_of_its_forms():
  right, problems = words.sorted_out(
    ['--config=x', '--config.data.scale_to_unit', '--from_scratch', '--nofrom_scratch'], OWN
  )
  assert right == ['--config=x', '--config.data.scale_to_unit', '--from_scratch']
  assert problems == ['--from_scratch is given twice; give it once']
  _, problems = words.sorted_out(['-config.lanes.seed=1', '--config.lanes.seed=2'], OWN)
  assert problems == ['--config.lanes.seed is given twice; give it once']
  _, problems = words.sorted_out(
    ['--noconfig.data.scale_to_unit', '--config.data.scale_to_unit=1'], OWN
  )
  assert problems == ['--config.data.scale_to_unit is given twice; give it once']


def test_the_value_of_a_wrong_flag_goes_with_it():
  right, problems = words.sorted_out(['--config.trian.steps', '1', '--process', '2', 'stray'], OWN)
  assert right == ['--process', '2', 'stray']
  assert len(problems) == 1


@pytest.mark.parametrize('flag', ['--flagfile=x', '--undefok=v', '--only_check_args'])
def test_flags_that_slip_others_in_are_not_taken(flag):
  right, problems = words.sorted_out([flag], OWN)
  assert not right
  assert 'is not taken' in problems[0]


def test_what_stands_without_its_flag_is_said_with_it(tmp_path, monkeypatch):
  (tmp_path / 'run').mkdir()
  monkeypatch.chdir(tmp_path)
  assert words.loose(['mine.py', '--workdir', 'x', '--from_scratch=1', 'y']) == ['mine.py', 'y']
  assert words.stray('mine.py') == "'mine.py' is no flag; did you mean --config=mine.py?"
  assert words.stray('run') == "'run' is no flag; did you mean --workdir=run?"


def test_no_hint_is_better_than_a_distant_one():
  _, problems = words.sorted_out(['--foo=3', '--config.train.dropout=1', '--config.foo.x=1'], OWN)
  assert problems[0] == '--foo: no such flag'
  assert problems[1].startswith('--config.train.dropout: no such key; train has steps, batch_size')
  assert problems[2].startswith('--config.foo.x: no such key; the sections are lanes, data')
  assert words.stray('foo=3') == "'foo=3' is no flag"
