"""Whether parts from outside obey the laws; the built-in ones have their tests."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from vae_jax import lanes, laws, learner, parts, validation, weighting

# The sections that the laws are of, each after those that it is built of.
_SECTIONS = (
  'likelihood',
  'encoder',
  'posterior',
  'prior',
  'decoder',
  'bound',
  'optimizer',
  'schedule',
)


def from_outside(built: validation.Built) -> list[str]:
  """Returns the sections whose part is not built in, of those that are known."""
  return [s for s in _SECTIONS if built.knows(s) and parts.is_from_outside(built.name(s))]


def check_part(
  section: str, built: validation.Built, event: Sequence[int], points: Sequence[lanes.Point]
) -> None:
  """Holds the part of a section to its laws.

  Args:
    section: of the part.
    built: the parts.
    event: shape of one example.
    points: of the lanes.

  Raises:
    UnknownError: it needs what is not known.
    InputError: it breaks a law; one line.
  """
  what = f'{section}.name={built.name(section)!r}'
  check: dict[str, Callable[[], None]] = {
    'likelihood': lambda: laws.check_likelihood(built.likelihood, event, what),
    'encoder': lambda: _check_encoder(built, event, what),
    'posterior': lambda: laws.check_posterior(built.posterior, what),
    'prior': lambda: laws.check_prior(built.prior, event, what),
    'decoder': lambda: _check_decoder(built, event, what),
    'bound': lambda: laws.check_objective(built.bound, what),
    'optimizer': lambda: laws.check_optimizer(
      lambda rate: built.part('optimizer', learning_rate=rate),
      len({point['latent_size'] for point in points}) > 1,
      what,
    ),
    'schedule': lambda: laws.check_schedule(built.part('schedule'), what),
  }
  check[section]()


def settling(built: validation.Built) -> Callable[[lanes.Point, int], bool]:
  """Returns what tells whether a lane's objective weighs at a step as it does ever after.

  That of a built-in objective is said by the fields of its lane; one of a user's own is tried.
  """
  if 'bound' not in from_outside(built):
    return weighting.is_settled
  own = laws.settling(built.bound)
  return lambda point, step: weighting.is_settled(point, step) and own(point, step)


def _check_encoder(built: validation.Built, event: Sequence[int], what: str) -> None:
  support = built.given('support')
  seen = 'unit' if support == 'uint8' else support  # levels are divided by 255
  sees_beta = bool(built.bound.beta_range)
  laws.check_encoder(built.part('encoder'), event, seen, what, sees_beta)


def _check_decoder(built: validation.Built, event: Sequence[int], what: str) -> None:
  num_heads = built.likelihood.num_heads
  decoder = built.part('decoder', num_heads=num_heads, pixel_bias=(), channel_bias=())
  laws.check_decoder(decoder, event, num_heads, what, bool(built.bound.beta_range))


def check_whole(one: learner.Learner, stacked: lanes.Lane, event: Sequence[int], size: int) -> None:
  """Checks that the parts go together: traces a step of one lane.

  Args:
    one: of the study.
    stacked: its lanes [G].
    event: shape of one example.
    size: N, of a batch.

  Raises:
    InputError: a part raises; one line.
  """
  lane = jax.tree.map(lambda leaf: leaf[0], stacked)
  batch, count = jnp.zeros((size, *event)), jnp.int32(0)

  def step(batch: Any) -> Any:
    noise = one.draw(lane, size, count)
    anything = one.estimator.model.anything()
    beside = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (size, *leaf.shape)), anything)
    return one.step(one.init(lane), lane, batch, noise, count, beside)

  with laws.running('the study', 'its parts are put together'):
    jax.eval_shape(step, batch)
