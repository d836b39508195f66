"""At which steps, and of which state, the loop evaluates: with stand-ins for all that it calls."""

import types

import numpy as np
import pytest

from vae_jax import evaluation, programs, study
from vae_jax.runs import loop, outcome

SETTINGS = dict(
  steps=65, log_every=10, log_powers_of_two=False, evaluate_every=20, checkpoint_every=30
)


@pytest.fixture
def attempt(monkeypatch):
  """Its state is the step that it is of; what it evaluates is noted."""
  noted, built = [], types.SimpleNamespace(names=['one'], points=[None], training=None)

  def take_chunk(training, chunk, state, lanes, feed, first, stop):
    assert state == first
    return stop, {'batch/elbo': np.array([-float(stop)])}

  def evaluate(state, step):
    noted.append((state, step))
    metrics = dict(elbo=[-float(state)], active_units=[1.0], distortion=[1.0])
    metrics = {name: np.array(values) for name, values in metrics.items()}
    return {'test': evaluation.Evaluation(metrics, None, None)}

  monkeypatch.setattr(programs, 'take_chunk', take_chunk)
  monkeypatch.setattr(outcome, 'reasons', lambda study, examine, state, known: known)
  return types.SimpleNamespace(
    study=built,
    config={'train': SETTINGS},
    chunk=None,
    lanes=None,
    feed=None,
    start=study.Start(0.0, None, 1, ''),
    examine=None,
    started=0.0,
    evaluate=evaluate,
    noted=noted,
  )


def progress_at(step):
  return outcome.Progress(step, step, {'test/elbo': [7.0]}, [None], [None], 0.0, 0.0)


@pytest.mark.parametrize(('begin', 'stop'), [(10, 20), (30, 40), (60, 65), (55, 60)])
def test_what_is_evaluated_is_the_state_of_the_step_that_is_logged(attempt, begin, stop):
  progress, metrics = loop._advance(attempt, progress_at(begin))
  assert (progress.step, progress.state) == (stop, stop)
  assert attempt.noted == [(stop, stop)]
  assert metrics['test/elbo'] == metrics['batch/elbo'] == -stop
  assert progress.evaluated['test/elbo'] == [-stop]


@pytest.mark.parametrize('begin', [0, 20, 40])
def test_between_the_evaluations_the_last_one_stands(attempt, begin):
  progress, metrics = loop._advance(attempt, progress_at(begin))
  assert progress.step == begin + 10
  assert not attempt.noted
  assert set(metrics) == {'batch/elbo'}
  assert progress.evaluated == {'test/elbo': [7.0]}


def test_the_end_evaluates_the_last_state_at_its_step(attempt, monkeypatch):
  """And everything that follows is of that state, with the settings of the evaluation."""
  given, settings = {}, {'nll_images': 3}
  attempt.config['evaluation'] = settings
  attempt.workdir, attempt.signal_number = None, lambda: 0
  attempt.tracker = types.SimpleNamespace(summarise=lambda rows, pictures: None)

  def note(name, result):
    monkeypatch.setattr(outcome, name, lambda *args, **kw: given.update({name: args}) or result)

  kept = types.SimpleNamespace(discard=lambda: None)
  note('open_kept', kept)
  note('estimate', 'estimates')
  note('write_disentanglement', None)
  note('explained', progress_at(65))
  note('review', (types.SimpleNamespace(rows=[], pictures=[]), None))
  loop._finish(attempt, progress_at(65))
  assert attempt.noted == [(65, 65)]
  assert given['open_kept'][2:4] == (settings, 65)
  assert given['estimate'][1:] == (settings, 65, kept)
  assert given['write_disentanglement'][2:] == (settings, 65, kept)
  evaluated, estimates = given['review'][3:5]
  assert evaluated['test'].metrics['elbo'] == -65
  assert estimates == 'estimates'
