"""Every likelihood x posterior x prior x bound trains, or is refused by name.

The quick test takes a few cases that have each of them once at least; `./launch/test slow -k
combination` takes every combination.
"""

import functools
import itertools
from operator import attrgetter

import jax
import numpy as np
import pytest
from conftest import small_config

from vae_jax import config as settings
from vae_jax import data, errors, parts, placement, programs, study, validation

pytestmark = pytest.mark.run

LIKELIHOODS = {
  'bernoulli': dict(name='bernoulli'),
  'continuous bernoulli': dict(name='continuous_bernoulli'),
  'cross-entropy': dict(name='cross_entropy'),
  'gaussian, fixed': dict(name='gaussian', scale='fixed', initial_scale=0.3),
  'gaussian, shared': dict(name='gaussian', scale='shared', initial_scale=0.5),
  'gaussian, optimal': dict(name='gaussian', scale='optimal', initial_scale=0.5),
  'gaussian, per pixel': dict(name='gaussian', scale='per_pixel', initial_scale=0.5),
  'logistic': dict(name='discretized_logistic'),
  'logistics': dict(name='discretized_logistic', num_components=3),
  'categorical': dict(name='categorical'),
  'poisson': dict(name='poisson'),
  'negative binomial': dict(name='negative_binomial'),
  'student t': dict(name='student_t'),
}
LEVELS = ('logistic', 'logistics', 'categorical')  # of 8-bit images, the others of [0, 1]
KINDS = {'poisson': 'count', 'negative binomial': 'count', 'student t': 'real'}  # of these, too

GRADIENTS = ('reparameterized', 'sticking_the_landing', 'doubly_reparameterized')
PRIORS = tuple(parts.SECTIONS['prior'].builtins)
# One network for every beta has networks and lanes of its own: test_multi_rate.
NAMES = tuple(name for name in parts.SECTIONS['bound'].builtins if name != 'multi_rate')
LATENTS = [
  *itertools.product(('diagonal', 'full_covariance', 'flow'), PRIORS[:-1]),
  ('two_layer', 'two_layer'),
]
# bound -> the forms of the KL and the gradients that go with it
FORMS = {
  'elbo': [
    ('analytic', 'reparameterized'),
    ('sampled', 'reparameterized'),
    ('sampled', 'sticking_the_landing'),
  ],
  **{name: list(itertools.product(('sampled',), GRADIENTS)) for name in ('iwae', 'miwae', 'ciwae')},
  'beta_tcvae': list(itertools.product(('analytic', 'sampled'), ('reparameterized',))),
  **{
    name: [
      ('analytic', 'reparameterized'),
      ('sampled', 'reparameterized'),
      ('sampled', 'sticking_the_landing'),
    ]
    for name in ('dip_vae_i', 'dip_vae_ii')
  },
}
BOUNDS = [(name, *form) for name, forms in FORMS.items() for form in forms]
SMALL = small_config()  # of which a thousand configs are copies


@pytest.fixture(scope='session')
def levels(tmp_path_factory):
  """The digits as 8-bit images: path of an .npz."""
  from sklearn import datasets

  images = np.round(datasets.load_digits().images * 255 / 16).astype(np.uint8)
  path = tmp_path_factory.mktemp('levels') / 'digits.npz'
  np.savez(path, train=images[:1400], test=images[1400:])
  return path


def config_of(likelihood, latents, bound, levels):
  config = {key: dict(value) if isinstance(value, dict) else value for key, value in SMALL.items()}
  name, kl, gradient = bound
  config['bound'] |= dict(name=name, kl=kl, gradient=gradient, num_samples=4)
  config['bound'] |= dict(num_groups=2 if name == 'miwae' else 1)
  config['bound'] |= dict(elbo_weight=0.3 if name == 'ciwae' else 0.0)
  config['lanes'] |= dict(
    beta=(1.0,),
    latent_size=(2, 3),
    learning_rate=(5e-3,),
    covariance_weight=(0.1 if name.startswith('dip') else 0.0,),
  )
  config['posterior'] |= dict(name=latents[0], num_layers=2, hidden=(6,), lower_size=4)
  config['prior'] |= dict(name=latents[1], num_layers=2, hidden=(6,), num_components=3)
  config['likelihood'] |= LIKELIHOODS[likelihood]
  if likelihood in LEVELS:
    config['data'] |= dict(name='npz', path=str(levels), scale_to_unit=False, binarize='none')
  elif likelihood in KINDS:
    config['data'] |= dict(name='digit_counts', kind=KINDS[likelihood], binarize='none')
    config['data'] |= dict(scale_to_unit=False)
  elif likelihood != 'bernoulli':
    config['data'] |= dict(binarize='none')
  for part in ('encoder', 'decoder'):
    config[part] |= dict(hidden=(12,))
  config['train'] |= dict(steps=50, log_every=50, evaluate_every=50, checkpoint_every=50)
  return config


@functools.cache
def refusal(latents, bound):
  """Lines that refuse a config once its data are known; None where it is valid."""
  config = settings.complete(config_of('bernoulli', latents, bound, ''))
  problems = validation.problems(config)
  given = dict(event=(8, 8, 1), num_examples=1437, support='binary')
  validation.add_disagreements(problems, validation.Built(config, problems.keys, **given))
  try:
    problems.refuse()
  except errors.InputError as error:
    return error.problems
  return None


VALID = {pair for pair in itertools.product(LATENTS, BOUNDS) if refusal(*pair) is None}


def all_cases():
  """Returns every (likelihood, latents, bound); the forms of a bound go round the likelihoods."""
  cases = []
  for latents, name in itertools.product(LATENTS, FORMS):
    forms = [bound for bound in BOUNDS if bound[0] == name and (latents, bound) in VALID]
    for turn, likelihood in enumerate(LIKELIHOODS if forms else ()):
      cases.append((likelihood, latents, forms[turn % len(forms)]))
  return cases


def covering():
  """Returns few cases with every likelihood, posterior, prior, bound and gradient."""
  missing = {part for case in CASES for part in parts_of(case)}
  chosen = []
  while missing:
    chosen.append(max(CASES, key=lambda case: len(missing & parts_of(case))))
    missing -= parts_of(chosen[-1])
  return chosen


def parts_of(case):
  likelihood, latents, (name, _, gradient) = case
  return set(enumerate((likelihood, *latents, name, gradient)))


CASES = all_cases()
COVERING = covering()


def label(value):
  return value if isinstance(value, str) else '-'.join(value)


def check_training(config):
  built = study.from_config(config)
  training = built.training
  states, feed = programs.init(training.learner, built.lanes, built.place), built.feed()
  chunk = programs.compile_chunk(training, built.lanes, feed.shape)
  losses = []
  for first, stop in ((0, 10), (10, 40), (40, 50)):
    states, metrics = programs.take_chunk(training, chunk, states, built.lanes, feed, first, stop)
    losses.append(-np.asarray(metrics['batch/objective']))
    assert all(np.isfinite(values).all() for values in metrics.values())
  assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(placement.joined(states).params))
  assert np.all(losses[2] < losses[0]), losses


@pytest.mark.parametrize(('likelihood', 'latents', 'bound'), COVERING, ids=label)
def test_every_choice_trains(likelihood, latents, bound, levels):
  """The first lane, padded, by the step alone: programs of many lanes take thrice as long."""
  config = config_of(likelihood, latents, bound, levels)
  config['data'] |= dict(crop=(4, 4))
  config['train'] |= dict(batch_size=16)
  config['program'] |= dict(width=1)  # nobody asks which is the fastest
  for part in ('posterior', 'prior'):
    config[part] |= dict(num_layers=1)
  training, stacked, dataset = attrgetter('training', 'lanes', 'dataset')(study.from_config(config))
  one, lane = training.learner, jax.tree.map(lambda leaf: leaf[0], stacked)
  seed, size = training.schedule.seed, training.schedule.batch_size

  def step(state, batch):
    stored, count = batch
    x = data.to_batch(stored, training.scale, training.dynamic, seed, count)
    return one.step(state, lane, x, one.draw(lane, size, count), count)

  @jax.jit
  def trained(batches):
    return jax.lax.scan(step, one.init(lane), batches)

  rows = data.batch_indices(seed, 0, 50, size, len(dataset.train))
  state, metrics = jax.device_get(trained((dataset.train[rows], np.arange(50, dtype=np.int32))))
  losses = -metrics['objective']
  assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((metrics, state.params)))
  assert np.mean(losses[40:]) < np.mean(losses[:10]), losses


@pytest.mark.slow
@pytest.mark.parametrize(('likelihood', 'latents', 'bound'), CASES, ids=label)
def test_every_combination_trains(likelihood, latents, bound, levels):
  check_training(config_of(likelihood, latents, bound, levels))


def test_every_likelihood_has_its_case_and_nothing_valid_is_left_out():
  assert {case[0] for case in COVERING} == set(LIKELIHOODS)
  assert {latents for case in COVERING for latents in case[1]} == set(itertools.chain(*LATENTS))
  assert {case[2][0] for case in COVERING} == set(NAMES)
  builtins = parts.SECTIONS['likelihood'].builtins
  names = {likelihood['name'] for likelihood in LIKELIHOODS.values()}
  assert names == {*builtins} - {'by_column'}  # of tables: test_table_runs
  # Four bounds go with all 13 latents; what needs factors, or a closed form, with one.
  assert len(CASES) == len(LIKELIHOODS) * (13 * 4 + 3)
  assert {case[1:] for case in CASES} == VALID


ALL_BOUNDS = list(itertools.product(NAMES, ('analytic', 'sampled'), GRADIENTS))
ALL_LATENTS = list(itertools.product(parts.SECTIONS['posterior'].builtins, PRIORS))


@pytest.mark.parametrize('latents', ALL_LATENTS, ids=label)
def test_what_cannot_be_combined_is_refused_by_name(latents):
  """Every problem is one line that names a key of the clash and what to set."""
  for bound in ALL_BOUNDS:
    if (latents, bound) in VALID:
      continue
    lines = refusal(latents, bound)
    assert lines, bound
    for line in lines:
      assert '\n' not in line
      assert any(key in line for key in ('bound.', 'posterior.name', 'prior.name'))
      assert 'set ' in line or 'needs' in line
