"""What W&B shows of an evaluation beside its figures."""

import types
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import small_config

from vae_jax import evaluation, placement, programs, study, tracking
from vae_jax.programs import reviews
from vae_jax.runs import outcome, showing

pytestmark = pytest.mark.math


@pytest.mark.parametrize(
  ('rates', 'mask', 'shown'),
  [
    ([0.5, 1.5, 0.0, 0.0], [1, 1, 0, 0], [0.5, 1.5]),  # the latents that the lane has
    ([0.5, np.nan, 2.0, np.inf], [1, 1, 1, 1], [0.5, 2.0]),
    ([3.0], [1, 1, 0, 0], []),  # one part of the rate, which is no latent
  ],
)
def test_rates_are_of_the_latents_that_a_lane_has(rates, mask, shown):
  found = showing._known(np.array(rates), np.array(mask, np.float32))
  np.testing.assert_array_equal(found, shown)


class Lanes(NamedTuple):
  index: Any
  mask: Any


@pytest.mark.parametrize(
  ('shown', 'training', 'expected'),
  [
    ([], [0, 1, 2, 3], []),  # without W&B, or where it has the best lane alone
    ([0, 1, 2, 3], [0, 1, 2, 3], [0, 1, 2, 3]),
    ([0, 3], [0, 1, 2, 3], [0, 3]),
    ([0, 3], [1, 2, 3], [3]),
    ([0, 3], [1, 2], []),
  ],
)
def test_pictures_are_made_of_the_lanes_that_are_shown(monkeypatch, shown, training, expected):
  made, told = [], []

  def pictures(params, lanes, usage):
    made.append([of_lanes.tolist() for of_lanes in (params, lanes.index, usage)])
    return types.SimpleNamespace(_asdict=dict)

  monkeypatch.setattr(outcome, 'make_pictures', lambda built: pictures)
  monkeypatch.setattr(outcome, 'lane_grids', lambda pictures, places: {'samples': list(places)})
  monkeypatch.setattr(programs, 'params_of', lambda state: state)
  built = types.SimpleNamespace(
    lanes=Lanes(np.arange(4), np.ones((4, 2))),
    chosen_on='test',
    wandb=tracking.Settings('offline', '', '', (), 1),
    train=types.SimpleNamespace(evaluate_every=10, steps=100),
  )
  tracker = types.SimpleNamespace(shown=shown, show=lambda *given: told.append(given))
  of_lanes = np.array(training, float)
  progress = types.SimpleNamespace(step=10, lanes=training, state=jnp.asarray(of_lanes))
  found = evaluation.Evaluation({}, np.stack([of_lanes, of_lanes], axis=1), of_lanes)
  showing.Showing(built, tracker).show(progress, {'test': found})
  assert made == ([[expected] * 3] if expected else [])
  if expected:
    ((step, lanes, rates, images),) = told
    assert (step, lanes, images) == (10, expected, {'samples': list(range(len(expected)))})
    assert [rate.tolist() for rate in rates] == [[lane, lane] for lane in expected]


def test_pictures_of_many_lanes_are_made_a_few_at_a_time(monkeypatch):
  """Pixel for pixel those of all at once, which are never on the devices together."""
  built = study.from_config(small_config()).at_width(4)
  params = jax.vmap(built.training.learner.init)(built.lanes).params
  usage = np.ones((4, 5))
  seen, lanewise = [], reviews.lanewise

  def watched(function, place, **options):
    program = lanewise(function, place, **options)
    return program._replace(
      program=lambda *given: seen.append(len(given[2][0])) or program.program(*given)
    )

  monkeypatch.setattr(reviews, 'lanewise', watched)
  made = []
  for at_once in (4, 3, 1):
    monkeypatch.setattr(reviews, '_AT_ONCE', at_once)
    make = outcome.make_pictures(built)
    made.append(make(params, built.lanes, usage))
  assert seen == [4, 3, 3, 1, 1, 1, 1]
  turns = placement.Turns([params, params], 4)
  made.append(make(turns, built.lanes, usage))
  for other in made[1:]:
    for name, array in made[0]._asdict().items():
      if array is not None:
        np.testing.assert_allclose(
          getattr(other, name), array, atol=1 if array.dtype == np.uint8 else 1e-5
        )
