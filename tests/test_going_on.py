"""A run that is taken up again, or evaluated: after changes, losses and damage of every kind."""

import contextlib
import json
import logging
import pathlib
import shutil
import types

import numpy as np
import pytest
from conftest import small_config, without_images
from run_files import small_picture, state_digest

from vae_jax import errors, figures, records, study, tracking
from vae_jax.records import manifest
from vae_jax.runs import checkpoint, evaluating, loop, others, outcome, resuming, training, workdir

pytestmark = [pytest.mark.run, pytest.mark.usefixtures('traced_once')]

STEPS = [10, 20, 30, 40]


def npz_config(path: pathlib.Path) -> dict:
  """Two lanes, forty steps, on a file of the user's; the checkpoints 30 and 40 are kept."""
  config = small_config()
  config['lanes'] |= dict(beta=(0.5, 4.0), latent_size=(2,))
  config['data'] |= dict(name='npz', path=str(path), train_split='train', test_split='test')
  config['train'] |= dict(steps=40, evaluate_every=20, checkpoint_every=10)
  return config


def save_images(path: pathlib.Path, seed: int, shape=(8, 8)) -> pathlib.Path:
  draws = np.random.default_rng(seed)
  images = {
    name: draws.random((n, *shape), np.float32) for name, n in (('train', 80), ('test', 60))
  }
  np.savez(path, **images)
  return path


@pytest.fixture(scope='module', autouse=True)
def one_picture():
  """Of all pictures a run draws one, and that small; nobody here reads images.npz."""
  with pytest.MonkeyPatch.context() as patch:
    without_images(patch)
    patch.setattr(figures, '_draw', lambda directory: {'samples': small_picture()})
    yield


@pytest.fixture(scope='module')
def original(tmp_path_factory, traced_once, one_picture):
  """A finished run, its config, and the file that it was trained on."""
  root = tmp_path_factory.mktemp('original')
  config = npz_config(save_images(root / 'faces.npz', seed=0))
  training.run(config, root / 'run')
  return config, root / 'run'


@pytest.fixture
def run(original, tmp_path):
  """A copy of it that may be damaged."""
  config, directory = original
  shutil.copytree(directory, tmp_path / 'run')
  return config, tmp_path / 'run'


def contents(directory: pathlib.Path) -> dict[str, bytes]:
  paths = (path for path in directory.rglob('*') if path.is_file() and path.name != '.lock')
  return {str(path.relative_to(directory)): path.read_bytes() for path in paths}


def flip(path: pathlib.Path):
  content = bytearray(path.read_bytes())
  content[len(content) // 2] ^= 1
  path.write_bytes(content)


def damage_checkpoint(directory: pathlib.Path, step: int):
  paths = [p for p in (directory / 'checkpoints' / str(step) / 'leaves').rglob('*') if p.is_file()]
  for path in paths:
    if path.stat().st_size > 200:
      flip(path)


def steps_and_lanes(directory: pathlib.Path) -> list[tuple[int, int]]:
  rows = records.read_metrics(directory / 'metrics.jsonl')
  return [(row['step'], row['lane']) for row in rows]


@pytest.mark.usefixtures('no_estimates')
def test_more_steps_at_another_cadence_end_with_the_bits_of_one_long_run(original, run, tmp_path):
  """Chunks of 20 steps in place of 10, and a border at 40 that the long run has not."""
  config, directory = run
  longer = config | {
    'train': config['train'] | dict(steps=70, log_every=20, evaluate_every=40, checkpoint_every=20),
    'program': config['program'] | dict(resident_gib=0.0),
  }
  training.run(longer, directory)
  once = tmp_path / 'once'
  training.run(config | {'train': config['train'] | dict(steps=70)}, once)
  assert state_digest(directory, longer) == state_digest(once, longer)
  assert steps_and_lanes(directory) == [(s, i) for s in (*STEPS, 60, 70) for i in range(2)]
  assert workdir.is_finished(directory)
  assert manifest.faults(directory) == {}
  changed = {change['key'] for change in workdir.read_provenance(directory)['changes']}
  cadences = {f'train.{key}' for key in ('log_every', 'evaluate_every', 'checkpoint_every')}
  assert changed == cadences | {'train.steps', 'program.resident_gib'}
  assert workdir.read_config(directory)['train']['log_every'] == 20


def test_log_points_follow_from_a_cadence():
  settings = study.TrainSettings(65, 10, True, 65, 65, patience=0, keep='last')
  assert loop.log_points(settings, 40) == [1, 2, 4, 8, 10, 16, 20, 30, 32, 40]
  assert loop.log_points(settings, 65)[-3:] == [60, 64, 65]


def without(lines, number):
  return lines[: number - 1] + lines[number:]


def with_line(lines, number, old, new):
  assert old in lines[number - 1]
  return [line.replace(old, new) if i == number - 1 else line for i, line in enumerate(lines)]


# What is done to the eight lines of the journal, the row that is then missing, whether a line is
# no row any more, and the checkpoint from which the rows are made again, if any.
DAMAGE = {
  'deleted': (lambda lines: [], (10, 0), False, None),
  'shortened': (lambda lines: lines[:6], (40, 0), False, 30),
  'last row gone': (lambda lines: lines[:7], (40, 1), False, 30),
  'a row torn out': (lambda lines: without(lines, 3), (20, 0), False, None),
  'a late row torn out': (lambda lines: without(lines, 7), (40, 0), False, 30),
  'a step changed': (lambda lines: with_line(lines, 4, '"step": 20', '"step": 21'), (20, 1), True,
                     None),
  'a lane changed': (lambda lines: with_line(lines, 7, '"lane": 0', '"lane": 1'), (40, 0), True,
                     30),
  'a value changed': (lambda lines: with_line(lines, 1, '"batch/elbo": -', '"batch/elbo": '),
                      (10, 0), True, None),
  'no JSON': (lambda lines: with_line(lines, 7, '{', '('), (40, 0), True, 30),
  'no check': (lambda lines: with_line(lines, 3, '"crc32"', '"crb32"'), (20, 0), True, None),
}  # fmt: skip


@pytest.mark.parametrize('name', DAMAGE)
def test_a_journal_behind_its_checkpoint_is_said_and_made_again_where_it_can_be(run, caplog, name):
  config, directory = run
  change, missing, moved, older = DAMAGE[name]
  path = directory / 'metrics.jsonl'
  whole = path.read_text().splitlines(keepends=True)
  assert len(whole) == 8
  path.write_text(''.join(change(whole)))
  built = study.from_config(config)
  with contextlib.closing(checkpoint.open_manager(directory / 'checkpoints')) as manager:
    progress = resuming.restored(built, directory, manager, from_scratch=False)
  assert progress.step == (older or 40)
  step, lane = missing
  assert f'the row of lane {lane} at step {step}' in caplog.text
  words = f'made again from step {older}' if older else 'no checkpoint is older, and so it stays so'
  assert words in caplog.text
  assert path.with_suffix('.damaged').exists() == moved
  assert records.steps_in(progress.logged) == [s for s in STEPS if s <= progress.step]
  good = [(s, i) for s in STEPS for i in range(2)]
  assert set(steps_and_lanes(directory)) <= set(good) - {missing}


def test_a_whole_journal_is_left_alone(run, caplog):
  config, directory = run
  before = contents(directory)
  built = study.from_config(config)
  caplog.clear()
  with contextlib.closing(checkpoint.open_manager(directory / 'checkpoints')) as manager:
    assert resuming.restored(built, directory, manager, from_scratch=False).step == 40
  assert not caplog.records
  assert contents(directory) == before


@pytest.mark.parametrize('cadence', ['as it was', 'another'])
def test_a_journal_of_an_earlier_version_is_checked_too_and_sealed(run, caplog, cadence):
  """Its rows have no check, its checkpoints no log points: they follow from the cadence."""
  config, directory = run
  path = directory / 'metrics.jsonl'
  rows = records.read_metrics(path)
  path.write_text(''.join(json.dumps(row) + '\n' for row in rows if row['step'] != 30))
  built = study.from_config(config)
  if cadence == 'another':
    change = {'from_step': 40, 'key': 'train.log_every', 'was': 10, 'is': 20}
    stored = workdir.read_provenance(directory)
    workdir.write_provenance(directory, stored | {'changes': [change]})
  with contextlib.closing(checkpoint.open_manager(directory / 'checkpoints')) as manager:
    newest = resuming.states.restored(built, manager)._replace(logged=None)
  steps = resuming._log_points(built.train, directory, newest)
  missing = records.damage(path, steps, [None] * 2).missing
  assert missing == ([(30, 0), (30, 1)] if cadence == 'as it was' else [])
  tracking.open_tracker(directory, built.names, built.points, config, {},
                        tracking.Settings(**config['wandb']), 40).close(0)  # fmt: skip
  assert [row for row in rows if row['step'] != 30] == records.read_metrics(path)
  assert all(', "crc32": "' in line for line in path.read_text().splitlines())


def test_the_journal_of_a_finished_run_is_mended_to_the_same_bytes(run, caplog):
  config, directory = run
  path = directory / 'metrics.jsonl'
  whole = path.read_bytes()
  path.write_bytes(whole[: whole.rindex(b'\n', 0, -1) + 1])
  with pytest.raises(errors.DamagedError, match=r'metrics\.jsonl fails its sha256; nothing was ev'):
    evaluating.evaluate(directory)
  training.run(config, directory)
  assert 'run: metrics.jsonl fails its sha256' in caplog.text
  assert 'made again from step 30' in caplog.text
  assert path.read_bytes() == whole
  assert workdir.is_finished(directory)
  assert manifest.faults(directory) == {}


def test_a_finished_run_without_its_last_checkpoint_trains_to_it_again(run, original, caplog):
  """What `launch.evaluate` advises; one whose checkpoints were all cleared away stays finished."""
  config, directory = run
  shutil.rmtree(directory / 'checkpoints' / '40')
  assert resuming.finished(config, directory) is None
  assert 'checkpoints/40 is missing' in caplog.text
  assert not workdir.is_finished(directory)
  training.run(config, directory)
  assert state_digest(directory, config) == state_digest(original[1], config)
  shutil.rmtree(directory / 'checkpoints')
  assert training.run(config, directory).exit_code == 0


def test_lost_checkpoints_are_said_and_a_flag_begins_again(run, original):
  config, directory = run
  workdir.mark_unfinished(directory)
  shutil.rmtree(directory / 'checkpoints')
  before = (directory / 'metrics.jsonl').read_bytes()
  with pytest.raises(
    errors.InputError, match=r'checkpoints are gone; put them back, or give --from'
  ):
    training.run(config, directory)
  assert (directory / 'metrics.jsonl').read_bytes() == before
  training.run(config, directory, from_scratch=True)
  assert state_digest(directory, config) == state_digest(original[1], config)
  assert (directory / 'metrics.jsonl').read_bytes() == before


def test_checkpoints_of_which_none_verifies_begin_again_with_the_flag_only(run, caplog):
  config, directory = run
  for step in (30, 40):
    damage_checkpoint(directory, step)
  built = study.from_config(config)
  with contextlib.closing(checkpoint.open_manager(directory / 'checkpoints')) as manager:
    with pytest.raises(errors.DamagedError, match=r'; --from_scratch begins again at step 0$'):
      resuming.restored(built, directory, manager, from_scratch=False)
    assert sorted(manager.all_steps()) == [30, 40]
    assert resuming.restored(built, directory, manager, from_scratch=True) is None
    assert not manager.all_steps()
  assert 'beginning again at step 0' in caplog.text


def test_a_finished_run_needs_no_data_and_says_what_has_no_effect(run, caplog):
  config, directory = run
  caplog.set_level(logging.INFO)
  moved = config | {'data': config['data'] | dict(path='no/such/file.npz')}
  before = contents(directory)
  result = training.run(moved, directory)
  assert result.rows == records.read_results(directory / 'results.csv')
  assert "without effect: data.path is '" in caplog.text
  assert contents(directory) == before


def test_a_damaged_table_of_a_finished_run_is_named_with_what_makes_it_again(run, caplog):
  config, directory = run
  (directory / 'figures' / 'samples.png').unlink()
  assert training.run(config, directory).exit_code == 0
  assert 'figures/samples.png is missing; vae-jax evaluate' in caplog.text
  flip(directory / 'latents.csv')
  with pytest.raises(errors.DamagedError, match=r'latents\.csv fails its sha256; vae-jax evaluate'):
    training.run(config, directory)
  rows = records.read_results(directory / 'results.csv')
  flip(directory / 'results.csv')
  evaluating.evaluate(directory)
  assert 'it is made again' in caplog.text
  assert manifest.faults(directory) == {}
  again = records.read_results(directory / 'results.csv')
  assert [row | {'seconds': 0} for row in again] == [row | {'seconds': 0} for row in rows]
  # Recorded beside the table, so that it does not shrink even where the table was lost.
  assert [row['seconds'] for row in again] == [row['seconds'] for row in rows]


def test_devices_that_make_another_width_are_warned_of(run, caplog):
  _, directory = run

  class Built:
    place = types.SimpleNamespace(width=8)

    def at_width(self, width):
      assert width == workdir.recorded_width(directory)
      return self

  resuming.at_recorded_width(Built(), directory)
  assert 'programs have 8 lanes on these devices, and had 2 before' in caplog.text
  assert workdir.recorded_width(directory) == 8
  caplog.clear()
  resuming.at_recorded_width(Built(), directory)
  assert not caplog.records


@pytest.mark.parametrize('loss', ['damaged', 'removed', 'all removed'])
def test_evaluate_never_replaces_figures_by_those_of_an_older_step(run, loss):
  _, directory = run
  if loss == 'damaged':
    damage_checkpoint(directory, 40)
  else:
    lost = directory / 'checkpoints'
    shutil.rmtree(lost if loss == 'all removed' else lost / '40')
  before = contents(directory)
  with pytest.raises(
    errors.DamagedError, match=r'checkpoints/40, of which there are figures.* nothing w'
  ):
    evaluating.evaluate(directory)
  after = contents(directory)
  assert {name: after[name] for name in before if 'checkpoints' not in name} == {
    name: content for name, content in before.items() if 'checkpoints' not in name
  }


@pytest.mark.parametrize(('old', 'new'), [('"seed": 0', '"seed": 7'), ('4.0', '2.0')])
def test_evaluate_does_not_believe_an_edited_config(run, old, new):
  _, directory = run
  path = directory / 'config.json'
  text = path.read_text()
  assert old in text
  path.write_text(text.replace(old, new))
  before = contents(directory)
  with pytest.raises(
    errors.DamagedError, match=r'config\.json fails its sha256; it cannot be made'
  ):
    evaluating.evaluate(directory)
  assert contents(directory) == before


def test_a_data_file_that_has_moved_is_named_once(run, original, tmp_path, monkeypatch):
  config, directory = run
  moved = pathlib.Path(shutil.copy(config['data']['path'], tmp_path / 'moved.npz'))
  rows = records.read_results(directory / 'results.csv')
  result = evaluating.evaluate(directory, data_path=str(moved))
  assert result.rows == rows  # `seconds` included
  assert workdir.read_config(directory)['data']['path'] == str(moved)
  (change,) = workdir.read_provenance(directory)['changes']
  assert (change['key'], change['is']) == ('data.path', str(moved))
  moved.rename(tmp_path / 'again.npz')
  with pytest.raises(errors.InputError, match=r'moved\.npz'):
    evaluating.evaluate(directory)


def test_figures_of_other_data_stand_beside_those_of_the_run(run, tmp_path, monkeypatch):
  _, directory = run
  monkeypatch.setattr(outcome, 'estimate', lambda *arguments: outcome.Estimates({}, []))
  other = save_images(tmp_path / 'others.npz', seed=1)
  names = [name for name in contents(directory) if 'checkpoints' not in name]
  before = contents(directory)
  first = evaluating.evaluate(directory, data_path=str(other))
  second = evaluating.evaluate(directory, data_path=str(other), data_split='test[:30]')
  after = contents(directory)
  assert {name: after[name] for name in names} == {name: before[name] for name in names}
  folders = sorted(path.name for path in (directory / 'evaluations').iterdir())
  assert len(folders) == 2 and all(name.startswith('others-') for name in folders)
  for result in (first, second):
    assert result.results.parent.parent == directory / 'evaluations'
    assert manifest.faults(result.results.parent) == {}
    assert (result.results.parent / 'figures' / 'samples.png').exists()
  assert (
    first.rows[0]['test/elbo'] != records.read_results(directory / 'results.csv')[0]['test/elbo']
  )
  # The same split twice: train and test figures are of the same images, and of different noise.
  assert second.rows[0]['train/elbo'] == pytest.approx(second.rows[0]['test/elbo'], rel=0.05)
  record = json.loads((second.results.parent / 'evaluation.json').read_text())
  assert record['data']['test_split'] == 'test[:30]'


def test_data_of_another_shape_and_data_that_nobody_named_are_refused(run, tmp_path):
  config, directory = run
  before = contents(directory)
  wide = save_images(tmp_path / 'wide.npz', seed=1, shape=(8, 9))
  with pytest.raises(errors.InputError, match=r'shape \[8, 9, 1\], and .* trained on \[8, 8, 1\]'):
    evaluating.evaluate(directory, data_path=str(wide))
  assert contents(directory) == before
  path = pathlib.Path(config['data']['path'])
  kept = path.read_bytes()
  try:
    save_images(path, seed=5)
    with pytest.raises(errors.InputError, match=r'other data than .* give --data_path=FILE$'):
      evaluating.evaluate(directory)
  finally:
    path.write_bytes(kept)
  assert contents(directory) == before


def test_evaluate_says_that_the_world_is_another_and_does_not_record_it(run, caplog):
  """What trained it stays: nothing else is what its parameters were made by."""
  _, directory = run
  stored = workdir.read_provenance(directory)
  stored['versions']['jaxlib'] = '0.0'
  workdir.write_provenance(directory, stored)
  with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
    patch.setattr(evaluating, '_newest', lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    evaluating.evaluate(directory)
  assert "the last bits may differ: versions.jaxlib is '0.0' there" in caplog.text
  assert workdir.read_provenance(directory)['versions']['jaxlib'] == '0.0'


def test_a_run_that_was_killed_as_it_began_has_no_checkpoint_yet(config, tmp_path):
  manifest.begin(tmp_path, ())
  manifest.write_text(tmp_path / 'config.json', json.dumps(config))
  with pytest.raises(errors.InputError, match='no checkpoint yet; train it first'):
    evaluating.evaluate(tmp_path)


def test_a_gathered_directory_names_the_shares(run):
  _, directory = run
  stored = workdir.read_provenance(directory)
  workdir.write_provenance(directory, stored | {'processes': 2})
  with pytest.raises(errors.InputError, match=r'gathered from 2 .*/process-0, --workdir=\S*-1$'):
    evaluating.evaluate(directory)


def test_what_the_training_split_decides_is_not_made_up_of_other_data(original):
  config, directory = original
  config = config | {'data': config['data'] | {'standardize': 'all'}}
  built = types.SimpleNamespace(
    dataset=types.SimpleNamespace(sha256='another'),
    event=(8, 8, 1),
  )
  other = others.Other(data_path='other.npz')
  with pytest.raises(errors.InputError, match=r"data\.standardize='all' is fitted"):
    others.is_own(built, config, directory, other, None)
