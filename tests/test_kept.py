"""An evaluation that is stopped keeps what it has done, and goes on to the same bits."""

import contextlib
import re
import signal

import jax
import numpy as np
import pytest
from run_files import results_without_times

from vae_jax import errors, evaluation, placement, programs, stopping, study
from vae_jax.runs import evaluating, outcome, training

pytestmark = [pytest.mark.run, pytest.mark.usefixtures('traced_once', 'no_pictures')]


@pytest.fixture
def trained(config, tmp_path):
  """The small study in two turns of lanes: and a state to evaluate."""
  config['program'] |= dict(width=2)
  config['evaluation'] |= dict(batch_size=100)
  built = study.from_config(config)
  state = programs.init(built.training.learner, built.lanes, built.place)
  return built, state, tmp_path


def signals_after(calls):
  """Returns a function that is 0 so many times, and then SIGTERM."""
  count = iter(range(10**6))
  return lambda: signal.SIGTERM if next(count) >= calls else 0


def interrupted(trained, calls):
  """Evaluates until a signal comes before piece `calls`; returns what estimate returns."""
  built, state, directory = trained
  kept = outcome.open_kept(built, directory, state, signals_after(calls))
  return outcome.estimate(built, state, kept), kept


def flat(estimates):
  values = [np.ravel(np.asarray(v, np.float64)) for v in estimates.metrics.values()]
  bounds = [row['bound'] for row in estimates.curve]
  return np.concatenate([*values, bounds])


def test_an_evaluation_ends_though_every_attempt_is_stopped_after_one_piece(trained):
  """Two turns of the rate's parts and 2 x 3 of the NLL's batches: seven stops, then an answer."""
  built, state, directory = trained
  for _ in range(7):  # the last piece comes with the answer
    with pytest.raises(errors.Stopped) as stopped:
      interrupted(trained, calls=1)
    assert stopped.value.exit_code == 143
  result, kept = interrupted(trained, calls=1)
  np.testing.assert_array_equal(flat(result), flat(outcome.estimate(built, state)))
  assert (directory / 'evaluation.partial').exists()
  kept.discard()
  assert not (directory / 'evaluation.partial').exists()


def test_the_pieces_are_the_nll_of_all_batches_at_once(trained):
  """Batch by batch and in two turns: what one program makes that scans the batches of all lanes."""
  built, state, _ = trained
  images, scale = built.dataset.test[:30], built.dataset.fixed_scale
  lane_params = placement.joined(state).params
  arguments = (images, scale, 20, 100, built.at_width(4).place)
  program, batches = programs.make_nll(built.model, *arguments)
  assert len(batches.weights) == 3
  found = evaluation.Evidence(**program(lane_params, built.lanes, batches, 0))
  expected = evaluation.nll_of(found, batches.weights, 64)
  nll = programs.nll(built.model, lane_params, built.lanes, *arguments[:-1], built.place)
  np.testing.assert_allclose(nll.mean, expected.mean, rtol=1e-5)
  np.testing.assert_allclose(nll.curve, expected.curve, rtol=1e-5)
  np.testing.assert_allclose(nll.effective, expected.effective, rtol=1e-3)


def first_missing(trained):
  """Returns the name of the first piece that is not kept."""
  with pytest.raises(errors.Stopped) as stopped:
    interrupted(trained, calls=0)
  return re.search('before (.*);', str(stopped.value)).group(1)


@pytest.mark.parametrize(
  'change', ['nothing', 'samples', 'images', 'parameters', 'test set', 'width', 'bytes', 'cut']
)
def test_what_is_kept_of_another_evaluation_is_not_taken(trained, change):
  built, state, directory = trained
  with pytest.raises(errors.Stopped):
    interrupted(trained, calls=4)
  path = directory / 'evaluation.partial'
  content = path.read_bytes()
  if change == 'samples':
    built = built._replace(evaluation=built.evaluation._replace(nll_samples=21))
  elif change == 'images':
    built = built._replace(evaluation=built.evaluation._replace(nll_images=29))
  elif change == 'parameters':
    state = jax.tree.map(lambda leaf: leaf + 1, placement.joined(state))
  elif change == 'test set':
    built = built._replace(dataset=built.dataset._replace(test=1 - built.dataset.test))
  elif change == 'width':
    built = built.at_width(3)  # also two turns
  elif change == 'bytes':
    path.write_bytes(content[:500] + bytes([content[500] ^ 1]) + content[501:])
  elif change == 'cut':
    path.write_bytes(content[:-1])
  begins = 'NLL, part 3 of 6' if change == 'nothing' else 'the parts of the rate, part 1'
  assert first_missing((built, state, directory)).startswith(begins)


def stop_in(monkeypatch, calls):
  @contextlib.contextmanager
  def deferred(*asked):
    del asked
    yield signals_after(calls)

  monkeypatch.setattr(stopping, 'deferred', deferred)


def test_a_study_and_launch_evaluate_are_stopped_in_the_evaluation_and_end(
  config, tmp_path, monkeypatch, no_images
):
  """The rows of a run that was stopped twice in its NLL are those of one that was not."""
  config['lanes'] |= dict(latent_size=(5,))  # two lanes, by the programs of the tests above
  config['train'] |= dict(steps=10)
  config['evaluation'] |= dict(batch_size=100)
  training.run(config, tmp_path / 'whole')
  # One signal is looked for after the chunk, one before the evaluation, then one a piece.
  for calls in (4, 2):
    stop_in(monkeypatch, calls)
    with pytest.raises(errors.Stopped, match='what is done is kept'):
      training.run(config, tmp_path / 'run')
  stop_in(monkeypatch, 99)
  training.run(config, tmp_path / 'run')
  assert results_without_times(tmp_path / 'run') == results_without_times(tmp_path / 'whole')
  assert not (tmp_path / 'run' / 'evaluation.partial').exists()
  stop_in(monkeypatch, 2)
  with pytest.raises(errors.Stopped, match='before NLL, part 2 of 3'):
    evaluating.evaluate(tmp_path / 'run', 40, None)
  assert (tmp_path / 'run' / 'evaluation.partial').exists()
  stop_in(monkeypatch, 2)
  evaluating.evaluate(tmp_path / 'run', 40, None)
  assert not (tmp_path / 'run' / 'evaluation.partial').exists()
  assert ',40,30,' in (tmp_path / 'run' / 'results.csv').read_text()
