"""The one page of settings, and what is older than one of its keys."""

import contextlib
import copy
import json
import tarfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import ROOT, small_config
from ml_collections import config_dict

from vae_jax import config, errors, records, study, validation
from vae_jax.runs import checkpoint, evaluating, states, training, workdir

pytestmark = [pytest.mark.run, pytest.mark.usefixtures('traced_once', 'no_pictures')]

FIXTURES = ROOT / 'tests' / 'fixtures'


def keys_of(tree: dict) -> set[str]:
  """Returns the dotted keys of a config."""
  sections = {name: keys for name, keys in tree.items() if isinstance(keys, dict)}
  below = {f'{name}.{key}' for name, keys in sections.items() for key in keys}
  return below | (set(tree) - set(sections))


def test_the_page_has_every_key_once_and_no_other():
  given = config.base().to_dict()
  assert keys_of(given) == set(validation.keys.of(given))
  assert config.complete(given) == given
  assert keys_of(given) < set(validation.keys.every())


def test_a_key_of_two_kinds_takes_both_in_a_file():
  given = config.base()
  for value in (8, 'best'):
    given.wandb.lanes = value
    assert config.complete(given)['wandb']['lanes'] == value


def test_what_a_study_must_state_is_refused_where_it_does_not():
  given = config.base().to_dict()
  with pytest.raises(errors.InputError, match='study'):
    validation.check(given)
  with pytest.raises(errors.InputError, match=r'data\.name'):
    validation.check(given | {'study': 'mine'})
  validation.check(given | {'study': 'mine', 'data': given['data'] | {'name': 'digits'}})


def test_the_values_of_the_page_do_nothing():
  """A config without the keys that are optional means the same as one that has them."""
  given = small_config()
  base = config.base().to_dict()
  differing = {
    section: {key: value for key, value in values.items() if value != base[section][key]}
    for section, values in given.items()
    if isinstance(values, dict)
  }
  assert config.complete(differing | {'study': given['study']}) == given


def test_a_config_of_91_keys_of_an_earlier_version_means_what_it_meant():
  stored = json.loads((FIXTURES / 'config_of_91_keys.json').read_text())
  assert len(keys_of(stored)) == 91
  completed = config.complete(stored)
  validation.check(completed)
  # What is left out are keys of parts that it does not name.
  known = validation.keys.of(completed)
  assert keys_of(stored) - known.keys() <= set(validation.keys.every())
  for section, values in stored.items():
    if isinstance(values, dict):
      assert values.items() >= {k: v for k, v in completed[section].items() if k in values}.items()
  assert len(study.from_config(completed).points) == 4


def test_what_the_page_does_not_have_stays_for_the_check_to_refuse():
  given = small_config()
  given['encoder'] |= {'depth': 3}
  with pytest.raises(errors.InputError, match=r'encoder\.depth'):
    validation.check(config.complete(given))
  assert config.complete(given | {'data': 7})['data'] == 7


def test_numpy_and_a_config_dict_are_the_same_config_as_plain_values():
  given = small_config()
  given['lanes'] |= dict(beta=(0.1, 4.0), seed=(0, 1))
  written = copy.deepcopy(given)
  written['lanes'] |= dict(
    beta=np.array([0.1, 4.0], np.float32),
    latent_size=[np.int64(2), 5],
    seed=jnp.arange(2),
    free_bits=(np.float64(0),),
    points=np.zeros((0, 4)),
  )
  written['encoder']['hidden'] = np.array([16])
  written['train'] |= dict(steps=np.int32(65), log_powers_of_two=np.bool_(False))
  written['optimizer']['b1'] = np.float32(0.9)
  written['bound']['kl'] = np.str_('analytic')
  for form in (written, config_dict.ConfigDict(written)):
    assert workdir.plain(config.complete(form)) == workdir.plain(given)
  built = study.from_config(config_dict.ConfigDict(written))
  assert built.points == study.from_config(given).points


@pytest.mark.parametrize('nothing', [None, 7, 'configs/digits.py', [1]])
def test_what_is_no_config_is_refused(nothing, tmp_path):
  with pytest.raises(errors.InputError, match=r'the config is .*; give a ConfigDict, or a dict'):
    training.run(nothing, tmp_path / 'run')
  assert not list(tmp_path.iterdir())


@pytest.fixture
def earlier(tmp_path):
  """What version 0.1.0, of 91 keys, left of the small study: `finished`, and `half` of it."""
  with tarfile.open(FIXTURES / 'runs_of_91_keys.tar.gz') as archive:
    archive.extractall(tmp_path, filter='data')
  return tmp_path


def test_a_finished_run_of_an_earlier_version_is_read_and_evaluated(earlier):
  before = records.read_results(earlier / 'finished' / 'results.csv')
  outcome = evaluating.evaluate(earlier / 'finished', num_samples=None, num_images=None)
  assert [row['step'] for row in outcome.rows] == [65] * 4
  for old, new in zip(before, outcome.rows, strict=True):
    assert new['test/nll'] == pytest.approx(old['test/nll'], abs=5 * old['test/nll_stderr'])


@pytest.mark.usefixtures('no_estimates')
def test_a_half_run_of_an_earlier_version_goes_on_to_the_parameters_of_the_whole_one(earlier):
  stored = json.loads((FIXTURES / 'config_of_91_keys.json').read_text())
  training.run(stored, earlier / 'half')
  built = study.from_config(config.complete(stored))
  halves, whole = (restored(built, earlier / name) for name in ('half', 'finished'))
  assert halves.step == whole.step == 65
  # Of another processor, maybe: its last bits need not be the same.
  jax.tree.map(
    lambda one, other: np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5),
    halves.state.params,
    whole.state.params,
  )


def restored(built, workdir):
  with contextlib.closing(checkpoint.open_manager(workdir / 'checkpoints')) as manager:
    return states.restored(built, manager)
