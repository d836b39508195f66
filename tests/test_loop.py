"""At which steps, and of which state, the loop evaluates: with stand-ins for all that it calls."""

import types

import numpy as np
import pytest

from vae_jax import evaluation, lanes, programs, study, weighting
from vae_jax.runs import loop, outcome

pytestmark = pytest.mark.run

SETTINGS = study.TrainSettings(
  steps=65,
  log_every=10,
  log_powers_of_two=False,
  evaluate_every=20,
  checkpoint_every=30,
  patience=0,
  keep='last',
)


SAID = types.SimpleNamespace(doing=lambda what, brief: None)


@pytest.fixture
def attempt(monkeypatch):
  """Its state is the step that it is of; what it evaluates is noted."""
  noted = []
  built = types.SimpleNamespace(
    names=['one'],
    points=[lanes.point()],
    training=None,
    train=SETTINGS,
    chosen_on='test',
    is_settled=weighting.is_settled,
  )

  def take_chunk(training, chunk, state, lanes, feed, first, stop):
    assert state == first
    return stop, {'batch/elbo': np.array([-float(stop)])}

  def evaluate(state, step, final=True):
    noted.append((state, step))
    metrics = dict(
      elbo=[-float(state)], objective=[-float(state)], active_units=[1.0], distortion=[1.0]
    )
    metrics = {name: np.array(values) for name, values in metrics.items()}
    return {'test': evaluation.Evaluation(metrics, None, None)}

  monkeypatch.setattr(programs, 'take_chunk', take_chunk)
  monkeypatch.setattr(outcome, 'explained', lambda study, examine, progress: progress)
  return types.SimpleNamespace(
    study=built,
    chunk=None,
    lanes=None,
    feed=None,
    start=study.Start(0.0, None, 1, ''),
    examine=None,
    started=0.0,
    evaluate=evaluate,
    noted=noted,
    last=SETTINGS.steps,
    next_log_point=lambda step: loop.next_log_point(SETTINGS, step),
  )


def progress_at(step):
  return outcome.begun(step, 1)._replace(step=step, evaluated={'test/elbo': [7.0]})


@pytest.mark.parametrize(('begin', 'stop'), [(10, 20), (30, 40), (60, 65), (55, 60)])
def test_what_is_evaluated_is_the_state_of_the_step_that_is_logged(attempt, begin, stop):
  progress, metrics, evaluations = loop._advance(attempt, progress_at(begin), SAID)
  assert (progress.step, progress.state) == (stop, stop)
  assert attempt.noted == [(stop, stop)]
  assert metrics['test/elbo'] == metrics['batch/elbo'] == -stop
  assert progress.evaluated['test/elbo'] == [-stop]
  assert evaluations['test'].metrics['elbo'] == -stop


@pytest.mark.parametrize('begin', [0, 20, 40])
def test_between_the_evaluations_the_last_one_stands(attempt, begin):
  progress, metrics, evaluations = loop._advance(attempt, progress_at(begin), SAID)
  assert progress.step == begin + 10
  assert not attempt.noted
  assert evaluations is None
  assert set(metrics) == {'batch/elbo'}
  assert progress.evaluated == {'test/elbo': [7.0]}


@pytest.fixture
def given(attempt, monkeypatch):
  """What the end of a run hands to everything that follows its last step, by name."""
  given = {}
  attempt.workdir, attempt.signal_number = None, lambda: 0
  attempt.tracker = types.SimpleNamespace(
    write=lambda step, metrics, lanes: None,
    summarise=lambda *arguments: None,
    close=lambda exit_code: None,
    shown=[],
    shown_at_end=lambda rows, verdict: [],
  )
  attempt.checkpoints = None

  def note(name, result):
    monkeypatch.setattr(outcome, name, lambda *args, **kw: given.update({name: args}) or result)

  note('open_kept', types.SimpleNamespace(discard=lambda: None))
  note('estimate', 'estimates')
  note('write_disentanglement', None)
  note('write_results', None)
  note('warn_of_rising', None)
  note('results_of', types.SimpleNamespace(verdict={}))
  note('review', types.SimpleNamespace(rows=[], pictures=[], exit_code=0))
  monkeypatch.setattr(loop.states, 'save_beside', lambda saved, progress: None)
  return given


@pytest.mark.parametrize('begin', [60, 65])
def test_the_last_state_is_evaluated_once_and_all_that_follows_is_of_it(attempt, given, begin):
  """At the last log point; at the end where there is no step left."""
  loop.train_and_finish(attempt, progress_at(begin))
  assert attempt.noted == [(65, 65)]
  assert given['open_kept'][2] == 65
  assert given['estimate'][1] == 65
  assert given['write_disentanglement'][2] == 65
  evaluated, estimates = given['review'][3:5]
  assert evaluated['test'].metrics['elbo'] == -65
  assert estimates == 'estimates'
