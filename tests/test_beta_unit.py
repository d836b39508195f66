"""lanes.beta_unit: beta as programs weigh it whose losses are means, in nats from there on."""

import jax
import numpy as np
import pytest

from vae_jax import errors, placement, programs, study

pytestmark = pytest.mark.run

D = 64  # of the digits


def in_unit(config, unit, **lanes):
  return {**config, 'lanes': config['lanes'] | dict(beta_unit=unit) | lanes}


def test_a_weight_beside_means_is_a_beta_in_nats(config):
  weights = dict(beta=(0.0, 0.01, 0.25), latent_size=(2, 10), seed=(3,))
  for unit, expected in (
    ('nats', [0.0, 0.0, 0.01, 0.01, 0.25, 0.25]),
    ('mean_pixel', [0.0, 0.0, 0.64, 0.64, 16.0, 16.0]),
    ('mean_pixel_and_latent', [0.0, 0.0, 0.32, 0.064, 8.0, 1.6]),
  ):
    built = study.from_config(in_unit(config, unit, **weights))
    assert [point['beta'] for point in built.points] == expected
    np.testing.assert_array_equal(built.lanes.beta, np.float32(expected))
    assert built.names == [
      f'b{beta:g}-z{size}-s3' for beta, size in zip(expected, [2, 10] * 3, strict=True)
    ]


def test_the_objective_is_that_of_the_means_times_the_pixels(config):
  """From the distortion and the rate of an evaluation: D times (mean(d) + w mean(r))."""
  weight = 0.05
  given = in_unit(config, 'mean_pixel_and_latent', beta=(weight,))
  built = study.from_config(given)
  for point in built.points:
    distortion, rate = 30.0, 4.0
    means = distortion / D + weight * rate / point['latent_size']
    assert distortion + point['beta'] * rate == pytest.approx(D * means, rel=1e-12)


def test_it_trains_the_bits_of_its_beta_in_nats(config):
  config['lanes'] |= dict(latent_size=(2, 5), seed=(0,))
  points = [(0.03 * D / 2, 2, 0), (0.03 * D / 5, 5, 0)]
  nats = in_unit(config, 'nats', combine='list', points=points, beta=(1.0,))
  unit = in_unit(config, 'mean_pixel_and_latent', beta=(0.03,))
  built = study.from_config(nats)
  feed = built.feed()
  chunk = programs.compile_chunk(built.training, built.lanes, feed.shape)  # beta is data to it
  trained = []
  for lanes in (built.lanes, study.from_config(unit).lanes):
    state = programs.init(built.training.learner, lanes, built.place)
    for step in (0, 10):
      state, _ = programs.take_chunk(built.training, chunk, state, lanes, feed, step, step + 10)
    trained.append(jax.tree.leaves(jax.device_get(placement.joined(state).params)))
  for ours, theirs in zip(*trained, strict=True):
    np.testing.assert_array_equal(ours, theirs)


def test_a_bound_without_a_beta_has_no_unit_of_it(config):
  config['bound'] |= dict(name='iwae', kl='sampled', num_samples=2)
  given = in_unit(config, 'mean_pixel', beta=(1.0,))
  with pytest.raises(errors.InputError, match=r"beta_unit='mean_pixel'.*iwae.*set .*'nats'"):
    study.from_config(given)


def test_an_unknown_unit_is_refused_with_the_nearest(config):
  with pytest.raises(errors.InputError, match=r"lanes\.beta_unit='mean_pixels'.*'mean_pixel'"):
    study.from_config(in_unit(config, 'mean_pixels'))
