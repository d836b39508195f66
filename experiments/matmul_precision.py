"""What cheaper matrix products would cost: NLL and ELBO beside those of full float32, seed by seed.

  python -m experiments.matmul_precision --workdir=runs/matmul_precision

All is trained and evaluated at JAX's precision 'highest'. At 'high' a TPU multiplies in three
passes of bfloat16 instead of six, and a GPU in TF32; a CPU does not know the difference. So each
product of the programs, forward and backward, is replaced by one of rounded factors, summed in
float32. Twice: in the evaluation of lanes that were trained in full, and in lanes that were trained
with it, too, from the same initial parameters, batches and noise. One pass of bfloat16 shows how
far the reference moves where it does.
"""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from unittest import mock

import jax
from jax import Array
from jax._src.interpreters import mlir  # only there rules can be put back

from configs import digits
from experiments import table
from vae_jax.evaluation import batches
from vae_jax.runs import outcome

Product = Callable[[Array, Array], Array]
Rounded = Callable[[Product, Array, Array], Array]

_FULL = 'float32'
_TOLERANCE = 1e-3  # nats, of what three passes evaluate
_QUANTITIES = {'NLL, test': 'test/nll', 'ELBO, test': 'test/elbo'}


def one_pass(product: Product, x: Array, y: Array) -> Array:
  """Returns the product of factors in bfloat16, of 7 bits behind the leading one."""
  return product(_kept(x, 7), _kept(y, 7))


def three_passes(product: Product, x: Array, y: Array) -> Array:
  """Returns x y of x = h + l and y = k + m, each of them bfloat16, without l m: h k + h m + l k."""
  h, k = _kept(x, 7), _kept(y, 7)
  l, m = _kept(x - h, 7), _kept(y - k, 7)  # noqa: E741
  return (product(l, k) + product(h, m)) + product(h, k)


def tf32(product: Product, x: Array, y: Array) -> Array:
  """Returns the product of factors in TF32, of 10 bits behind the leading one."""
  return product(_kept(x, 10), _kept(y, 10))


ROUNDED = {'three_passes': three_passes, 'tf32': tf32, 'one_pass': one_pass}


def _kept(x: Array, bits: int) -> Array:
  return jax.lax.reduce_precision(x, exponent_bits=8, mantissa_bits=bits)


@contextlib.contextmanager
def products(rounded: Rounded) -> Iterator[None]:
  """Has every product of the programs that are compiled meanwhile, on a CPU, computed by `rounded`.

  Products that state a precision of their own keep it, such as sums that are products on a CPU
  alone (`fast/sums.py`); so do convolutions.
  """
  rules = mlir._platform_specific_lowerings['cpu']
  plain, highest = rules[jax.lax.dot_general_p], jax.lax.Precision.HIGHEST

  def emulated(x: Array, y: Array, *, precision: Any, dimension_numbers: Any, **options) -> Array:
    del precision, options

    def product(x: Array, y: Array) -> Array:
      return jax.lax.dot_general(x, y, dimension_numbers, precision=highest)

    return rounded(product, x, y)

  in_its_place = mlir.lower_fun(emulated, multiple_results=False)

  def rule(context: Any, x: Any, y: Any, *, precision: Any, **options) -> Any:
    chosen = plain.rule if precision == (highest, highest) else in_its_place
    return chosen(context, x, y, precision=precision, **options)

  ours = {jax.lax.dot_general_p: dataclasses.replace(plain, rule=rule)}
  with mock.patch.dict(rules, ours), mock.patch.object(batches, 'PRECISION', 'high'):
    jax.clear_caches()  # of other products
    yield


def within(name: str) -> contextlib.AbstractContextManager:
  """Returns what a launch is trained and evaluated in."""
  return products(ROUNDED[name]) if name in ROUNDED else contextlib.nullcontext()


def configs(schedule: str) -> dict[str, dict[str, Any]]:
  """Returns the launches, which differ in their products alone."""
  config = digits.get_config().to_dict()
  config['data'] |= dict(train_split='train', validation_split='')
  config['lanes'] |= dict(beta=(1.0,), latent_size=(8,), seed=(0, 1, 2, 3))
  return dict.fromkeys((_FULL, *ROUNDED), table.scheduled(config, schedule))


def rows(launches: Mapping[str, table.Launch]) -> list[table.Row]:
  """Compares each lane with the one of full float32, evaluated or trained with the products."""
  exact = launches[_FULL].rows
  result = []
  for name in ROUNDED:
    tolerance = _TOLERANCE if name == 'three_passes' else None
    with within(name):
      found = evaluated(launches[_FULL])
    result += _differences(f'{name}, evaluation', found, exact, tolerance)
    result += _differences(f'{name}, training too', launches[name].rows, exact, None)
  return result


def evaluated(launch: table.Launch) -> list[dict[str, Any]]:
  """Returns the ELBO and the NLL of each lane of a finished launch, computed anew."""
  built, state = table.restore(launch)
  found = outcome.metrics_of(outcome.make_evaluate(built)(state, launch.rows[0]['step']))
  found |= outcome.estimate(built, state).metrics
  return [
    {'seed': row['seed']} | {key: float(found[key][i]) for key in _QUANTITIES.values()}
    for i, row in enumerate(launch.rows)
  ]


def _differences(
  label: str,
  found: list[Mapping[str, Any]],
  exact: list[Mapping[str, Any]],
  tolerance: float | None,
) -> Iterator[table.Row]:
  for rough, full in zip(found, exact, strict=True):
    for quantity, key in _QUANTITIES.items():
      figures = dict(reference=full[key], tolerance=tolerance, digits=5)
      yield table.Row(label, quantity, rough[key], full['seed'], **figures)


if __name__ == '__main__':
  table.start('matmul_precision', configs, rows, within=within)
