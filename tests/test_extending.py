"""A run that takes in more lanes, or more steps: what it would have been from the start."""

import contextlib
import itertools
import os
import pathlib
import shutil

import pytest
from conftest import small_config
from run_files import results_without_times, state_digest

import vae_jax
from vae_jax import errors, files, placement, records, study
from vae_jax.records import manifest
from vae_jax.runs import checkpoint, evaluating, extending, loop, outcome, training, workdir

pytestmark = [pytest.mark.run, pytest.mark.usefixtures('no_pictures')]


def config_of(rates, steps=40, **train):
  config = small_config()
  config['lanes'] |= dict(beta=(1.0,), latent_size=(5,), seed=(0,), learning_rate=rates)
  config['program'] |= dict(width=2)
  config['train'] |= dict(
    steps=steps, evaluate_every=10, checkpoint_every=20, patience=1, keep='best'
  ) | train  # fmt: skip
  return config


# Each lane has the slot of its program that it has where all are there from the start: compiled in
# haste, an evaluation rounds otherwise in another slot. `test_stops.py` has other slots, as a user.
FEW, MANY = (1e-3, 3e-1), (2e-1, 1e-2, 1e-3, 3e-1)


@pytest.fixture(scope='module')
def unfinished(traced_once):
  """Runs end with their last step: the NLL and the pictures are not looked at here."""

  def finish(attempt, progress, evaluations, said):
    del evaluations, said
    outcome.write_results(attempt.study, attempt.workdir, progress, final=True)
    return outcome.read(attempt.workdir, 'analytic')

  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(loop, '_finish', finish)
    yield


@pytest.fixture(scope='module')
def once(unfinished, tmp_path_factory):
  """All lanes from the start, and the run of two of them that is extended."""
  root = tmp_path_factory.mktemp('once')
  training.run(config_of(MANY), root / 'many')
  training.run(config_of(FEW), root / 'few')
  return root


@pytest.fixture
def few(once, tmp_path):
  shutil.copytree(once / 'few', tmp_path / 'run')
  return tmp_path / 'run'


def assert_same(one, other, config):
  assert state_digest(one, config) == state_digest(other, config)
  assert results_without_times(one) == results_without_times(other)
  assert (one / 'metrics.jsonl').read_bytes() == (other / 'metrics.jsonl').read_bytes()


def test_new_lanes_make_the_run_that_had_them_from_the_start(once, few):
  config = config_of(MANY)
  result = training.run(config, few, extend=True)
  assert len(result.rows) == 4
  assert_same(once / 'many', few, config)
  assert workdir.is_finished(few) and manifest.faults(few) == {}
  assert not (few / 'extension').exists()
  (change, *_) = workdir.read_provenance(few)['changes']
  assert change['key'] == 'lanes.learning_rate'
  before = contents(few)
  training.run(config, few)  # the same command, with the flag and without it, has nothing to do
  training.run(config, few, extend=True)
  assert contents(few) == before


@pytest.mark.slow
def test_new_lanes_and_more_steps_at_once(once, few, unfinished, tmp_path):
  """The lanes that have stopped stay so."""
  config = config_of(MANY, steps=80)
  training.run(config, few, extend=True)
  training.run(config, tmp_path / 'long')
  assert_same(tmp_path / 'long', few, config)


class Killed(BaseException):
  """Stands for kill -9 where it strikes: nothing after it is done."""


WRITERS = (
  (os, 'rename'), (shutil, 'rmtree'), (checkpoint, 'save'), (records, 'write_results'),
  (manifest, 'write_text'), (manifest, 'forget'), (files, 'sync'),
)  # fmt: skip


def is_killed(monkeypatch, act, at):
  """Does something, killed before write number `at`; returns whether there was one."""
  calls = itertools.count()

  def struck(function):
    def call(*arguments, **keywords):
      if next(calls) == at:
        raise Killed
      return function(*arguments, **keywords)

    return call

  with monkeypatch.context() as patch:
    for module, name in WRITERS:
      patch.setattr(module, name, struck(getattr(module, name)))
    try:
      act()
      return False
    except Killed:
      return True


def test_a_kill_at_any_move_of_an_extension_leaves_the_same_files(once, few, monkeypatch, tmp_path):
  config = config_of(MANY)
  with monkeypatch.context() as patch, pytest.raises(Killed):
    patch.setattr(extending.joining, 'move', lambda directory: (_ for _ in ()).throw(Killed))
    training.run(config, few, extend=True)
  for kills in itertools.count():
    copy = pathlib.Path(shutil.copytree(few, tmp_path / f'killed-{kills}'))
    if not is_killed(monkeypatch, lambda copy=copy: extending.go_on(copy), at=kills):
      break
    assert_readable(copy)
    extending.go_on(copy)
    assert manifest.faults(copy) == {}
    found, first = contents(copy), contents(tmp_path / 'killed-0')
    for files_of in (found, first):  # what a file may be is settled at the end of the run
      del files_of['manifest.json']
    assert found == first
  assert kills > 8
  training.run(config, copy)
  assert_same(once / 'many', copy, config)
  assert manifest.faults(copy) == {}


def assert_readable(directory):
  """The config and the checkpoints that are read are those of one study."""
  config = workdir.read_config(extending.lies_at(directory, 'config.json').parent)
  stored = checkpoint.read_newest(extending.lies_at(directory, 'checkpoints'), ('.diverged_at',))
  assert len(stored.leaves['.diverged_at']) == len(study.points_of(config))
  rows = records.read_results(extending.lies_at(directory, 'results.csv'))
  assert len(rows) == len(study.points_of(config))


def test_a_run_that_was_killed_between_the_moves_is_loaded_and_evaluated(few, monkeypatch):
  """Loading leaves it as it is; an evaluation ends the moves before it begins."""
  config = config_of(MANY)
  with monkeypatch.context() as patch, pytest.raises(Killed):
    patch.setattr(workdir, 'record_lanes', lambda *_: (_ for _ in ()).throw(Killed))
    training.run(config, few, extend=True)
  before = contents(few)
  run = vae_jax.load(few)
  assert [lane.point['learning_rate'] for lane in run] == list(MANY)
  assert [row['name'] for row in run.results] == run.names
  assert contents(few) == before
  with monkeypatch.context() as patch, pytest.raises(Killed):
    patch.setattr(workdir, 'warn_of_another_world', lambda *_: (_ for _ in ()).throw(Killed))
    evaluating.evaluate(few)
  assert not (few / 'extension').exists()
  assert len(study.points_of(workdir.read_config(few))) == 4


def test_new_lanes_are_trained_by_narrower_programs_where_memory_ends(few, monkeypatch):
  """As the lanes of any run; from there on so are the others."""
  widths = []

  def begin(part, *arguments):
    widths.append(part.place.width)
    raise placement.TooWideError('too wide') if len(widths) == 1 else Killed

  monkeypatch.setattr(extending.beginning, 'begin', begin)
  with pytest.raises(Killed):
    training.run(config_of(MANY), few, extend=True)
  assert widths == [2, 1]
  assert workdir.recorded_width(few) == 1


@pytest.mark.slow
def test_a_chain_of_kills_in_an_extension_ends_with_the_same_bits(once, few, monkeypatch):
  """In the training of the new lanes, too."""
  config = config_of(MANY)
  run = lambda: training.run(config, few, extend=True)  # noqa: E731
  kills = next(k for k in range(200) if not is_killed(monkeypatch, run, at=k % 24))
  assert kills > 10
  assert_same(once / 'many', few, config)
  assert manifest.faults(few) == {}


def contents(directory):
  paths = (path for path in directory.rglob('*') if path.is_file() and path.name != '.lock')
  return {str(path.relative_to(directory)): path.read_bytes() for path in paths}


@pytest.mark.parametrize(
  ('change', 'words'),
  [
    (dict(learning_rate=(1e-3, 1e-2)), r'1 of the 2 lanes of .* are missing .* lanes\.beta=1\.0'),
    (dict(learning_rate=FEW, latent_size=(5, 6)), r'latent_size=6 is more .* valid value is 5$'),
  ],
)
def test_what_is_no_extension_is_one_line_and_changes_nothing(few, change, words):
  config = config_of(FEW)
  config['lanes'] |= change
  before = contents(few)
  with pytest.raises(errors.InputError, match=words):
    training.run(config, few, extend=True)
  assert contents(few) == before


def test_lanes_are_taken_in_by_the_flag_alone(few):
  with pytest.raises(errors.InputError, match=r'or give --extend to take in more lanes$'):
    training.run(config_of(MANY), few)


def test_another_program_is_no_extension(few):
  config = config_of(MANY)
  config['train']['batch_size'] = 33
  with pytest.raises(errors.InputError, match=r'another config: .*train\.batch_size is 32 there'):
    training.run(config, few, extend=True)


@pytest.mark.parametrize(
  ('schedule', 'refused'),
  [
    (dict(name='cosine', decay_steps=40, factor=0.1), True),
    (dict(name='linear', decay_steps=30, factor=0.0, warmup_steps=10), True),
    (dict(name='cosine', decay_steps=400, factor=0.1), False),  # made for more steps
    (dict(name='cosine', decay_steps=20, factor=0.1), False),  # level long since
    (dict(name='exponential', decay_steps=40, factor=0.1), False),  # never ends
    (dict(name='constant'), False),
  ],
)
def test_a_schedule_that_ends_with_the_run_has_no_more_steps(few, monkeypatch, schedule, refused):
  config = config_of(FEW, steps=80)
  config['schedule'] = dict(warmup_steps=0) | schedule
  stored = workdir.read_config(few)
  monkeypatch.setattr(workdir, 'read_config', lambda _: stored)
  with contextlib.ExitStack() as stack:
    if refused:
      words = rf'schedule\.decay_steps={schedule["decay_steps"]} ends with the 40 steps of'
      stack.enter_context(pytest.raises(errors.InputError, match=words))
    extending.check_steps(config, few)


def test_lanes_of_which_a_state_keeps_more_are_refused(few):
  config = config_of(FEW)
  config['lanes'] |= dict(ema_decay=(0.0, 0.9))
  before = {path: path.read_bytes() for path in few.rglob('*') if path.is_file()}
  with pytest.raises(errors.InputError, match=r'--extend: lanes.ema_decay=0.9: no lane of'):
    training.run(config, few, extend=True)
  assert before == {path: path.read_bytes() for path in few.rglob('*') if path.is_file()}
