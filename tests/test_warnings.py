"""What a run warns of, beside what it does not: of settings and files alone, nothing is trained."""

import logging
import re
import types

import jax
import numpy as np
import pytest

from vae_jax import errors, evaluation, learner, records
from vae_jax.commands import command
from vae_jax.runs import checkpoint, outcome, resuming, workdir
from vae_jax.runs.outcome import choice, estimates

pytestmark = pytest.mark.math


def said(caplog, words):
  """Checks that one line was said that matches, or none where there are no words."""
  assert len(caplog.messages) == (words is not None), caplog.messages
  if words is not None:
    assert re.search(words, caplog.messages[0])


def study_of(num_lanes=4, width=2, chosen_on='test', **train):
  points = [dict(beta=1.0, latent_size=2, seed=seed) for seed in range(num_lanes)]
  return types.SimpleNamespace(
    points=points,
    names=[f's{seed}' for seed in range(num_lanes)],
    place=types.SimpleNamespace(width=width),
    chosen_on=chosen_on,
    train=types.SimpleNamespace(**dict(patience=0, keep='last') | train),
  )


@pytest.mark.parametrize(
  ('study', 'words'),
  [
    (study_of(patience=5), r'^train\.patience=5: chosen on the test set'),
    (study_of(keep='best'), r"^train\.keep='best': chosen on the test set"),
    (study_of(), None),
    (study_of(patience=5, keep='best', chosen_on='validation'), None),
    (
      study_of(8, 8, 'validation', patience=5),
      r'saves no time before all 8 lanes .* program\.width=2 would',
    ),
    (study_of(1, 1, 'validation', patience=5), None),
    (study_of(8, 8, 'validation', keep='best'), None),
  ],
)
def test_what_stops_and_choices_are_worth(caplog, study, words):
  caplog.set_level(logging.INFO)
  outcome.announce(study)
  said(caplog, words)


@pytest.mark.parametrize(
  ('waited', 'words'), [(2, '^s1: stopped at step 60, as no evaluation since step 40'), (1, None)]
)
def test_a_lane_that_stops_is_named(caplog, waited, words):
  caplog.set_level(logging.INFO)
  found = choice.nothing_chosen(2)._replace(best_step=[60, 40], waited=[0, waited])
  progress = outcome.Progress(60, None, {}, [], [], 0.0, 0.0, (), found, [0, 1])
  outcome.with_stops(study_of(2, patience=2), progress)
  said(caplog, words)


@pytest.mark.parametrize(
  ('possible', 'words'), [(3, '3 lanes on these devices, and had 4'), (4, None)]
)
def test_another_width_is_said_and_recorded(caplog, monkeypatch, tmp_path, possible, words):
  written = []
  monkeypatch.setattr(workdir, 'recorded_width', lambda directory: 4)
  monkeypatch.setattr(workdir, 'record_width', lambda directory, width: written.append(width))
  built = types.SimpleNamespace(at_width=lambda width: study_of(width=possible))
  resuming.at_recorded_width(built, tmp_path)
  said(caplog, words)
  assert written == [3][: possible == 3]


@pytest.mark.parametrize('fails', [True, False])
def test_a_cache_that_cannot_be_written(caplog, monkeypatch, tmp_path, fails):
  place = tmp_path / 'file' if fails else tmp_path
  (tmp_path / 'file').write_text('')
  monkeypatch.setenv('VAE_JAX_CACHE', str(place))
  monkeypatch.setattr(jax.config, 'update', lambda *setting: None)
  command._use_compilation_cache()
  said(caplog, 'no compilation cache: cannot write' if fails else None)


@pytest.mark.parametrize('same', [True, False])
def test_factors_that_have_one_value_each(caplog, monkeypatch, tmp_path, same):
  """The table has no scores then; what else was measured stays."""
  factors = np.zeros((6, 2), int) if same else np.arange(12).reshape(6, 2)
  study = study_of(2)
  study.dataset = types.SimpleNamespace(
    factors=types.SimpleNamespace(test=factors),
    test=np.zeros((6, 4)),
    fixed_scale=1.0,
    beside_of=lambda *_: None,
  )
  study.sample, study.model = lambda split, count: np.arange(6), None
  study.lanes = types.SimpleNamespace(mask=np.ones((2, 2)))
  study.evaluation = types.SimpleNamespace(factor_images=6)
  monkeypatch.setattr(outcome.tables.programs, 'encode', lambda *_: np.zeros((2, 6, 2)))
  monkeypatch.setattr(outcome.tables.disentanglement, 'scores', lambda *_, seed: {'mig': 0.5})
  state = types.SimpleNamespace(evaluated=None)
  outcome.write_disentanglement(study, tmp_path, state)
  said(caplog, 'the 6 examples have one value of each factor: no scores' if same else None)
  path = tmp_path / 'disentanglement.csv'
  rows = records.read_table(path, records.DISENTANGLEMENT_COLUMNS)
  assert [row['mig'] for row in rows] == [None if same else 0.5] * 2


@pytest.mark.parametrize('damaged', [True, False])
def test_an_older_checkpoint_is_taken_with_a_warning(caplog, monkeypatch, damaged):
  def restore(manager, step, like):
    if step == 40 and damaged:
      raise errors.DamagedError('checkpoints/40 does not verify')
    return step

  monkeypatch.setattr(checkpoint, '_restore', restore)
  manager = types.SimpleNamespace(all_steps=lambda: [20, 40], directory='run')
  assert checkpoint.restore_newest(manager, None) == (20 if damaged else 40)
  said(caplog, '40 does not verify; falling back to an older' if damaged else None)


@pytest.mark.parametrize('diverged', [True, False])
def test_lanes_that_diverged_are_not_warned_of_again(caplog, monkeypatch, diverged):
  """Neither for their information nor for their NLL, whose weights hang on one sample there."""
  study = study_of(2)
  study.dataset = types.SimpleNamespace(
    test=np.zeros((9, 4)),
    fixed_scale=1.0,
    levels=None,
    has_missing=False,
    beside_of=lambda *_: None,
  )
  study.sample, study.model, study.lanes = lambda split, count: np.arange(9), None, None
  study.evaluation = types.SimpleNamespace(
    aggregate_images=9, batch_size=9, nll_samples=10, mixture_components=0
  )
  study.is_density = True
  parts = {'mutual_information': np.array([1.0, np.log(9.0)], np.float32)}
  nll = evaluation.Nll(**{field: np.zeros(2) for field in evaluation.Nll._fields})
  nll = nll._replace(lonely=np.array([0.0, 1.0]), curve=np.zeros((2, 2)), nlls=np.zeros((2, 9)))
  monkeypatch.setattr(estimates.programs, 'aggregate', lambda *_: parts)
  monkeypatch.setattr(estimates, '_nll', lambda *_: (nll, None))
  monkeypatch.setattr(estimates, '_curve', lambda *_: [])
  monkeypatch.setattr(estimates, '_make_fitted', lambda *_: lambda state, lanes: None)
  steps = np.array([learner.NOT_DIVERGED, 7 if diverged else learner.NOT_DIVERGED])
  state = learner.State(params=None, opt_state=None, diverged_at=steps)
  outcome.estimate(study, state)
  assert [message.split(':')[0] for message in caplog.messages] == ([] if diverged else ['s1'] * 2)
