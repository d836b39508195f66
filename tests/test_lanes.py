"""Grids of lanes: their order, their names, their masks, and what is refused."""

import itertools

import numpy as np
import pytest

from vae_jax import errors, lane_fields, lanes

pytestmark = pytest.mark.math

AXES = dict(
  beta=(0.5, 4.0),
  latent_size=(2, 10),
  seed=(0, 1, 2),
  learning_rate=(1e-3,),
  warmup=('constant',),
  warmup_steps=(0,),
  free_bits=(0.0,),
  capacity=(0.0,),
  capacity_steps=(0,),
  covariance_weight=(0.0,),
  target_rate=(0.0,),
  weight_decay=(0.0,),
  clip_norm=(0.0,),
  ema_decay=(0.0,),
)


def test_product_is_every_combination_once():
  points = lanes.from_axes('product', AXES, ())
  assert points == [lanes.point(*p) for p in itertools.product(*AXES.values())]
  assert tuple(AXES) == lane_fields.NAMES


def test_zip_pairs_the_axes_and_repeats_single_values():
  axes = AXES | dict(beta=(0.5, 1, 4.0), latent_size=(2, 5, 10), seed=(7,))
  assert lanes.from_axes('zip', axes, ()) == [
    lanes.point(0.5, 2, 7, 1e-3),
    lanes.point(1.0, 5, 7, 1e-3),
    lanes.point(4.0, 10, 7, 1e-3),
  ]


def test_list_takes_points_as_they_stand():
  points = ((1.0, 10, 0, 1e-3), (4.0, 2, 1, 1e-4))
  whole = [lanes.point(*point) for point in points]
  assert lanes.from_axes('list', AXES, points) == whole
  axes = AXES | dict(free_bits=(0.5,))
  longer = ((1.0, 10, 0, 1e-3, 'linear', 100), (4.0, 2, 1, 1e-4))
  assert lanes.from_axes('list', axes, longer) == [
    whole[0] | dict(warmup='linear', warmup_steps=100, free_bits=0.5),
    whole[1] | dict(free_bits=0.5),
  ]


def test_list_needs_one_value_for_what_its_points_leave_out():
  axes = AXES | dict(free_bits=(0.5, 1.0))
  with pytest.raises(errors.InputError, match=r'lanes\.free_bits=\(0\.5, 1\.0\) has 2 values'):
    lanes.from_axes('list', axes, ((1.0, 10, 0, 1e-3),))


def test_names_are_short_unique_and_read_back():
  points = lanes.from_axes(
    'list', AXES, ((4.0, 10, 0, 1e-3), (0.1, 2, 1, 1e-3), (1e-5, 2, 1, 1e-3))
  )
  assert lanes.names(points) == ['b4-z10-s0', 'b0.1-z2-s1', 'b1e-05-z2-s1']
  rates = lanes.from_axes('product', AXES | dict(learning_rate=(1e-3, 0.01)), ())
  assert 'b0.5-z2-s0-lr0.01' in lanes.names(rates)
  assert len(set(lanes.names(rates))) == len(rates) == 24
  rows = ((1.0, 2, 0, 1e-3), (1.0, 2, 0, 1e-3, 'linear', 100, 0.5, 25.0, 10, 3.0))
  assert lanes.names(lanes.from_axes('list', AXES, rows)) == [
    'b1-z2-s0-constant-w0-f0-c0-cs0-cov0',
    'b1-z2-s0-linear-w100-f0.5-c25-cs10-cov3',
  ]


def test_stack_masks_the_inert_latents():
  lane = lanes.stack(lanes.from_axes('product', AXES, ()), width=10)
  np.testing.assert_array_equal(lane.mask.sum(1), [2, 2, 2, 10, 10, 10] * 2)
  np.testing.assert_array_equal(lane.mask[0], [1, 1] + [0] * 8)
  np.testing.assert_array_equal(lane.beta, [0.5] * 6 + [4.0] * 6)
  two_layers = lanes.stack(lanes.from_axes('product', AXES, ()), width=10, lower_size=3)
  np.testing.assert_array_equal(two_layers.mask[:, :3], 1)
  np.testing.assert_array_equal(two_layers.mask[:, 3:], lane.mask)


def test_stack_carries_every_field():
  point = lanes.point(2.0, 1, 3, 0.1, 'cyclical', 7, 0.5, 25.0, 10, 3.0, 6.0)
  lane = lanes.stack([point], width=1)
  assert lane_fields.WARMUPS[int(lane.warmup[0])] == 'cyclical'
  for field in set(lane_fields.NAMES) - {'warmup', 'latent_size'}:
    assert getattr(lane, field)[0] == np.float32(point[field])


@pytest.mark.parametrize(
  ('axis', 'values', 'words'),
  [
    ('beta', (-1.0,), ('lanes.beta=-1.0', 'nearest valid value is 0')),
    ('beta', (float('nan'),), ('lanes.beta=nan', 'finite')),
    ('beta', (float('inf'),), ('lanes.beta=inf', 'finite')),
    ('beta', ('4',), ("lanes.beta='4'",)),
    ('beta', (True,), ('lanes.beta=True',)),
    ('latent_size', (0,), ('lanes.latent_size=0', 'nearest valid value is 1')),
    ('latent_size', (8.5,), ('lanes.latent_size=8.5', 'nearest valid value is 8')),
    ('latent_size', (None,), ('lanes.latent_size=None',)),
    ('seed', (-1,), ('lanes.seed=-1', 'nearest valid value is 0')),
    ('learning_rate', (0.0,), ('lanes.learning_rate=0.0',)),
    ('seed', (), ('lanes.seed is empty',)),
    ('beta', (1.0, 1.0), ('stands twice',)),
    ('beta', (0.1, 0.1 + 1e-12), ('stands twice',)),  # the same float32
  ],
)
def test_bad_values_name_the_axis_the_value_and_the_nearest_valid_one(axis, values, words):
  with pytest.raises(errors.InputError) as caught:
    lanes.from_axes('product', AXES | {axis: values}, ())
  for word in words:
    assert word in str(caught.value)


def test_zip_of_unequal_lengths_is_refused():
  with pytest.raises(errors.InputError, match=r'lanes\.beta has 2 values'):
    lanes.from_axes('zip', AXES | dict(latent_size=(2, 3, 4)), ())


@pytest.mark.parametrize('points', [(), ((),), ((1.0, 2),), (3,)])
def test_list_needs_whole_points(points):
  with pytest.raises(errors.InputError, match=r'lanes\.points'):
    lanes.from_axes('list', AXES, points)


def test_a_grid_without_end_is_refused_before_it_is_made():
  axes = AXES | dict(seed=tuple(range(10_000)), free_bits=tuple(range(10_000)))
  with pytest.raises(errors.InputError, match=r'makes 400000000 lanes .* at most 100000'):
    lanes.from_axes('product', axes, ())


def test_every_wrong_value_of_every_axis_is_named_once():
  axes = AXES | dict(beta=(-1.0, 10**400, 2.0), seed=('x',), warmup=('liner',), latent_size=())
  with pytest.raises(errors.InputError) as caught:
    lanes.from_axes('product', axes, ())
  assert [line.split('=')[0].split(' ')[0] for line in caught.value.problems] == [
    'lanes.beta',
    'lanes.beta',
    'lanes.latent_size',
    'lanes.seed',
    'lanes.warmup',
  ]
  assert max(map(len, caught.value.problems)) < 160
