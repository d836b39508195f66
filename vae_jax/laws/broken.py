"""How a broken law is said, and what several laws are made of."""

import contextlib
import os
import pathlib
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from vae_jax import errors

ACTIVE, WIDTH = 2, 4  # latents of the probe: two of four, the others are inert
MASK = (np.arange(WIDTH) < ACTIVE).astype(np.float32)
RTOL, ATOL = 1e-3, 1e-4


def key() -> Array:
  """Returns the key of all probes; made when asked for, since it touches a device."""
  return jax.random.key(0)


class LawError(errors.InputError, AssertionError):
  """A part breaks a law: bad input where a study starts, a failed assertion in a test."""


def broken(what: str, law: str, seen: Any, wanted: Any) -> LawError:
  """Returns the error of one line."""
  return LawError(f'{what} breaks a law: {law}; seen {seen}, wanted {wanted}')


@contextlib.contextmanager
def running(what: str, doing: str) -> Iterator[None]:
  """What a part raises meanwhile is said in one line, with the line of its file."""
  try:
    yield
  except errors.InputError:
    raise
  except Exception as error:  # the part is the user's code: anything may come out of it
    raise LawError(
      f'{what} raises {type(error).__name__} when {doing}: {error}{_line_of(error)}'
    ) from error


# Not of a user: this package, what is installed, Python's own library.
_NOT_OWN = (str(pathlib.Path(__file__).parents[1]), os.path.dirname(os.__file__), '<')


def _line_of(error: BaseException) -> str:
  """Returns the last line of a user's own file on the way to an exception, ' (mine.py, line 3)'."""
  own = [
    frame
    for frame in traceback.extract_tb(error.__traceback__)
    if not frame.filename.startswith(_NOT_OWN) and 'site-packages' not in frame.filename
  ]
  return f' ({own[-1].filename}, line {own[-1].lineno})' if own else ''


def check_shape(what: str, law: str, seen: Any, wanted: Sequence[int]) -> None:
  """Raises LawError where something is no array of floats of this shape."""
  if not hasattr(seen, 'shape') or not hasattr(seen, 'dtype'):
    raise broken(what, law, errors.shown(seen), f'an array {list(wanted)}')
  if tuple(seen.shape) != tuple(wanted):
    raise broken(what, law, f'shape {list(seen.shape)}', f'shape {list(wanted)}')
  if not jnp.issubdtype(seen.dtype, jnp.floating):
    raise broken(what, law, f'type {seen.dtype}', 'floats')


def check_finite(what: str, law: str, tree: Any) -> None:
  """Raises LawError where a leaf has a value that is not finite."""
  for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
    bad = np.size(leaf) - np.count_nonzero(np.isfinite(leaf))
    if bad:
      if np.size(leaf) == 1:
        raise broken(what, law, f'{np.ravel(leaf)[0]:g}', 'a finite number')
      where = jax.tree_util.keystr(path)
      raise broken(what, law, f'{bad} of {np.size(leaf)} in {where or "the value"}', 'none')


def check_same(what: str, law: str, one: Any, other: Any, relative: float = RTOL) -> None:
  """Raises LawError where two trees differ by more than rounding."""
  pairs = zip(jax.tree_util.tree_leaves_with_path(one), jax.tree.leaves(other), strict=True)
  for (path, a), b in pairs:
    a, b = np.asarray(a), np.asarray(b)
    if not np.allclose(a, b, rtol=relative, atol=ATOL):
      at = np.unravel_index(np.argmax(np.abs(a - b)), a.shape)
      where = jax.tree_util.keystr(path)
      raise broken(what, law, f'{b[at]:g} {where}'.strip(), f'{a[at]:g}')


def shapes_of(function: Callable[..., Any], *arguments: Any) -> Any:
  """Returns the shapes of what a function returns; no arithmetic is done."""
  return jax.eval_shape(function, *arguments)


def randomized(params: Any, seed: int = 0) -> Any:
  """Returns the same tree of random numbers: what starts at zero would hide what it does."""
  rng = np.random.default_rng(seed)

  def draw(leaf: Any) -> Array:
    if not jnp.issubdtype(leaf.dtype, jnp.floating):
      return leaf
    return jnp.asarray(0.3 * rng.normal(size=leaf.shape), leaf.dtype)

  return jax.tree.map(draw, params)


def moved(params: Any) -> Any:
  """Returns the same tree with random numbers on top, so that nothing is where it starts."""

  def add(leaf: Any, other: Any) -> Array:
    return leaf + other if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf

  return jax.tree.map(add, params, randomized(params))


# Values of each support, from a generator and a shape.
VALUES: Mapping[str, Callable[[np.random.Generator, Any], np.ndarray]] = {
  'binary': lambda rng, shape: rng.integers(0, 2, shape),
  'unit': lambda rng, shape: rng.uniform(size=shape),
  'uint8': lambda rng, shape: rng.integers(0, 256, shape),
  'count': lambda rng, shape: rng.poisson(4.0, shape),
  'real': lambda rng, shape: rng.normal(size=shape),
}


def normal(seed: int, *shape: int) -> Array:
  """Returns standard normal numbers."""
  return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)
