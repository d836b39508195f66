"""Bad input: one line that names the key, the value and the nearest valid one; nothing is made."""

import copy
import importlib
import pathlib

import numpy as np
import pytest
from conftest import ROOT

from vae_jax import config as settings
from vae_jax import errors, lane_fields, parts, study, validation
from vae_jax.data import kinds, preparing, standard
from vae_jax.runs import training

pytestmark = pytest.mark.run

CONFIGS = sorted(path.stem for path in (ROOT / 'configs').glob('*.py'))


@pytest.mark.parametrize('name', CONFIGS)
def test_every_config_is_valid_and_states_its_command_and_figures(name):
  module = importlib.import_module(f'configs.{name}')
  given = module.get_config().to_dict()
  completed = settings.complete(given)
  validation.check(completed)
  for section in parts.SECTIONS:  # no key that its parts do not have
    assert given[section].keys() <= completed[section].keys()
  assert f'--config={name}' in module.__doc__
  assert 'nats' in module.__doc__


BAD = [
  ('train.steps', 0, ('nearest valid value is 1',)),
  ('train.steps', 2.5, ('whole number',)),
  ('train.steps', True, ('whole number',)),
  ('train.steps', None, ('whole number',)),
  ('train.evaluate_every', 25, ('multiple of train.log_every=10', 'nearest: 20')),
  ('lanes.beta', (float('nan'),), ('finite',)),
  ('lanes.beta', (-2.0,), ('nearest valid value is 0',)),
  ('lanes.beta', 4.0, ('(4.0,)',)),
  ('lanes.beta', (), ('empty',)),
  ('lanes.latent_size', (0,), ('nearest valid value is 1',)),
  ('lanes.latent_size', (8.5,), ('nearest valid value is 8',)),
  ('lanes.combine', 'prodct', ("'product'",)),
  ('lanes.points', ((1.0, 2, 0, 1e-3),), ("lanes.combine='list' only",)),
  ('data.name', 'mnits', ("'mnist'",)),
  ('data.binarize', 'dynamc', ("'dynamic'",)),
  ('data.binarize', 'none', ('likelihood.name', 'no density', "data.binarize='dynamic'")),
  ('data.train_split', 'trian', ("'train'",)),
  ('data.crop', (9, 9), ('data.crop',)),
  ('data.seed', -1, ('nearest valid value is 0',)),
  ('likelihood.name', 'bernouli', ("'bernoulli'",)),
  ('likelihood.name', 'gaussian', ('no density on the binary values', "'bernoulli'")),
  ('encoder.activation', 'rleu', ("'relu'",)),
  ('encoder.hidden', (16, 0), ('encoder.hidden[1]', 'nearest valid value is 1')),
  ('encoder.hidden', 16, ('a tuple',)),
  ('decoder.name', 'conv', ('decoder.kernels (0)',)),
  ('lanes.warmup', ('liner',), ("'linear'", 'lanes.warmup')),
  ('lanes.warmup', ('linear',), ('lanes.warmup_steps=0', 'set both')),
  ('lanes.warmup_steps', (5,), ("lanes.warmup='constant'", 'set both')),
  ('lanes.free_bits', (-1.0,), ('nearest valid value is 0',)),
  ('lanes.capacity_steps', (5,), ('lanes.capacity=0',)),
  ('lanes.covariance_weight', (1.0,), ("bound.name='elbo' has none", 'covariance_weight=(0.0,)')),
  ('encoder.kernel_init', 'glorto', ("'glorot'",)),
  ('posterior.name', 'diag', ("'diagonal'",)),
  ('posterior.name', 'two_layer', ("set prior.name='two_layer'", "set bound.kl='sampled'")),
  ('prior.name', 'vmap', ("'vamp'",)),
  ('bound.name', 'iwea', ("'iwae'",)),
  ('bound.gradient', 'sticking_the_landing', ("set bound.kl='sampled'",)),
  ('bound.noise', 'antithetic', ('bound.num_samples', 'nearest: 2')),
  ('train.log_powers_of_two', 1, ('True or False',)),
  ('evaluation.aggregate_images', -1, ('nearest valid value is 0',)),
  ('bound.num_samples', 0, ('nearest valid value is 1',)),
  ('optimizer.name', 'adm', ("'adam'",)),
  ('optimizer.b1', float('nan'), ('finite',)),
  ('schedule.name', 'cosin', ("'cosine'",)),
  ('evaluation.nll_images', -9, ('nearest valid value is 0',)),
  ('wandb.mode', 'off', ("'offline'",)),
  ('wandb.project', '', ('not empty',)),
  ('wandb.project', 'a:b', ('1 to 128 characters and none of / \\ # ? % :',)),
  ('wandb.project', 'x' * 129, ('1 to 128 characters',)),
  ('wandb.entity', 'a/b', ('0 to 128 characters',)),
  ('wandb.lanes', 'bst', ("'best'", 'a whole number of at least 1')),
  ('wandb.lanes', 0, ('nearest valid value is 1',)),
  ('wandb.lanes', 7.6, ('nearest valid value is 8',)),
  ('wandb.tags', ('ok', 'x' * 65), ('wandb.tags[1]', '1 to 64 characters')),
]


def changed(config: dict, key: str, value) -> dict:
  config = copy.deepcopy(config)
  section, name = key.split('.')
  config[section][name] = value
  return config


@pytest.mark.parametrize(('key', 'value', 'words'), BAD, ids=[f'{k}={v}' for k, v, _ in BAD])
def test_a_bad_value_is_refused_and_nothing_is_created(config, tmp_path, key, value, words):
  with pytest.raises(errors.InputError) as caught:
    training.run(changed(config, key, value), tmp_path / 'run')
  message = str(caught.value)
  assert message.splitlines() == caught.value.problems
  assert len(caught.value.problems) == (2 if value == 'two_layer' else 1)
  assert key.split('[')[0] in message
  for word in words:
    assert word in message
  assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
  ('section', 'changes', 'words'),
  [
    ('likelihood', dict(name='gaussian', initial_scale=float('inf')), 'initial_scale=inf.* finite'),
    ('decoder', dict(name='conv', padding='vaild'), r"decoder\.padding='vaild'.* 'valid'"),
    ('bound', dict(name='ciwae', kl='sampled', elbo_weight=1.5), 'nearest valid value is 1'),
    ('prior', dict(name='mixture', num_components=0), r'prior\.num_components=0.* nearest'),
    ('posterior', dict(name='flow', hidden=()), r'posterior\.hidden=\(\)'),
    ('optimizer', dict(name='optax:lion', b3=1), r'unknown key optimizer\.b3; .* has name, b1, b2'),
    ('optimizer', dict(name='optax:lion', b1='x'), r"optimizer\.b1='x'.* finite number"),
    ('schedule', dict(name='exponential', factor=0.0), r'schedule\.factor=0\.0.* above 0'),
    ('optimizer', dict(name='optax:lino'), "did you mean 'lion'"),
  ],
)
def test_a_key_of_a_part_is_checked_by_its_signature(config, section, changes, words):
  config[section] = changes
  with pytest.raises(errors.InputError, match=words):
    validation.check(settings.complete(config))


def test_a_key_of_another_part_means_nothing_and_is_no_mistake(config):
  """A config of an earlier version has the keys of all parts."""
  config['encoder'] |= dict(channels=(4,), strides='nonsense')
  config['bound'] |= dict(num_groups=7, elbo_weight=0.5)
  completed = settings.complete(config)
  validation.check(completed)
  assert not {'channels', 'strides'} & completed['encoder'].keys()
  assert not {'num_groups', 'elbo_weight'} & completed['bound'].keys()


def test_a_schedule_that_would_do_nothing_is_refused(config, tmp_path):
  config['schedule'] |= dict(name='cosine')
  with pytest.raises(errors.InputError, match='would stay constant'):
    training.run(config, tmp_path / 'run')


def test_a_fixed_scale_has_no_lower_bound(config):
  config['likelihood'] |= dict(name='gaussian', initial_scale=1e-4)
  validation.check(settings.complete(config))
  config['likelihood'] |= dict(scale='shared')
  with pytest.raises(errors.InputError, match=r'min_scale.* below likelihood\.initial_scale'):
    validation.check(settings.complete(config))


def test_unknown_and_missing_keys_are_named(config, tmp_path):
  with pytest.raises(errors.InputError, match=r'unknown key train\.stepz; .* train\.steps\?'):
    training.run(changed(config, 'train.stepz', 5), tmp_path / 'run')
  with pytest.raises(errors.InputError, match=r'unknown key trian; did you mean train'):
    training.run(config | {'trian': {'steps': 3}}, tmp_path / 'run')
  del config['train']['steps']
  with pytest.raises(errors.InputError, match=r'the config lacks train\.steps'):
    validation.check(config)
  assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('name', ['iwae', 'miwae', 'ciwae'])
@pytest.mark.parametrize(
  ('field', 'value'), [('beta', 4.0), ('free_bits', 0.1), ('capacity', 2.0), ('warmup', 'linear')]
)
def test_importance_weighted_bounds_have_no_weighting(config, tmp_path, name, field, value):
  config['bound'] |= dict(name=name, kl='sampled')
  config['lanes'] |= {'beta': (1.0,), field: (value,)}
  config['lanes'] |= dict(warmup_steps=(3,)) if field == 'warmup' else {}
  with pytest.raises(errors.InputError, match=rf'lanes\.{field}: bound\.name=.{name}. has none'):
    training.run(config, tmp_path / 'run')


def test_a_dip_vae_needs_its_weight(config, tmp_path):
  config['bound'] |= dict(name='dip_vae_i')
  with pytest.raises(errors.InputError, match=r'lanes\.covariance_weight=0\.0'):
    training.run(config, tmp_path / 'run')


def test_groups_divide_the_samples(config):
  config['bound'] |= dict(name='miwae', kl='sampled', num_samples=6, num_groups=4)
  with pytest.raises(errors.InputError, match=r'bound\.num_groups=4.* nearest: 3'):
    validation.check(config)


def test_free_bits_of_a_latent_need_a_rate_that_splits(config, tmp_path):
  config['prior'] |= dict(name='mixture')
  config['bound'] |= dict(kl='sampled')
  config['lanes'] |= dict(free_bits=(0.5,))
  with pytest.raises(errors.InputError, match=r"set bound\.free_bits_per='layer'"):
    training.run(config, tmp_path / 'run')


def test_convolutions_need_images_and_sigmoid_means_the_unit_interval(config, tmp_path):
  path = tmp_path / 'table.npz'
  np.savez(path, train=np.random.default_rng(0).normal(size=(60, 5)), test=np.ones((60, 5)) / 3)
  config['data'] |= dict(name='npz', path=str(path), scale_to_unit=False, binarize='none')
  config['likelihood'] |= dict(name='gaussian', mean='sigmoid')
  with pytest.raises(errors.InputError, match=r"set likelihood\.mean='identity'"):
    training.run(config, tmp_path / 'run')
  config['likelihood'] |= dict(mean='identity')
  config['encoder'] |= dict(name='conv', channels=(4,), kernels=(3,), strides=(2,))
  with pytest.raises(errors.InputError, match=r"set encoder\.name='mlp'"):
    training.run(config, tmp_path / 'run')
  config['encoder'] |= dict(name='mlp', channels=(), kernels=(), strides=())
  # A table [N, D] of real numbers; `test_data_cases.py` trains one.
  assert study.from_config(config).event == (5,)


@pytest.mark.parametrize(
  ('content', 'error'),
  [
    (b'no archive at all', errors.InputError),
    (b'PK\x03\x04 the beginning of one', errors.DamagedError),
  ],
)
def test_an_unreadable_npz(config, tmp_path, content, error):
  path = tmp_path / 'images.npz'
  path.write_bytes(content)
  config['data'] |= dict(name='npz', path=str(path))
  with pytest.raises(error, match=r'images\.npz'):
    training.run(config, tmp_path / 'run')
  assert not (tmp_path / 'run').exists()


def test_an_npz_of_objects(config, tmp_path):
  path = tmp_path / 'objects.npz'
  np.savez(path, train=np.array([{'a': 1}], dtype=object), test=np.zeros((1, 4)))
  config['data'] |= dict(name='npz', path=str(path))
  with pytest.raises(errors.InputError, match='object'):
    training.run(config, tmp_path / 'run')


def test_all_that_is_wrong_is_said_at_once(config, tmp_path):
  """What can be looked at is: lanes, data and sizes beside a wrong key of another section."""
  config['train'] |= dict(steps=0, evaluate_every=25)
  config['encoder'] |= dict(hidden=(0, 16, -1), dropout=0.1)
  config['lanes'] |= dict(beta=(-1.0, 2.0, float('nan')), seed=(-1,), covariance_weight=(1.0,))
  config['evaluation'] |= dict(nll_images=9999, test_images=-1)
  config['likelihood'] |= dict(name='gaussian')
  config['bound'] |= dict(noise='antithetic', kl='sampeld')
  with pytest.raises(errors.InputError) as caught:
    training.run(config, tmp_path / 'run')
  assert [line.split('=')[0].split(';')[0] for line in caught.value.problems] == [
    'unknown key encoder.dropout',
    'encoder.hidden[0]',
    'encoder.hidden[2]',
    'bound.kl',
    'train.steps',
    'evaluation.test_images',
    'train.evaluate_every',
    'bound.num_samples',
    'lanes.beta',
    'lanes.beta',
    'lanes.seed',
    'likelihood.name',
  ]
  assert not list(tmp_path.iterdir())


def test_a_message_says_twenty_problems_and_counts_the_rest(config):
  config['encoder']['hidden'] = (0,) * 33
  with pytest.raises(errors.InputError) as caught:
    validation.check(config)
  lines = str(caught.value).splitlines()
  assert len(lines) == 21
  assert lines[19].startswith('encoder.hidden[19]=0')
  assert lines[20] == 'and 13 more'
  assert len(caught.value.problems) == 33


def test_nearest_key():
  known = validation.keys.of({})
  assert validation.nearest_key('lanes.bta', known) == 'lanes.beta'
  assert validation.nearest_key('beta', known) == 'lanes.beta'


def test_the_page_and_the_modules_that_read_it_know_the_same_values():
  for key, values in {
    'kind': kinds.KINDS,
    'binarize': preparing.BINARIZE,
    'standardize': standard.STANDARDIZE,
  }.items():
    check = settings.PAGE['data'][key].check
    for value in values:
      check(key, value)
    with pytest.raises(errors.InputError, match=', '.join(values)):
      check(key, 'none of them')
  further = {'combine', 'points', 'beta_unit'}
  assert set(lane_fields.NAMES) | further == settings.PAGE['lanes'].keys()


@pytest.mark.parametrize('section', parts.SECTIONS)
def test_a_key_of_a_built_in_part_has_a_check_of_its_own_and_its_default_is_valid(section):
  """Annotated: what JSON can hold is no check."""
  for name in parts.SECTIONS[section].builtins:
    for key, parameter in parts.parameters(section, name).items():
      with pytest.raises(errors.InputError):
        parameter.check(f'{section}.{key}', {'no': 'value'})
      assert parameter.default is not parts.REQUIRED
      if parameter.default != ():  # of a conv, checked beside the other keys
        parameter.check(f'{section}.{key}', parameter.default)
      if key in settings.PAGE[section]:
        assert parameter.default == settings.PAGE[section][key], f'{section}.{key} of {name}'


def test_a_workdir_that_is_a_file_is_refused(config, tmp_path):
  path: pathlib.Path = tmp_path / 'file'
  path.write_text('')
  for workdir in (path, path / 'below', tmp_path / ('x' * 300)):
    with pytest.raises(errors.InputError, match=r'cannot be (made|used)'):
      training.run(config, workdir)
