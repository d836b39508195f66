"""What the benchmark counts, and how it compares."""

import functools

import jax
import jax.numpy as jnp
import pytest

from experiments import cases, timing
from vae_jax import flops, placement, study

pytestmark = pytest.mark.run


def shape(*sizes):
  return jax.ShapeDtypeStruct(sizes, jnp.float32)


def test_operations_of_matrix_products():
  """2 m k n, as many for each gradient, times the lanes and the length of a scan."""
  x, w = shape(3, 4), shape(4, 5)
  product = 2 * 3 * 4 * 5
  assert flops.count(jnp.matmul, x, w) == product
  assert flops.count(jax.jit(jnp.matmul), x, w) == product
  loss = jax.grad(lambda w, x: jnp.sum(jnp.tanh(x @ w)))
  assert flops.count(loss, w, x) == 2 * product
  assert flops.count(jax.vmap(jnp.matmul), shape(7, 3, 4), shape(7, 4, 5)) == 7 * product

  def repeated(x, w):
    return jax.lax.scan(lambda x, _: (x @ w, None), x, length=6)[0]

  assert flops.count(repeated, x, shape(4, 4)) == 6 * 2 * 3 * 4 * 4


def test_operations_of_convolutions():
  """2 x outputs x what each reads: nothing is multiplied by the zeros between dilated inputs."""
  layout = ('NHWC', 'HWIO', 'NHWC')

  def conv(x, w):
    return jax.lax.conv_general_dilated(x, w, (2, 2), 'VALID', dimension_numbers=layout)

  def transposed(x, w):
    return jax.lax.conv_transpose(x, w, (2, 2), 'VALID', dimension_numbers=layout)

  assert flops.count(conv, shape(10, 9, 9, 3), shape(3, 3, 3, 5)) == 2 * 10 * 4 * 4 * 5 * 27
  outputs = 10 * 10 * 10 * 5  # from 4 x 4, by 2, with a kernel of 4
  assert flops.count(transposed, shape(10, 4, 4, 3), shape(4, 4, 3, 5)) == outputs * 2 * 48 // 4


def test_operations_are_those_of_a_platform():
  """Of a choice by platform one way is counted, not the sum of all."""

  def product(x, w):
    both = dict(cpu=lambda x, w: x @ w @ (w.T @ w), default=lambda x, w: x @ w)
    return jax.lax.platform_dependent(x, w, **both)

  x, w = shape(3, 4), shape(4, 5)
  found = [flops.count(product, x, w, platform=platform) for platform in ('cpu', '')]
  assert found == [2 * 3 * 4 * 5 + 2 * 5 * 4 * 5 + 2 * 3 * 5 * 5, 2 * 3 * 4 * 5]
  assert flops.count(product, x, w) == found[0]


def test_the_library_that_multiplies_is_read_from_the_program(full_compiler):
  """One product, as XLA compiles it by itself and as it is told to of many rows; none in a sum."""
  place = placement.of_width(1, 32, jax.devices()[:1])

  def compiled(function, num_rows):
    shapes = shape(num_rows, 64), shape(64, 64)
    options = place.compiler_options(num_rows)
    return jax.jit(function, compiler_options=options).lower(*shapes).compile()

  product = functools.partial(jnp.matmul, precision='highest')
  assert cases.library_of(compiled(product, 128), place) == 'YNNPACK'
  assert cases.library_of(compiled(product, 1024), place) == 'Eigen'
  assert cases.library_of(compiled(lambda x, w: x.sum() + w.sum(), 128), place) == 'Eigen'
  assert [cases._wanted(place, num_rows) for num_rows in (128, 1024)] == ['', 'Eigen']


def test_ratios_are_of_the_same_round_and_of_the_faster_peer(monkeypatch):
  """Rounds of 2, 4 and 3 s with a machine that slows down alike for all: the ratio is one."""
  rounds = iter([2.0, 4.0, 3.0])
  subjects = {
    name: timing.Subject(name, flops=operations, models=models, images=10, facts={})
    for name, operations, models in (
      ('ours', 80, 8),
      ('product', 40, 1),
      ('eager', 0, 1),
      ('compiled', 0, 1),
    )
  }
  slower = {'ours': 1.0, 'product': 0.25, 'eager': 0.75, 'compiled': 0.5}
  load = []

  def seconds(subject, _):
    if subject.run == 'ours':
      load.append(next(rounds))
    return slower[subject.run] * load[-1]

  monkeypatch.setattr(timing, 'seconds_a_step', seconds)
  monkeypatch.setattr(timing, 'steps_for', lambda *_: 1)
  ours, product, *peers = subjects.values()
  found = timing.measure('a', ours, product, peers, num_rounds=3, seconds=0.0)
  assert found.steps_per_second == pytest.approx(8 / 3)
  assert found.images_per_second == pytest.approx(10 * 8 / 3)
  assert found.flops_per_second == pytest.approx(80 / 3)
  assert found.share_of_matmul == pytest.approx((80 / 1.0) / (40 / 0.25))
  assert found.peer == pytest.approx(1 / 1.5)  # the compiled one, at its median
  assert found.ratio == pytest.approx((4.0, 4.0, 4.0))  # 8 models in 1, one in 0.5


def test_a_program_is_timed_as_it_trains(tmp_path):
  """The smallest case, from its config to a row of the table."""
  size = cases.SIZES['tiny']
  images = tmp_path / 'images.npz'
  cases.write_images(images, 600)
  case = next(case for case in cases.make(size, images) if '100-100-10' in case.name)
  subject = cases.training(study.from_config(case.config))
  assert subject.facts['state_bytes'] > 3 * 4 * 2 * 784 * 100  # parameters and two moments
  dense = 2 * (784 * 100 + 100 * 100)
  heads = 2 * 100 * 10 + 10 * 100
  layers = 2 * 64 * (3 * (dense + heads) - 784 * 100)  # no gradient of the image
  # The check of the gradients is a product with each parameter, the mean over a batch one, too, and
  # on a CPU the sum over the pixels, with its gradient.
  checked = 2 * subject.facts['state_bytes'] / (3 * 4)
  summed = 2 * 2 * 64 * 784
  assert subject.flops == pytest.approx(layers + checked + summed, rel=1e-4)
  found = timing.measure('a', subject, timing.matrix_product(64), [], 2, 0.0)
  assert found.steps_per_second > 0
  assert found.ratio is None
