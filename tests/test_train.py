"""A study from end to end: the files it leaves, what stops it, and how it goes on."""

import csv
import hashlib
import json
import operator
import os
import pathlib
import random
import resource
import shutil
import signal
import subprocess
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import ROOT, small_config

import vae_jax
from vae_jax import (
  bounds,
  checkpoint,
  disentanglement,
  errors,
  evaluation,
  lanes,
  learner,
  objectives,
  outcome,
  programs,
  study,
  tracking,
  train,
  validation,
)
from vae_jax import workdir as workdir_module

TERMS = ('elbo', 'rate', 'distortion', 'objective')
COLUMNS = [
  *('lane', 'name', 'status', 'step', *lanes.Point._fields),
  'beta_normalised',
  *(f'train/{term}' for term in TERMS),
  *(f'test/{term}' for term in TERMS),
  *('test/nll', 'test/nll_stderr', 'test/nll_samples', 'test/nll_images', 'test/bits_per_dim'),
  *('test/effective_samples', 'test/largest_weight', 'test/active_units'),
  *('test/mutual_information', 'test/marginal_kl', 'test/total_correlation'),
  *('test/dimension_wise_kl', 'collapsed_at', 'seconds', 'steps_per_second'),
]
TIMES = {'seconds', 'steps_per_second'}


def state_digest(workdir: pathlib.Path, config: dict) -> tuple[int, str]:
  """Returns the step and the sha256 of every bit of the newest state."""
  built = study.from_config(config)
  manager = checkpoint.open_manager(workdir / 'checkpoints')
  found = train._restored(built, manager)
  manager.close()
  leaves = checkpoint._flat(found.state)
  content = b''.join(key.encode() + np.asarray(leaf).tobytes() for key, leaf in leaves.items())
  return found.step, hashlib.sha256(content).hexdigest()


def results_without_times(workdir: pathlib.Path) -> list[dict]:
  with open(workdir / 'results.csv') as file:
    return [{k: v for k, v in row.items() if k not in TIMES} for row in csv.DictReader(file)]


def images_digest(workdir: pathlib.Path) -> list[bytes]:
  with np.load(workdir / 'images.npz') as arrays:
    return [arrays[name].tobytes() for name in sorted(arrays)]


def assert_same_run(one: pathlib.Path, other: pathlib.Path, config: dict):
  assert state_digest(one, config) == state_digest(other, config)
  assert results_without_times(one) == results_without_times(other)
  assert (one / 'metrics.jsonl').read_bytes() == (other / 'metrics.jsonl').read_bytes()
  assert images_digest(one) == images_digest(other)


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
  """One uninterrupted run of a fresh copy of the small study, and the number of its traces."""
  config = small_config()
  workdir = tmp_path_factory.mktemp('finished') / 'run'
  traces = []
  original = programs.run_chunk
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(programs, 'run_chunk', lambda *a: traces.append(1) or original(*a))
    result = train.run(config, workdir)
  return config, workdir, result, len(traces)


def test_a_run_leaves_the_files_of_the_contract(finished):
  config, workdir, result, traces = finished
  assert traces == 1
  assert result.exit_code == 0
  names = {path.name for path in workdir.iterdir()}
  assert {'config.json', 'provenance.json', 'metrics.jsonl', 'results.csv', 'checkpoints'} <= names
  assert {'latents.csv', 'nll_curve.csv', 'images.npz'} <= names
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
    'traversals.png',
    'latents.png',
    'nll_curve.png',
  }
  with np.load(workdir / 'images.npz') as images:
    assert images['reconstructions'].shape == (4, 8, 8, 8, 1)


def test_results_have_the_columns_and_add_up(finished):
  _, workdir, _, _ = finished
  with open(workdir / 'results.csv') as file:
    assert next(csv.reader(file)) == COLUMNS
  rows = tracking.read_results(workdir / 'results.csv')
  assert [row['name'] for row in rows] == ['b0.5-z2-s0', 'b0.5-z5-s0', 'b4-z2-s0', 'b4-z5-s0']
  for row in rows:
    assert (row['status'], row['step']) == ('done', 65)
    for split in ('train', 'test'):
      rate, distortion = row[f'{split}/rate'], row[f'{split}/distortion']
      assert row[f'{split}/elbo'] == pytest.approx(-distortion - rate, rel=1e-5)
      assert row[f'{split}/objective'] == pytest.approx(-distortion - row['beta'] * rate, rel=1e-5)
    assert row['beta_normalised'] == pytest.approx(row['beta'] * row['latent_size'] / 64)
    assert row['test/bits_per_dim'] == pytest.approx(row['test/nll'] / 64 / np.log(2))
    assert (row['test/nll_samples'], row['test/nll_images']) == (20, 30)
    assert row['seconds'] > 0 < row['steps_per_second']


def test_metrics_stand_exactly_once(finished):
  _, workdir, _, _ = finished
  rows = tracking.read_metrics(workdir / 'metrics.jsonl')
  steps = [10, 20, 30, 40, 50, 60, 65]
  assert [(row['lane'], row['step']) for row in rows] == [(i, s) for s in steps for i in range(4)]
  evaluated = {row['step'] for row in rows if 'test/elbo' in row}
  assert evaluated == {20, 40, 60, 65}
  assert all('batch/elbo' in row for row in rows)
  last = rows[-1]
  final = tracking.read_results(workdir / 'results.csv')[-1]
  assert final['test/elbo'] == pytest.approx(last['test/elbo'], rel=1e-6)


def test_the_nll_is_that_of_the_evaluated_images(finished):
  """NLL <= -ELBO: the bound with more samples is the tighter one (5 standard errors)."""
  _, workdir, _, _ = finished
  for row in tracking.read_results(workdir / 'results.csv'):
    assert row['test/nll'] < -row['test/elbo'] + 5 * row['test/nll_stderr']


def test_running_again_changes_nothing(finished):
  config, workdir, _, _ = finished
  before = {p: p.read_bytes() for p in workdir.rglob('*') if p.is_file() and p.suffix != '.png'}
  result = train.run(config, workdir)
  assert result.exit_code == 0
  assert all(path.read_bytes() == content for path, content in before.items())


def test_the_same_config_gives_the_same_bits(finished, tmp_path):
  config, workdir, _, _ = finished
  train.run(config, tmp_path / 'again')
  assert_same_run(workdir, tmp_path / 'again', config)


def test_evaluate_uses_the_numbers_it_is_given(finished, tmp_path):
  config, workdir, _, _ = finished
  copy = tmp_path / 'copy'
  shutil.copytree(workdir, copy)
  train.evaluate(copy, 400, 40)
  for old, new in zip(
    tracking.read_results(workdir / 'results.csv'),
    tracking.read_results(copy / 'results.csv'),
    strict=True,
  ):
    assert (new['test/nll_samples'], new['test/nll_images'], new['status']) == (400, 40, 'done')
    assert new['test/elbo'] == old['test/elbo']
    stderr = float(np.hypot(old['test/nll_stderr'], new['test/nll_stderr']))
    assert new['test/nll'] == pytest.approx(old['test/nll'], abs=5 * stderr)
  assert state_digest(copy, config) == state_digest(workdir, config)
  with pytest.raises(errors.InputError, match=r'evaluation\.nll_images=999'):
    train.evaluate(copy, None, 999)


def test_evaluate_needs_a_run(tmp_path):
  with pytest.raises(errors.InputError, match='holds no run'):
    train.evaluate(tmp_path, None, None)


def test_another_config_is_refused_with_the_difference(finished):
  config, workdir, _, _ = finished
  other = config | {'train': config['train'] | {'steps': 70}}
  with pytest.raises(errors.InputError, match=r'train\.steps is 65 there, 70 here'):
    train.run(other, workdir)


def test_a_directory_of_other_files_is_refused(config, tmp_path):
  (tmp_path / 'thesis.tex').write_text('years of work')
  with pytest.raises(errors.InputError, match='no run'):
    train.run(config, tmp_path)
  assert [path.name for path in tmp_path.iterdir()] == ['thesis.tex']


def test_damaged_checkpoints_fall_back_or_say_so(finished, tmp_path):
  """One damaged step: trained again from the older one, to the same bits. Both: DamagedError."""
  config, workdir, _, _ = finished
  copy = tmp_path / 'copy'
  shutil.copytree(workdir, copy)
  (copy / 'results.csv').unlink()

  def damage(step):
    files = [p for p in (copy / 'checkpoints' / str(step) / 'state').rglob('*') if p.is_file()]
    for path in files:
      if path.stat().st_size > 200:
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)

  damage(65)
  train.run(config, copy)
  assert_same_run(workdir, copy, config)
  (copy / 'results.csv').unlink()
  for step in (60, 65):
    damage(step)
  with pytest.raises(errors.DamagedError):
    train.run(config, copy)


def test_a_diverged_lane_is_named_and_the_rest_is_done(config, tmp_path):
  config['lanes'] |= dict(learning_rate=(1e-3, 1e8), beta=(1.0,), latent_size=(2,))
  result = train.run(config, tmp_path / 'run')
  good, bad = result.rows
  assert result.exit_code == 3
  assert (good['status'], bad['status']) == ('done', 'diverged')
  assert 0 < bad['step'] < config['train']['steps']
  assert good['test/nll'] is not None


def test_all_lanes_diverged_is_still_a_whole_run(config, tmp_path):
  config['lanes'] |= dict(learning_rate=(1e8,))
  result = train.run(config, tmp_path / 'run')
  assert {row['status'] for row in result.rows} == {'diverged'}
  assert train.run(config, tmp_path / 'run').exit_code == 3


class KilledError(BaseException):
  """Stands for a kill: nothing catches it."""


@pytest.mark.parametrize(
  'place',
  [
    'workdir._write_json',
    'checkpoint.save',
    'tracking.Tracker.write',
    'tracking.write_results',
    'outcome.estimate',
    'outcome.write_disentanglement',
    'outcome.write_latents',
    'outcome.save_images',
    'figures.draw_all',
    'tracking.Tracker.summarise',
    'tracking.Tracker.close',
    'workdir.mark_finished',
  ],
)
@pytest.mark.parametrize('moment', ['before', 'after'])
def test_an_attempt_that_dies_at_any_write_is_taken_up(finished, tmp_path, place, moment):
  """Each thing that is written once or more: die before or after its first time, then go on."""
  config, reference, _, _ = finished
  owner, name = place.rsplit('.', 1)
  target = operator.attrgetter(owner)(vae_jax)
  original = getattr(target, name)

  def die(*arguments, **keywords):
    if moment == 'after':
      original(*arguments, **keywords)
    raise KilledError

  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(target, name, die)
    with pytest.raises(KilledError):
      train.run(config, tmp_path / 'run')
  assert not workdir_module.is_finished(tmp_path / 'run') or place == 'workdir.mark_finished'
  assert train.run(config, tmp_path / 'run').exit_code == 0
  assert_same_run(reference, tmp_path / 'run', config)
  assert workdir_module.is_finished(tmp_path / 'run')


def test_evaluate_in_the_middle_does_not_end_a_run(config, tmp_path):
  """All lanes diverged, stopped half-way, evaluated: the run still goes on to its last step."""
  config['lanes'] |= dict(learning_rate=(1e8,))
  train.run(config, tmp_path / 'reference')
  original = train._save

  def save_the_first_steps(manager, progress):
    if progress.step > 20:
      raise KilledError
    original(manager, progress)

  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(train, '_save', save_the_first_steps)
    with pytest.raises(KilledError):
      train.run(config, tmp_path / 'run')
  train.evaluate(tmp_path / 'run', None, None)
  train.run(config, tmp_path / 'run')
  journals = [(tmp_path / name / 'metrics.jsonl').read_bytes() for name in ('reference', 'run')]
  assert journals[0] == journals[1]


def test_leftovers_of_a_killed_writer_are_removed_and_never_shown(finished, tmp_path):
  config, reference, _, _ = finished
  copy = tmp_path / 'copy'
  shutil.copytree(reference, copy)
  leftover = copy / 'figures' / '.samples.tmp-0123.png'
  leftover.write_bytes(b'half')
  assert leftover not in outcome.read(copy).pictures
  train.run(config, copy)
  assert not leftover.exists()


def test_another_version_is_a_warning(finished, tmp_path, caplog):
  config, reference, _, _ = finished
  copy = tmp_path / 'copy'
  shutil.copytree(reference, copy)
  path = copy / 'provenance.json'
  path.write_text(path.read_text().replace('"jaxlib": "', '"jaxlib": "0.0+'))
  train.run(config, copy)
  assert 'versions.jaxlib is' in caplog.text


def test_a_diverged_lane_is_failed_in_wandb_terms(config, tmp_path, monkeypatch):
  """The tracker is closed with the program's own exit code."""
  codes = []
  monkeypatch.setattr(tracking.Tracker, 'close', lambda self, code: codes.append(code))
  config['lanes'] |= dict(learning_rate=(1e-3, 1e8), beta=(1.0,), latent_size=(2,))
  train.run(config, tmp_path / 'run')
  assert codes == [3]


def test_train_and_test_figures_are_of_their_own_images(finished):
  """Recomputed by hand from the last checkpoint: split, number of images, noise and bound."""
  config, workdir, _, _ = finished
  built = study.from_config(config)
  manager = checkpoint.open_manager(workdir / 'checkpoints')
  state = train._restored(built, manager).state
  manager.close()
  rows = tracking.read_results(workdir / 'results.csv')
  for split, images in (('train', built.dataset.train_fixed), ('test', built.dataset.test)):
    for i, row in enumerate(rows):
      lane, params = jax.tree.map(lambda leaf, i=i: leaf[i], (built.lanes, state.params))
      x = jnp.asarray(images[:50], jnp.float32)
      one = built.training.learner
      averages, _ = one.evaluate(params, lane, x, 0, jnp.ones(50))
      metrics = learner.metrics_of(one.estimator, averages, lane, row['step'])
      assert {'elbo', 'rate', 'distortion', 'objective'} == set(metrics)
      for term, value in metrics.items():
        assert row[f'{split}/{term}'] == pytest.approx(float(value), rel=1e-5)


def terms_by_hand(built, params, lane, x, gradient=None, draw=learner.draw_noise):
  """The terms of every example of x, on the very noise of `Learner.evaluate`."""
  key = jax.random.fold_in(learner.lane_keys(lane).evaluation, 0)
  noise = draw(key, len(x), built.num_samples, lane.mask.size)

  def one(x, noise):
    return bounds.elbo_terms(
      built.model.encode(params, x, lane.mask),
      built.model.prior(params, lane.mask),
      lambda z: built.model.decode(params, z, lane.mask),
      x,
      noise,
      gradient,
    )

  return jax.vmap(one)(x, noise)


@pytest.mark.parametrize(
  ('settings', 'expected'),
  [
    (dict(name='elbo', kl='analytic'), lambda t: bounds.beta_elbo(t, 3.0, bounds.analytic_kl)),
    (dict(name='elbo', kl='sampled'), lambda t: bounds.beta_elbo(t, 3.0, bounds.sampled_kl)),
    (dict(name='iwae', kl='sampled'), bounds.iwae_bound),
    (dict(name='miwae', kl='sampled', num_groups=3), lambda t: bounds.miwae_bound(t, 3)),
    (dict(name='ciwae', kl='sampled', elbo_weight=0.2), lambda t: bounds.ciwae_bound(t, 0.2)),
  ],
  ids=['elbo, analytic', 'elbo, sampled', 'iwae', 'miwae', 'ciwae'],
)
@pytest.mark.parametrize('gradient', validation.keys.GRADIENTS)
def test_the_config_chooses_the_bound_and_the_gradient(config, settings, expected, gradient):
  """Objective and encoder gradient of the learner are those of its terms, on the very noise."""
  config['bound'] |= settings | dict(num_samples=6, gradient=gradient)
  config['lanes'] |= dict(beta=(3.0,) if settings['name'] == 'elbo' else (1.0,))
  try:
    built = study.from_config(config)
  except errors.InputError as error:
    assert 'bound.gradient' in str(error)
    return
  one, lane = built.training.learner, jax.tree.map(lambda leaf: leaf[0], built.lanes)
  params = one.init(lane).params
  x = jnp.asarray(built.dataset.test[:3], jnp.float32)
  weights = bounds.path_weights(settings.get('num_groups', 1), settings.get('elbo_weight', 0.0))
  estimator = {
    'reparameterized': bounds.reparameterized,
    'sticking_the_landing': bounds.sticking_the_landing,
    'doubly_reparameterized': bounds.doubly_reparameterized(weights),
  }[gradient]

  def by_hand(params):
    terms = terms_by_hand(built, params, lane, x, estimator)
    return jnp.mean(jax.vmap(expected)(terms))

  def by_learner(params):
    averages, _ = one.evaluate(params, lane, x, 0, jnp.ones(3))
    return learner.metrics_of(one.estimator, averages, lane, 0)['objective']

  found, found_gradient = jax.value_and_grad(by_learner)(params)
  value, value_gradient = jax.value_and_grad(by_hand)(params)
  assert found == pytest.approx(float(value), rel=1e-5)
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5),
    found_gradient,
    value_gradient,
  )


@pytest.mark.parametrize(
  ('name', 'objective'),
  [
    ('beta_tcvae', objectives.beta_tcvae(1438)),
    ('dip_vae_i', objectives.dip_vae('I', 7.0)),
    ('dip_vae_ii', objectives.dip_vae('II', 7.0)),
  ],
)
def test_the_config_chooses_the_objective(config, name, objective):
  """With the size of the training set and the lane's weights, on the very terms."""
  config['bound'] |= dict(name=name, diagonal_ratio=7.0)
  weight = 0.0 if name == 'beta_tcvae' else 0.5
  config['lanes'] |= dict(beta=(3.0,), warmup=('linear',), warmup_steps=(10,))
  config['lanes'] |= dict(covariance_weight=(weight,))
  built = study.from_config(config)
  one, lane = built.training.learner, jax.tree.map(lambda leaf: leaf[0], built.lanes)
  params = one.init(lane).params
  x = jnp.asarray(built.dataset.test[:3], jnp.float32)
  averages, _ = one.evaluate(params, lane, x, 0, jnp.ones(3))
  found = learner.metrics_of(one.estimator, averages, lane, 5)
  terms = terms_by_hand(built, params, lane, x)
  posteriors = jax.vmap(lambda x: built.model.encode(params, x, lane.mask))(x)
  named = objective.terms(terms, posteriors, jnp.ones(3), lane.mask)
  means = {
    'distortion': jax.vmap(bounds.distortion)(terms).mean(),
    'rates': jax.vmap(bounds.analytic_kl)(terms).mean(0),
    **named,
  }
  for term, value in named.items():
    assert found[term] == pytest.approx(float(value), rel=1e-4, abs=1e-5)
  expected = objective.combine(means, lane, 5)
  assert found['objective'] == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize('noise', ['independent', 'antithetic'])
def test_the_config_chooses_the_noise(config, noise):
  config['bound'] |= dict(noise=noise, num_samples=2)
  built = study.from_config(config)
  one, lane = built.training.learner, jax.tree.map(lambda leaf: leaf[0], built.lanes)
  params = one.init(lane).params
  x = jnp.asarray(built.dataset.test[:3], jnp.float32)
  averages, _ = one.evaluate(params, lane, x, 0, jnp.ones(3))
  draw = {'independent': learner.draw_noise, 'antithetic': learner.draw_antithetic}[noise]
  terms = terms_by_hand(built, params, lane, x, draw=draw)
  expected = jax.vmap(bounds.distortion)(terms).mean()
  assert averages['distortion'] == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize('kl', ['analytic', 'sampled'])
def test_the_config_chooses_the_form_of_the_rate(config, kl):
  config['bound'] |= dict(kl=kl, num_samples=6)
  built = study.from_config(config)
  one, lane = built.training.learner, jax.tree.map(lambda leaf: leaf[0], built.lanes)
  params = one.init(lane).params
  x = jnp.asarray(built.dataset.test[:3], jnp.float32)
  averages, _ = one.evaluate(params, lane, x, 0, jnp.ones(3))
  rate = {'analytic': bounds.analytic_kl, 'sampled': bounds.sampled_kl}[kl]
  expected = jax.vmap(rate)(terms_by_hand(built, params, lane, x)).mean(0)
  np.testing.assert_allclose(averages['rates'], expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
  'changes',
  [
    dict(bound=dict(name='iwae', num_samples=5, kl='sampled'), lanes=dict(beta=(1.0,))),
    dict(bound=dict(num_samples=3, kl='sampled'), lanes=dict(beta=(0.0, 1.0), latent_size=(1,))),
    dict(likelihood=dict(name='gaussian', scale='shared'), data=dict(binarize='none')),
    dict(
      likelihood=dict(name='gaussian', scale='per_pixel', mean='sigmoid'),
      data=dict(binarize='none', pad=(11, 9)),
      decoder=dict(output_bias='train_mean'),
    ),
    dict(
      encoder=dict(name='conv', channels=(4, 6), kernels=(3, 3), strides=(2, 2)),
      decoder=dict(
        name='conv', channels=(6, 4), kernels=(3, 3), strides=(2, 2), output_bias='train_mean'
      ),
      data=dict(crop=(7, 5), binarize='threshold'),
    ),
    dict(
      schedule=dict(name='cosine', warmup_steps=10, decay_steps=50, factor=0.1),
      optimizer=dict(name='adamax'),
      lanes=dict(combine='zip', beta=(0.5, 2.0), latent_size=(2, 5), seed=(3,)),
    ),
    dict(
      posterior=dict(name='two_layer', lower_size=6, hidden=(7,)),
      prior=dict(name='two_layer', hidden=(7,)),
      bound=dict(name='iwae', kl='sampled', num_samples=3, gradient='doubly_reparameterized'),
      lanes=dict(beta=(1.0,)),
    ),
    dict(
      likelihood=dict(name='cross_entropy'),
      data=dict(binarize='none'),
      prior=dict(name='vamp', num_components=4),
      bound=dict(kl='sampled', gradient='sticking_the_landing'),
    ),
    dict(
      data=dict(name='shapes'),
      bound=dict(name='beta_tcvae'),
      evaluation=dict(factor_images=300),
    ),
  ],
  ids=[
    'iwae',
    'beta 0',
    'gaussian shared',
    'gaussian per pixel',
    'conv',
    'zip and schedule',
    'two layers',
    'cross-entropy and vamp',
    'shapes',
  ],
)
def test_every_option_trains_to_a_better_bound(config, tmp_path, changes):
  for section, values in changes.items():
    config[section] |= values
  result = train.run(config, tmp_path / 'run')
  assert result.exit_code == 0
  metrics = tracking.read_metrics(tmp_path / 'run' / 'metrics.jsonl')
  for row in result.rows:
    curve = [m['batch/objective'] for m in metrics if m['lane'] == row['lane']]
    assert np.all(np.isfinite(curve))
    assert curve[-1] > curve[0]
  check_tables(config, result.rows, tmp_path / 'run')


def check_tables(config, rows, workdir):
  """latents.csv, nll_curve.csv and disentanglement.csv agree with results.csv."""
  latents = tracking.read_table(workdir / 'latents.csv', tracking.LATENT_COLUMNS)
  curve = tracking.read_table(workdir / 'nll_curve.csv', tracking.NLL_CURVE_COLUMNS)
  two_layers = config['posterior']['name'] == 'two_layer'
  lower = config['posterior']['lower_size'] if two_layers else 0
  by_latent = config['prior']['name'] in ('standard_normal', 'two_layer')
  for row in rows:
    own = [line for line in latents if line['lane'] == row['lane']]
    assert len(own) == lower + row['latent_size']
    assert sum(line['active'] for line in own) == row['test/active_units']
    assert [line['layer'] for line in own].count(2) == (row['latent_size'] if lower else 0)
    if by_latent:
      assert sum(line['rate'] for line in own) == pytest.approx(row['test/rate'], rel=1e-4)
    else:
      assert {line['rate'] for line in own} == {None}
    points = [line for line in curve if line['lane'] == row['lane']]
    if config['likelihood']['name'] == 'cross_entropy':
      assert not points
      assert row['test/nll'] is None
    else:
      assert -points[-1]['bound'] == pytest.approx(row['test/nll'])
      assert points[-1]['stderr'] == pytest.approx(row['test/nll_stderr'])
      assert [line['samples'] for line in points] == [1, 10, 20]
  scores = workdir / 'disentanglement.csv'
  assert scores.exists() == (config['data']['name'] == 'shapes')
  if scores.exists():
    table = tracking.read_table(scores, ('lane', 'name', 'images', *disentanglement.NAMES))
    assert [line['images'] for line in table] == [300] * len(rows)
    assert all(0 <= line['mig'] <= 1 for line in table)


def test_log_points_at_powers_of_two(config, tmp_path):
  config['train'] |= dict(log_every=20, steps=65, log_powers_of_two=True)
  train.run(config, tmp_path / 'run')
  metrics = tracking.read_metrics(tmp_path / 'run' / 'metrics.jsonl')
  steps = [m['step'] for m in metrics if m['lane'] == 0]
  assert steps == [1, 2, 4, 8, 16, 20, 32, 40, 60, 64, 65]


def test_a_collapse_is_said_when_it_comes_and_recorded(config, tmp_path, caplog):
  """Beta far above what the rate is worth: no unit stays active."""
  config['lanes'] |= dict(beta=(0.01, 1000.0), latent_size=(2,), learning_rate=(1e-2,))
  config['train'] |= dict(steps=200, log_every=20, evaluate_every=20, checkpoint_every=100)
  result = train.run(config, tmp_path / 'run')
  fine, collapsed = result.rows
  assert fine['collapsed_at'] is None
  assert collapsed['test/active_units'] == 0
  at = collapsed['collapsed_at']
  said = [r.message for r in caplog.records if 'collapse' in r.message]
  assert said == [f'{collapsed["name"]}: posterior collapse at step {at}, no unit is active']
  metrics = tracking.read_metrics(tmp_path / 'run' / 'metrics.jsonl')
  active = {
    m['step']: m['test/active_units']
    for m in metrics
    if m['lane'] == 1 and m['step'] >= at and 'test/active_units' in m
  }
  assert set(active.values()) == {0}


def test_a_thin_nll_is_said(config, monkeypatch, caplog):
  """Lanes whose NLL hangs on one sample for a tenth of the images are named, the others not."""
  built = study.from_config(config)
  lanes_of_images = [[5.0] * 30, [5.0] * 15 + [1.2] * 15, [5.0] * 28 + [1.2] * 2, [9.0] * 30]
  effective = np.array(lanes_of_images)[:, None]
  found = evaluation.Evidence(np.zeros((4, 1, 30, 3)), effective, 1 / effective)
  result = evaluation.nll_of(found, np.ones((1, 30)), 64)
  monkeypatch.setattr(programs, 'nll', lambda *arguments: result)
  monkeypatch.setattr(programs, 'aggregate', lambda *arguments: {})
  state = programs.init(built.training.learner, built.lanes)
  metrics, _ = outcome.estimate(built, config['evaluation'], state)
  said = [r.message for r in caplog.records if 'effective sample size below 2' in r.message]
  assert len(said) == 1
  assert said[0].startswith(f'{built.names[1]}: ')
  assert '50 %' in said[0]
  np.testing.assert_allclose(metrics['test/effective_samples'], effective[:, 0].mean(1))


class Attempt:
  """`python -m launch.train` in a process of its own."""

  def __init__(self, workdir: pathlib.Path, *overrides: str, **keywords):
    self.process = subprocess.Popen(
      [sys.executable, '-m', 'launch.train', f'--config={CONFIG_FILE}', f'--workdir={workdir}',
       *overrides],
      cwd=ROOT,
      stdout=subprocess.PIPE,
      stderr=subprocess.PIPE,
      text=True,
      **keywords,
    )  # fmt: skip
    self.journal = workdir / 'metrics.jsonl'

  def wait_for_step(self, step: int):
    """Waits until the journal has reached a step."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and self.process.poll() is None:
      if self.journal.exists() and f'"step": {step},' in self.journal.read_text():
        return
      time.sleep(0.01)
    raise AssertionError(f'no step {step}: {self.process.communicate()}')

  def finish(self) -> tuple[int, str]:
    _, stderr = self.process.communicate(timeout=200)
    return self.process.returncode, stderr


CONFIG_FILE = ROOT / 'tests' / 'long_study.py'


@pytest.fixture(scope='module')
def uninterrupted(tmp_path_factory):
  """The study of the interruption tests, run to its end in one go."""
  import long_study

  workdir = tmp_path_factory.mktemp('uninterrupted') / 'run'
  code, stderr = Attempt(workdir).finish()
  assert code == 0, stderr
  return long_study.get_config().to_dict(), workdir


def test_kill_9_at_random_moments_ends_bit_equal(uninterrupted, tmp_path):
  """At least 10 kills, from the first imports to the last picture, whatever was being written."""
  config, reference = uninterrupted
  workdir = tmp_path / 'run'
  rng = random.Random(0)
  kills = kills_in_training = 0
  while kills < 12:
    attempt = Attempt(workdir)
    # Half of the kills anywhere after the start, half once the attempt has trained.
    if kills % 2:
      size = attempt.journal.stat().st_size if attempt.journal.exists() else 0
      while attempt.process.poll() is None and (
        not attempt.journal.exists() or attempt.journal.stat().st_size <= size
      ):
        time.sleep(0.002)
      kills_in_training += attempt.process.poll() is None
      time.sleep(rng.uniform(0, 0.3))
    else:
      time.sleep(rng.uniform(0.5, 4))
    if attempt.process.poll() is not None:
      break
    attempt.process.send_signal(signal.SIGKILL)
    attempt.process.communicate()
    kills += 1
  assert kills >= 10
  assert kills_in_training >= 4
  code, stderr = Attempt(workdir).finish()
  assert code == 0, stderr
  assert_same_run(reference, workdir, config)


@pytest.mark.parametrize(('number', 'code'), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_saves_and_the_run_goes_on_from_there(uninterrupted, tmp_path, number, code):
  config, reference = uninterrupted
  workdir = tmp_path / 'run'
  attempt = Attempt(workdir)
  attempt.wait_for_step(100)
  attempt.process.send_signal(number)
  returned, stderr = attempt.finish()
  assert returned == code, stderr
  assert 'stopped and saved at step' in stderr
  step, _ = state_digest(workdir, config)
  assert f'at step {step};' in stderr
  assert step >= 100
  returned, stderr = Attempt(workdir).finish()
  assert returned == 0, stderr
  assert f'continuing from step {step}' in stderr
  assert_same_run(reference, workdir, config)


def test_a_second_process_is_kept_out(tmp_path):
  workdir = tmp_path / 'run'
  first = Attempt(workdir)
  first.wait_for_step(20)
  code, stderr = Attempt(workdir).finish()
  first.process.kill()
  first.process.communicate()
  assert code == 5
  assert str(first.process.pid) in stderr
  assert len(stderr.splitlines()) == 1


def test_a_full_disk_is_one_line_and_exit_6(tmp_path):
  """A limit on the size of files stands for the full disk: the kernel refuses the write."""
  limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2500, 2500))  # noqa: E731
  environment = os.environ | {'VAE_JAX_CACHE': '/proc/no/cache'}
  attempt = Attempt(tmp_path / 'run', preexec_fn=limit, env=environment)
  code, stderr = attempt.finish()
  assert code == 6, stderr
  assert any(line.startswith('cannot write') for line in stderr.splitlines())


def test_a_run_on_a_thread_needs_no_signal_handlers(config, tmp_path):
  """A notebook's worker thread may train: Python allows handlers in the main thread only."""
  import threading

  results = []
  thread = threading.Thread(target=lambda: results.append(train.run(config, tmp_path / 'run')))
  thread.start()
  thread.join()
  assert results[0].exit_code == 0


def test_wandb_takes_every_lane_with_its_pictures(config, tmp_path, caplog, monkeypatch):
  for name in ('WANDB_DIR', 'WANDB_DATA_DIR', 'WANDB_CACHE_DIR', 'WANDB_CONFIG_DIR'):
    monkeypatch.setenv(name, str(tmp_path / 'home'))
  config['wandb'] |= dict(mode='offline', tags=('test',))
  result = train.run(config, tmp_path / 'run')
  assert result.exit_code == 0
  warnings = [r.getMessage() for r in caplog.records if r.levelname == 'WARNING']
  of_lanes = ('one sample carries the NLL', 'posterior collapse')  # so small a study has both
  assert not [w for w in warnings if not any(words in w for words in of_lanes)]
  runs = list((tmp_path / 'run' / 'wandb').glob('offline-run-*'))
  assert len(runs) == 4 + 1  # the lanes, and the summary of the study
  pictures = [path.name for path in (tmp_path / 'run' / 'wandb').rglob('*.png')]
  for kind in ('reconstructions', 'samples'):
    assert sum(name.startswith(kind) for name in pictures) >= 4
