"""A study from end to end: the files it leaves, what stops it, and how it goes on."""

import csv
import functools
import json
import operator
import pickle
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import small_config
from run_files import assert_same_run, state_digest

import vae_jax
from vae_jax import (
  errors,
  evaluation,
  figures,
  lane_fields,
  learner,
  programs,
  records,
  study,
  tracking,
)
from vae_jax.runs import checkpoint, evaluating, outcome, states, training
from vae_jax.runs import workdir as workdir_module

pytestmark = [pytest.mark.run, pytest.mark.usefixtures('traced_once', 'no_pictures')]

TERMS = ('elbo', 'rate', 'distortion', 'objective')
NLL = ('nll', 'nll_stderr', 'nll_samples', 'nll_images')
TRUST = ('effective_samples', 'largest_weight', 'low_effective_fraction', 'active_units')
COLUMNS = [
  *('lane', 'name', 'status', 'step', 'best_step', *lane_fields.NAMES),
  *('beta_normalised', 'multiplier'),
  *(f'{split}/{term}' for split in ('train', 'validation', 'test') for term in TERMS),
  *(f'validation/{name}' for name in (*NLL, *TRUST)),
  *(f'test/{name}' for name in NLL),
  *('test/bits_per_dim_8bit', 'test/bits_per_dim_density'),
  *(f'test/{name}' for name in TRUST),
  *('test/mutual_information', 'test/mutual_information_stderr'),
  *('test/mutual_information_ceiling', 'test/marginal_kl', 'test/total_correlation'),
  *('test/dimension_wise_kl', 'test/mixture_gain'),
  *('collapsed_at', 'reason', 'seconds', 'steps_per_second'),
]


@pytest.fixture(scope='module')
def finished(tmp_path_factory, traced_once):
  """One uninterrupted run of a fresh copy of the small study, and the number of its traces."""
  config = small_config()
  config['evaluation'] |= dict(mixture_components=2)
  workdir = tmp_path_factory.mktemp('finished') / 'run'
  traces = []
  original = programs.chunks.run_chunk
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(figures.style, 'DPI', 40)  # how large the pictures are is not looked at
    patch.setattr(programs.chunks, 'run_chunk', lambda *a: traces.append(1) or original(*a))
    result = training.run(config, workdir)
    yield config, workdir, result, len(traces)


def test_a_run_leaves_the_files_of_the_contract(finished):
  config, workdir, result, traces = finished
  assert traces == 1
  assert result.exit_code == 0
  names = {path.name for path in workdir.iterdir()}
  assert {'config.json', 'provenance.json', 'metrics.jsonl', 'results.csv', 'checkpoints'} <= names
  assert {'latents.csv', 'nll_curve.csv', 'per_image.npz', 'images.npz', 'report.html'} <= names
  assert json.loads((workdir / 'config.json').read_text()) == json.loads(json.dumps(config))
  provenance = json.loads((workdir / 'provenance.json').read_text())
  assert provenance['width'] == 4
  assert len(provenance['data_sha256']) == 64
  pictures = {path.name for path in (workdir / 'figures').iterdir()}
  assert pictures == {
    'rate_distortion.png',
    'elbo_heatmap.png',
    'learning_curves.png',
    'reconstructions.png',
    'samples.png',
    'aggregate_samples.png',
    'traversals.png',
    'latents.png',
    'active_units.png',
    'nll_curve.png',
  }
  with np.load(workdir / 'images.npz') as images:
    assert images['reconstructions'].shape == (4, 8, 8, 8, 1)
    assert images['units'].shape == (4, 8, 8, 8, 8, 1)  # of latent size 5; walked along each
    assert images['interpolations'].shape == (4, 2, 8, 8, 8, 1)
    assert images['codes'].shape == (4, 359, 2)
    assert len(np.unique(images['labels'])) == 10


def test_results_have_the_columns_and_add_up(finished):
  _, workdir, _, _ = finished
  with open(workdir / 'results.csv') as file:
    assert next(csv.reader(file)) == COLUMNS
  rows = records.read_results(workdir / 'results.csv')
  assert [row['name'] for row in rows] == ['b0.5-z2-s0', 'b0.5-z5-s0', 'b4-z2-s0', 'b4-z5-s0']
  for row in rows:
    assert (row['status'], row['step']) == ('done', 65)
    for split in ('train', 'test'):
      rate, distortion = row[f'{split}/rate'], row[f'{split}/distortion']
      assert row[f'{split}/elbo'] == pytest.approx(-distortion - rate, rel=1e-5)
      assert row[f'{split}/objective'] == pytest.approx(-distortion - row['beta'] * rate, rel=1e-5)
    assert row['beta_normalised'] == pytest.approx(row['beta'] * row['latent_size'] / 64)
    bits = row['test/nll'] / 64 / np.log(2)
    assert row['test/bits_per_dim_density'] == pytest.approx(bits)
    assert row['test/bits_per_dim_8bit'] is None  # binarised
    assert (row['test/nll_samples'], row['test/nll_images']) == (20, 30)
    assert row['seconds'] > 0 < row['steps_per_second']


def test_metrics_stand_exactly_once(finished):
  _, workdir, _, _ = finished
  rows = records.read_metrics(workdir / 'metrics.jsonl')
  steps = [10, 20, 30, 40, 50, 60, 65]
  assert [(row['lane'], row['step']) for row in rows] == [(i, s) for s in steps for i in range(4)]
  evaluated = {row['step'] for row in rows if 'test/elbo' in row}
  assert evaluated == {20, 40, 60, 65}
  assert all('batch/elbo' in row for row in rows)
  last = rows[-1]
  final = records.read_results(workdir / 'results.csv')[-1]
  assert final['test/elbo'] == pytest.approx(last['test/elbo'], rel=1e-6)


def test_the_nll_is_that_of_the_evaluated_images(finished):
  """NLL <= -ELBO: the bound with more samples is the tighter one (5 standard errors)."""
  _, workdir, _, _ = finished
  for row in records.read_results(workdir / 'results.csv'):
    assert row['test/nll'] < -row['test/elbo'] + 5 * row['test/nll_stderr']


def test_running_again_changes_nothing(finished):
  config, workdir, _, _ = finished
  before = {p: p.read_bytes() for p in workdir.rglob('*') if p.is_file() and p.suffix != '.png'}
  result = training.run(config, workdir)
  assert result.exit_code == 0
  assert all(path.read_bytes() == content for path, content in before.items())


def test_the_same_config_gives_the_same_bits(finished, tmp_path):
  config, workdir, _, _ = finished
  training.run(config, tmp_path / 'again')
  assert_same_run(workdir, tmp_path / 'again', config)


def test_evaluate_uses_the_numbers_it_is_given(finished, tmp_path, no_images, monkeypatch):
  config, workdir, _, _ = finished
  monkeypatch.setattr(outcome.estimates, '_mixtures', lambda *arguments: None)
  copy = tmp_path / 'copy'
  shutil.copytree(workdir, copy)
  evaluating.evaluate(copy, 400, 40)
  for old, new in zip(
    records.read_results(workdir / 'results.csv'),
    records.read_results(copy / 'results.csv'),
    strict=True,
  ):
    assert (new['test/nll_samples'], new['test/nll_images'], new['status']) == (400, 40, 'done')
    assert new['test/elbo'] == old['test/elbo']
    stderr = float(np.hypot(old['test/nll_stderr'], new['test/nll_stderr']))
    assert new['test/nll'] == pytest.approx(old['test/nll'], abs=5 * stderr)
  assert state_digest(copy, config) == state_digest(workdir, config)
  evaluating.evaluate(copy, 2, 999)  # of 359 images: all
  assert {row['test/nll_images'] for row in records.read_results(copy / 'results.csv')} == {359}


def test_evaluate_needs_a_run(tmp_path):
  with pytest.raises(errors.InputError, match='holds no run'):
    evaluating.evaluate(tmp_path, None, None)


def test_another_config_is_refused_with_the_difference(finished):
  config, workdir, _, _ = finished
  other = config | {'bound': config['bound'] | {'num_samples': 3}}
  with pytest.raises(errors.InputError, match=r'bound\.num_samples is 1 there, 3 here; name anoth'):
    training.run(other, workdir)


def test_a_directory_of_other_files_is_refused(config, tmp_path):
  (tmp_path / 'thesis.tex').write_text('years of work')
  with pytest.raises(errors.InputError, match='no run'):
    training.run(config, tmp_path)
  assert [path.name for path in tmp_path.iterdir()] == ['thesis.tex']


def test_damaged_checkpoints_fall_back_or_say_so(finished, tmp_path):
  """One damaged step: trained again from the older one, to the same bits. Both: DamagedError."""
  config, workdir, _, _ = finished
  copy = tmp_path / 'copy'
  shutil.copytree(workdir, copy)
  (copy / 'results.csv').unlink()

  def damage(step):
    files = [p for p in (copy / 'checkpoints' / str(step) / 'leaves').rglob('*') if p.is_file()]
    for path in files:
      if path.stat().st_size > 200:
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)

  damage(65)
  training.run(config, copy)
  assert_same_run(workdir, copy, config)
  (copy / 'results.csv').unlink()
  for step in (60, 65):
    damage(step)
  with pytest.raises(errors.DamagedError):
    training.run(config, copy)


def test_a_diverged_lane_is_named_and_the_rest_is_done(config, tmp_path, monkeypatch, no_images):
  """The tracker is closed with the program's own exit code."""
  codes = []
  monkeypatch.setattr(tracking.Tracker, 'close', lambda self, code: codes.append(code))
  rates = (1e-3, 1e-3, 1e8, 1e-3)
  config['lanes'] |= dict(combine='zip', learning_rate=rates, beta=(1.0,), latent_size=(2, 5, 2, 3))
  result = training.run(config, tmp_path / 'run')
  bad = result.rows[2]
  assert result.exit_code == 3
  assert codes == [3]
  assert [row['status'] for row in result.rows] == ['done', 'done', 'diverged', 'done']
  assert 0 < bad['step'] < config['train']['steps']
  assert all(row['test/nll'] is not None for row in result.rows if row is not bad)


class KilledError(BaseException):
  """Stands for a kill: nothing catches it."""


# What is written once or more, in the order in which a run first comes to it.
PLACES = (
  'runs.workdir.stored.write_json',
  'runs.model_file.write',
  'runs.checkpoint.save',
  'tracking.Tracker.write',
  'records.write_results',
  'runs.outcome.estimate',
  'runs.outcome.write_disentanglement',
  'runs.outcome.write_latents',
  'runs.outcome.save_images',
  'figures.draw_all',
  'tracking.Tracker.summarise',
  'tracking.Tracker.close',
  'runs.workdir.mark_finished',
)


def die_at(place, moment):
  """Returns a patch under which the first call of a function is the last thing that is done."""
  owner, name = place.rsplit('.', 1)
  target = operator.attrgetter(owner)(vae_jax)
  original = getattr(target, name)

  def die(*arguments, **keywords):
    if moment == 'after':
      original(*arguments, **keywords)
    raise KilledError

  patch = pytest.MonkeyPatch()
  patch.setattr(target, name, die)
  return patch


@pytest.fixture
def fitted_once(monkeypatch):
  """The mixtures of the same codes are fitted once: else they take half of an attempt."""
  fit, known = evaluation.fit_mixture, {}

  def once(*given):
    key = pickle.dumps(given)
    if key not in known:
      known[key] = fit(*given)
    return known[key]

  monkeypatch.setattr(evaluation, 'fit_mixture', once)


@pytest.mark.parametrize('moment', [pytest.param('before', marks=pytest.mark.slow), 'after'])
def test_attempts_that_die_at_every_write_in_turn_are_taken_up(
  finished, tmp_path, moment, fitted_once
):
  """Each attempt goes on from the one before, and dies a step further; the last one is whole."""
  config, reference, _, _ = finished
  for place in PLACES:
    patch = die_at(place, moment)
    with pytest.raises(KilledError):
      training.run(config, tmp_path / 'run')
    patch.undo()
    done = workdir_module.is_finished(tmp_path / 'run')
    assert done == (place == 'runs.workdir.mark_finished' and moment == 'after')
  assert training.run(config, tmp_path / 'run').exit_code == 0
  assert_same_run(reference, tmp_path / 'run', config)
  assert workdir_module.is_finished(tmp_path / 'run')


@pytest.mark.parametrize(
  ('place', 'moment'),
  [
    ('records.write_results', 'after'),
    ('figures.draw_all', 'before'),
    pytest.param('records.write_results', 'before', marks=pytest.mark.slow),
    pytest.param('figures.draw_all', 'after', marks=pytest.mark.slow),
  ],
)
def test_an_attempt_that_dies_once_is_taken_up(finished, tmp_path, place, moment):
  """In the middle of training, and after it: what the attempt before left is all there is."""
  config, reference, _, _ = finished
  patch = die_at(place, moment)
  with pytest.raises(KilledError):
    training.run(config, tmp_path / 'run')
  patch.undo()
  assert training.run(config, tmp_path / 'run').exit_code == 0
  assert_same_run(reference, tmp_path / 'run', config)


def test_all_lanes_diverged_is_a_whole_run_that_evaluate_in_the_middle_does_not_end(
  config, tmp_path, monkeypatch, no_estimates
):
  """Stopped half-way and evaluated, the run still goes on to its last step."""
  monkeypatch.setattr(programs, 'make_examine', functools.cache(programs.make_examine))
  config['lanes'] |= dict(learning_rate=(1e8,))
  result = training.run(config, tmp_path / 'reference')
  assert {row['status'] for row in result.rows} == {'diverged'}
  assert training.run(config, tmp_path / 'reference').exit_code == 3
  original = states.save_beside

  def save_the_first_steps(saved, progress):
    if progress.step > 20:
      raise KilledError
    original(saved, progress)

  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(states, 'save_beside', save_the_first_steps)
    with pytest.raises(KilledError):
      training.run(config, tmp_path / 'run')
  evaluating.evaluate(tmp_path / 'run', None, None)
  training.run(config, tmp_path / 'run')
  journals = [(tmp_path / name / 'metrics.jsonl').read_bytes() for name in ('reference', 'run')]
  assert journals[0] == journals[1]


def test_leftovers_of_a_killed_writer_are_removed_and_never_shown(finished, tmp_path):
  config, reference, _, _ = finished
  copy = tmp_path / 'copy'
  shutil.copytree(reference, copy)
  leftover = copy / 'figures' / '.samples.tmp-0123.png'
  leftover.write_bytes(b'half')
  assert leftover not in outcome.read(copy, 'analytic').pictures
  training.run(config, copy)
  assert not leftover.exists()


def test_train_and_test_figures_are_of_their_own_images(finished):
  """Recomputed by hand from the last checkpoint: split, number of images, noise and bound."""
  config, workdir, _, _ = finished
  built = study.from_config(config)
  manager = checkpoint.open_manager(workdir / 'checkpoints')
  lanes, params = jax.device_get((built.lanes, states.restored(built, manager).state.params))
  manager.close()
  rows = records.read_results(workdir / 'results.csv')
  one = built.training.learner

  @jax.jit
  def metrics_of(params, lane, x, step):
    averages = one.evaluate(params, lane, x, 0, jnp.ones(50))[0]
    return learner.metrics_of(one.estimator, averages, lane, step)

  for split, images in (('train', built.dataset.train_fixed), ('test', built.dataset.test)):
    for i, row in enumerate(rows):
      of_lane = jax.tree.map(lambda leaf, i=i: leaf[i], (params, lanes))
      x = np.float32(images[built.sample(split, 50)])
      metrics = metrics_of(*of_lane, x, row['step'])
      assert {'elbo', 'rate', 'distortion', 'objective'} == set(metrics)
      for term, value in metrics.items():
        assert row[f'{split}/{term}'] == pytest.approx(float(value), rel=1e-5)
