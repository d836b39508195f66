"""One name is one estimator: what metrics.jsonl, results.csv and the tables say of a study."""

import logging
import math
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax import errors, evaluation, learner, placement, programs, records, study
from vae_jax.runs import evaluating, others, outcome, training

pytestmark = [pytest.mark.run, pytest.mark.usefixtures('no_pictures', 'no_images', 'traced_once')]


def gaussian(config, **likelihood):
  """The small study on grey values, with a Gaussian."""
  config['data'] |= dict(binarize='none', scale_to_unit=True)
  config['likelihood'] |= dict(name='gaussian', initial_scale=1.0, min_scale=1e-3) | likelihood


def of_kind(config, kind):
  config['train'] |= dict(steps=40)
  if kind != 'plain':
    config['lanes'] |= dict(beta=(2.0,), latent_size=(2, 4))
  if kind == 'optimal':
    gaussian(config, scale='optimal')
  if kind == 'two_layer':
    config['posterior'] |= dict(name='two_layer', lower_size=6, hidden=())
    config['prior'] |= dict(name='two_layer', hidden=())
    config['bound'] |= dict(name='iwae', kl='sampled', num_samples=2)
    config['lanes'] |= dict(beta=(1.0,))
  return config


@pytest.mark.parametrize(
  'kind',
  # What is refitted at each evaluation has a test of its own below.
  ['plain', *(pytest.param(kind, marks=pytest.mark.slow) for kind in ('optimal', 'two_layer'))],
)
def test_every_name_is_one_number(config, tmp_path, kind):
  training.run(of_kind(config, kind), tmp_path)
  rows = records.read_results(tmp_path / 'results.csv')
  metrics = {m['lane']: m for m in records.read_metrics(tmp_path / 'metrics.jsonl')}
  latents = records.read_table(tmp_path / 'latents.csv', records.LATENT_COLUMNS)
  curve = records.read_table(tmp_path / 'nll_curve.csv', records.NLL_CURVE_COLUMNS)
  for row in rows:
    last = metrics[row['lane']]
    assert last['step'] == row['step'] == 40
    shared = sorted(set(last) & set(row) - {'lane'})
    assert {'train/elbo', 'test/objective', 'test/active_units'} <= set(shared)
    assert {name: last[name] for name in shared} == {name: row[name] for name in shared}
    own = [line for line in latents if line['lane'] == row['lane']]
    assert sum(line['rate'] for line in own) == pytest.approx(row['test/rate'], rel=1e-4)
    assert sum(line['active'] for line in own) == row['test/active_units']
    end = [line for line in curve if line['lane'] == row['lane']][-1]
    assert (end['samples'], end['images']) == (row['test/nll_samples'], row['test/nll_images'])
    assert (-end['bound'], end['stderr']) == (row['test/nll'], row['test/nll_stderr'])
    ceiling = math.log(25)
    assert row['test/mutual_information_ceiling'] == ceiling
    assert 0 <= row['test/mutual_information'] <= ceiling + 1e-6
    assert 0 <= row['test/low_effective_fraction'] <= 1
    assert (row['test/total_correlation'] is None) == (kind == 'two_layer')
    for name, value in last.items():
      assert value is not None, name


@pytest.fixture(scope='module')
def toy(tmp_path_factory):
  """One real number an example: N(3, 2^2), of which a constant decoder's mean is all there is."""
  rng = np.random.default_rng(0)
  path = tmp_path_factory.mktemp('toy') / 'numbers.npz'
  np.savez(path, **{k: rng.normal(3, 2, (300, 1)).astype('f') for k in 'ab'})
  return path


def numbers(config, path, scale):
  """D = 1, one example a batch: what the last batch says of the scale is one error."""
  config['data'] |= dict(
    name='npz', path=str(path), train_split='a', test_split='b', binarize='none'
  )
  config['data'] |= dict(scale_to_unit=False)
  config['likelihood'] |= dict(name='gaussian', scale=scale, initial_scale=1.0, min_scale=1e-3)
  config['lanes'] |= dict(beta=(1.0,), latent_size=(1,), seed=(0, 1, 2), learning_rate=(1e-2,))
  config['train'] |= dict(batch_size=1)
  config['evaluation'] |= dict(train_images=0, test_images=0, nll_images=0, nll_samples=50)
  return config


def test_an_optimal_scale_is_that_of_the_training_images_and_not_of_the_last_batch(
  config, toy, no_parts
):
  """s^2 is the mean square error of z as it is drawn; then D = D/2 (1 + log 2 pi s^2)."""
  built = study.from_config(numbers(config, toy, 'optimal'))
  state = programs.init(built.training.learner, built.lanes, built.place)
  last = (np.float32([-2, -1.5, 3]),)  # what the last batches left
  state = state._replace(params=state.params | {'likelihood': last})
  before = jax.device_get(placement.joined(state).params)
  found = outcome.make_evaluate(built)(state, 200)
  estimates = outcome.estimate(built, state)
  after = jax.device_get(placement.joined(state).params)
  jax.tree.map(np.testing.assert_array_equal, before, after)  # what trains on stays as it is
  x = built.dataset.train_fixed

  @jax.vmap
  def mean_square(lane, params):
    key = jax.random.fold_in(learner.lane_keys(lane).evaluation, 0)
    noise = learner.draw_noise(key, len(x), 1, 1)[:, 0]

    def error(x, noise):
      z, _ = built.model.encode(params, x, lane.mask).sample(noise)
      return x - built.model.decode(params, z, lane.mask).mean()

    return jnp.mean(jnp.square(jax.vmap(error)(x, noise)))

  squares = np.float64(jax.jit(mean_square)(built.lanes, before))
  expected = 0.5 * (1 + np.log(2 * math.pi * squares))
  np.testing.assert_allclose(found['train'].metrics['distortion'], expected, rtol=1e-4)
  # The NLL is that of the same scale, and far below that of the last batch's.
  excess = np.sqrt(squares) - 1e-3  # over min_scale: what a softplus makes of raw + c
  fitted = (np.float32(np.log(np.expm1(excess)) - np.log(np.expm1(1 - 1e-3))),)
  both = jax.tree.map(
    lambda *leaves: np.concatenate(leaves), before | {'likelihood': fitted}, before
  )
  twice = jax.tree.map(lambda leaf: np.concatenate([leaf, leaf]), built.lanes)
  test, batch_size, place = built.dataset.test, built.evaluation.batch_size, built.place
  nll = programs.nll(built.model, both, twice, test, 1.0, 50, batch_size, place).mean
  np.testing.assert_allclose(estimates.metrics['test/nll'], nll[:3], rtol=1e-3)
  assert np.all(nll[:3] < nll[3:])


def test_other_data_are_evaluated_with_the_scale_of_the_training_images(
  config, toy, tmp_path, no_estimates
):
  """The test numbers alone, in a file of their own: the ELBO is that of the run."""
  config = numbers(config, toy, 'optimal')
  config['train'] |= dict(steps=20, log_every=20, evaluate_every=20, checkpoint_every=20)
  rows = training.run(config, tmp_path / 'run').rows
  with np.load(toy) as stored:
    np.savez(tmp_path / 'other.npz', rows=stored['b'])
  found = evaluating.evaluate(
    tmp_path / 'run', data_path=str(tmp_path / 'other.npz'), data_split='rows'
  )
  for other, own in zip(found.rows, rows, strict=True):
    assert other['test/elbo'] == pytest.approx(own['test/elbo'], rel=1e-5)
    assert own['test/elbo'] != pytest.approx(own['train/elbo'], rel=1e-3)  # they are others
  with pytest.raises(errors.InputError, match=r'fitted at each evaluation, and step 0 has none'):
    others.scaled(study.from_config(config), outcome.begun(None, 3))


def test_what_compares_examples_needs_a_batch_of_them(config):
  config['program'] |= dict(width=1)  # so that the operations of a step are not counted
  size = len(study.from_config(config).dataset.train)
  for bound, batch_size, nearest in (
    ('beta_tcvae', size + 1, size),
    ('beta_tcvae', 1, 2),
    ('dip_vae_i', 1, 2),
    ('dip_vae_ii', 1, 2),
  ):
    config['bound'] |= dict(name=bound)
    config['lanes'] |= dict(covariance_weight=(float(bound != 'beta_tcvae'),))
    config['train'] |= dict(batch_size=batch_size)
    with pytest.raises(errors.InputError) as caught:
      study.from_config(config)
    message = str(caught.value)
    assert f'train.batch_size={batch_size}' in message and f'{bound!r}' in message
    assert message.endswith(f'the nearest valid value is {nearest}') and '\n' not in message
    study.from_config(config | {'train': config['train'] | {'batch_size': nearest}})


def test_the_parts_of_a_batch_have_names_of_their_own_and_make_up_the_objective(config):
  """-D - I - beta TC - the rest, of beta half way up its warm-up.

  Of 12 training images a batch is a sample of at most 12, however many are evaluated; no image is
  left alone.
  """
  config['bound'] |= dict(name='beta_tcvae')
  config['lanes'] |= dict(beta=(2.0,), latent_size=(4,), warmup=('linear',), warmup_steps=(100,))
  config['data'] |= dict(train_split='train[:12]')
  config['train'] |= dict(batch_size=6)
  config['evaluation'] |= dict(test_images=37, train_images=0)
  built = study.from_config(config)
  state = programs.init(built.training.learner, built.lanes, built.place)
  found = outcome.make_evaluate(built)(state, 40)
  for split in ('train', 'test'):
    metrics = found[split].metrics
    assert all(np.all(np.isfinite(values)) for values in metrics.values()), split
    parts = ('mutual_information', 'total_correlation', 'dimension_wise_kl')
    information, correlation, rest = (metrics[f'stratified_{part}'] for part in parts)
    sampled = information + correlation + rest
    np.testing.assert_allclose(sampled, metrics['rate'], atol=0.5)  # the other is no sample
    beta = 2.0 * 40 / 100
    expected = -metrics['distortion'] - information - beta * correlation - rest
    np.testing.assert_allclose(metrics['objective'], expected, rtol=1e-5)
    assert not set(parts) & set(metrics)


@pytest.mark.slow
def test_of_one_test_image_nothing_is_a_collapse(config, tmp_path, caplog):
  """Its rate is known; which latents are active, and what images share, is not."""
  config['train'] |= dict(steps=20)
  config['evaluation'] |= dict(test_images=1, aggregate_images=1, nll_images=1)
  with caplog.at_level(logging.WARNING):
    training.run(config, tmp_path)
  said = ' '.join(record.message for record in caplog.records)
  assert 'collapse' not in said and 'ceiling' not in said
  row = records.read_results(tmp_path / 'results.csv')[0]
  for name in ('active_units', 'nll_stderr', 'mutual_information', 'mutual_information_stderr'):
    assert row[f'test/{name}'] is None, name
  for name in ('marginal_kl', 'total_correlation', 'dimension_wise_kl'):
    assert row[f'test/{name}'] is None, name
  assert row['collapsed_at'] is None and row['test/rate'] > 0 and row['test/nll'] > 0
  for line in records.read_table(tmp_path / 'latents.csv', records.LATENT_COLUMNS):
    assert line['active'] is None and line['mean_variance'] is None and line['rate'] > 0
  for line in records.read_table(tmp_path / 'nll_curve.csv', records.NLL_CURVE_COLUMNS):
    assert line['stderr'] is None and line['bound'] < 0
  assert 'nan' not in (tmp_path / 'latents.csv').read_text()
  last = records.read_metrics(tmp_path / 'metrics.jsonl')[-1]
  assert last['test/active_units'] is None and last['train/active_units'] is not None


def test_a_ceiling_is_warned_of(config, caplog):
  """exp(log n - I) is below two images a code."""
  config['lanes'] |= dict(beta=(0.5,), latent_size=(2, 5))
  built = study.from_config(config)
  with caplog.at_level(logging.WARNING):
    found = outcome.estimates._ceiling(
      built, np.array([math.log(25 / 1.9), math.log(25 / 2.1)]), 25
    )
  assert found == {'test/mutual_information_ceiling': [math.log(25)] * 2}
  (record,) = [r for r in caplog.records if 'ceiling' in r.message]
  assert record.message.startswith(f'{built.names[0]}: ') and 'log 25' in record.message


def test_many_lanes_at_their_ceiling_are_one_warning(caplog):
  lanes = types.SimpleNamespace(names=list('abcdef'), points=[None] * 6)
  with caplog.at_level(logging.WARNING):
    outcome.estimates._ceiling(lanes, np.array([3.2, 0.0, 3.2, 3.2, 3.2, 3.2]), 25)
  (record,) = caplog.records
  assert record.message.startswith('a, c, d and 2 more: ')


@pytest.mark.parametrize(
  ('bound', 'is_biased'),
  [
    (dict(name='iwae', num_samples=5), True),
    (dict(name='miwae', num_samples=6, num_groups=2), True),
    (dict(name='ciwae', num_samples=5, elbo_weight=0.5), True),
    (dict(name='iwae', num_samples=1), False),
    (dict(name='miwae', num_samples=6, num_groups=6), False),
    (dict(name='ciwae', num_samples=5, elbo_weight=1.0), False),
    (dict(name='elbo', num_samples=5), False),
  ],
)
def test_a_biased_gradient_is_said(config, caplog, bound, is_biased):
  config['bound'] |= dict(kl='sampled', gradient='sticking_the_landing') | bound
  config['lanes'] |= dict(beta=(1.0,))
  config['program'] |= dict(width=1)  # so that the operations of a step are not counted
  with caplog.at_level(logging.WARNING):
    study.from_config(config)
  said = [r.message for r in caplog.records if 'biased' in r.message]
  assert len(said) == is_biased
  assert all("bound.gradient='doubly_reparameterized'" in line for line in said)


def test_refitting_is_for_a_scale_in_closed_form_alone(config):
  """Elsewhere the very parameters of the state are evaluated."""
  built = study.from_config(config)
  batches = evaluation.cut(built.dataset.test[:10], 10)
  lane = jax.tree.map(lambda leaf: leaf[0], built.lanes)
  params = object()
  assert evaluation.refitted(built.training.learner, params, lane, batches, 1.0) is params
