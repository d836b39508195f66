"""Keys of a config as flags: those of the parts that the command line itself names."""

import pytest

from configs import digits
from vae_jax import config as settings
from vae_jax import parts
from vae_jax.commands import overrides

pytestmark = pytest.mark.run


def completed(**typed):
  typed = {key.replace('__', '.'): word for key, word in typed.items()}
  return overrides.completed(digits.get_config(), typed)


def test_a_part_that_is_named_has_its_keys_whatever_the_order():
  for typed in (
    dict(prior__name='mixture', prior__num_components='10'),
    dict(prior__num_components='10', prior__name='mixture'),
  ):
    prior = completed(**typed)['prior'].to_dict()
    assert prior == dict(name='mixture', num_components=50)  # absl sets what is typed


def test_what_is_stated_stays_and_what_is_of_the_part_before_goes():
  conv = completed(encoder__name='conv')['encoder']
  assert conv['hidden'] == (128,)  # of the study, and a key of both
  lion = completed(optimizer__name='optax:lion')['optimizer'].to_dict()
  assert lion == {
    'name': 'optax:lion',
    **{key: p.default for key, p in parts.parameters('optimizer', 'optax:lion').items()},
  }


def test_a_key_that_is_typed_has_the_type_of_its_parameter():
  config = completed(
    encoder__name='conv', encoder__channels='4', optimizer__name='optax:lion', optimizer__b1='1'
  )
  assert config['encoder'].get_type('channels') is tuple
  assert config['optimizer'].get_type('b1') is float
  assert config['optimizer']['b1'] == 0.9
  config = completed(data__seed='3', train__steps='5')
  assert config['train'].get_type('steps') is int


@pytest.mark.parametrize(
  ('key', 'words'),
  [
    ('likelihood.scale', "likelihood.name='bernoulli' has none, gaussian and student_t have one"),
    ('likelihood.min_scale', 'gaussian, discretized_logistic and student_t have one'),
    ('encoder.hiden', 'no such key; did you mean --config.encoder.hidden?'),
  ],
)
def test_a_key_that_the_part_does_not_have_is_refused_with_who_has_it(key, words):
  config = settings.complete(digits.get_config())
  line = ['--v=1', f'--config.{key}', '0.1', 'stray']
  right, (problem,) = overrides.sorted_out(line, {key: '0.1'}, config)
  assert right == ['--v=1', 'stray']
  assert problem.startswith(f'--config.{key}: ')
  assert problem.endswith(words)
