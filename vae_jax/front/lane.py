"""One trained lane: codes, images, and what they are worth in nats."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from vae_jax import checks, errors, evaluation, lane_fields, lanes
from vae_jax.data import Beside
from vae_jax.front import functions, images, nats
from vae_jax.front.given import Given, beside_of
from vae_jax.front.shared import Shared

_DRAWS = 1000  # of q(z | x), where its mean and its spread have no closed form
_MOST = 10_000_000  # of anything that is counted


class Posterior(NamedTuple):
  """Moments of q(z | x), of the lane's own latents."""

  mean: np.ndarray  # [N, Z]
  scale: np.ndarray  # [N, Z] standard deviation of each latent


@dataclasses.dataclass(frozen=True, repr=False, eq=False)
class Lane:
  """A lane at a checkpoint. Images are as stored in the data set, see docs/python.md; nats.

  Z is the number of the lane's own latents: `latent_size`; with two layers of latents those of the
  lower layer first, and then `latent_size` of the upper one.

  Where the run has `data.conditions`, every method takes `given`: name of a column -> its values
  [N], or one for all, such as given={'label': 3}; of a run with `data.size_factor` the sizes, too,
  which are those of the rows of x, or the mean of the training split, where nothing is said.

  Attributes:
    name: such as 'b1-z10-s0'.
    point: its hyperparameters, as in results.csv.
    status: 'done', 'running' (steps are left), 'stopped' (by train.patience), or 'diverged' (held
      at its last finite state).
    step: of the optimiser; of a lane that stopped or diverged the step at which it did.
    multiplier: of a lane with a target rate, at this step, as in results.csv; None without one.
    mixture: of Gaussians, fitted to the codes of training images at the last evaluation; None where
      there is none.
  """

  name: str
  point: Mapping[str, Any]
  status: str
  step: int
  params: Any = dataclasses.field(repr=False)  # arrays of the host
  shared: Shared = dataclasses.field(repr=False)
  arrays: lanes.Lane = dataclasses.field(repr=False)  # the point as the model reads it
  multiplier: float | None = None
  mixture: evaluation.Mixture | None = dataclasses.field(default=None, repr=False)

  def __repr__(self) -> str:
    return f'Lane({self.name!r}, {self.status} at step {self.step})'

  @property
  def beta(self) -> float:
    """The weight of the rate; with a target rate the multiplier, and not what that began with."""
    return self.point['beta'] if self.multiplier is None else self.multiplier

  @property
  def latent_size(self) -> int:
    """The number of latents; with two layers that of the upper one."""
    return self.point['latent_size']

  @property
  def seed(self) -> int:
    """Of the initial weights and of the noise."""
    return self.point['seed']

  @property
  def num_latents(self) -> int:
    """Z, of both layers where there are two."""
    return self.shared.lower_size + self.latent_size

  def at_beta(self, beta: float) -> 'Lane':
    """Returns the lane at another beta, of lanes that were trained for all of them.

    Everything else is the same: name, seed, noise, and so the figures of curve.csv.

    Args:
      beta: within the range of the bound.

    Raises:
      InputError: it is not, or the lane was trained for its own beta alone.
    """
    if not self.shared.beta_range:
      raise errors.InputError(
        f'lane {self.name!r} was trained for beta={self.beta:g} alone; lanes of '
        "bound.name='multi_rate' are for every beta"
      )
    low, high = self.shared.beta_range
    beta = beta.item() if isinstance(beta, np.generic) else beta
    checks.real(low, high)('beta', beta)
    point, arrays = {**self.point, 'beta': float(beta)}, self.arrays
    return dataclasses.replace(self, point=point, arrays=arrays._replace(beta=np.float32(beta)))

  def encode(self, x: Any, given: Given = None) -> np.ndarray:
    """Returns the centre of q(z | x), [N, Z]: the mean of a Gaussian; a flow's image of noise 0.

    With two layers the mean of q(z_1 | x), and that of q(z_2 | z_1) at it.
    """
    x = self._images(x)
    return self._own(self._encode(x, self._beside(given, len(x))))

  def posterior(self, x: Any, given: Given = None) -> Posterior:
    """Returns mean and standard deviation of q(z | x), each [N, Z].

    With a full covariance the scale is the root of its diagonal; with two layers that of z_2 is
    given z_1 at its mean. A flow, or an own posterior without a `scale`, has no closed form: both
    are of 1,000 draws, the mean to 3 % of the scale, and it to 2 %.
    """
    x, noise = self._images(x), nats.noise_of(self, _DRAWS, 1, 0)[0]  # the same for every image
    moments = functools.partial(self.shared.functions.moments, self.params, self.arrays, noise)
    mean, scale = functions.in_rows(moments, functions.ROWS, x, self._beside(given, len(x)))
    return Posterior(self._own(mean), self._own(scale))

  def decode(self, z: Any, given: Given = None) -> np.ndarray:
    """Returns the mean of p(x | z), [N, *event], for z [N, Z]; in the units of the images.

    Probabilities where the images are binary. With two layers the decoder reads the lower one.
    """
    z = np.asarray(z)
    if z.ndim != 2 or z.shape[1] != self.num_latents or not len(z) or z.dtype.kind not in 'iuf':
      raise errors.InputError(
        f'z has shape {list(z.shape)} and type {z.dtype}; lane {self.name!r} has numbers '
        f'[N, {self.num_latents}]'
      )
    padded = np.zeros((len(z), self.arrays.mask.size), np.float32)
    padded[:, self._active] = z
    return self._decode(padded, self._beside(given, len(z)))

  def reconstruct(self, x: Any, given: Given = None) -> np.ndarray:
    """Returns the mean of p(x | z) at the centre of q(z | x), [N, *event]."""
    x = self._images(x)
    beside = self._beside(given, len(x), x)
    return self._decode(self._encode(x, beside), beside)

  def sample(self, n: int, seed: int = 0, given: Given = None, of: str = 'prior') -> np.ndarray:
    """Returns the mean of p(x | z) for n draws of z, [n, *event].

    Args:
      n: how many.
      seed: beside that of the lane; 0 has the draws of the run's own pictures.
      given: see the class.
      of: 'prior', or 'codes': z is drawn from the mixture that was fitted to the codes, where the
        decoder has learned something also if these are far from the prior.

    Raises:
      InputError: there is no mixture.
    """
    if of == 'codes':
      z = self._of_codes(_count('n', n), seed)
      return self._decode(z, self._beside(given, n))
    checks.choice('prior', 'codes')('of', of)
    noise, uniform = jax.device_get(functions.prior_noise(self.seeded(seed), _count('n', n)))
    draw = functools.partial(self.shared.functions.draw, self.params, self.arrays)
    z = functions.in_rows(draw, functions.ROWS, noise, uniform)
    return self._decode(z, self._beside(given, len(z)))

  def interpolate(self, x0: Any, x1: Any, n: int = 9, given: Given = None) -> np.ndarray:
    """Returns the mean of p(x | z) on the line between the codes of two images, [n, *event].

    Both ends are on it: the reconstructions of x0 and x1, each one image [*event].
    """
    pairs = ((x0, 'x0'), (x1, 'x1'))
    one = self._beside(given, 1)
    ends = [self._encode(self._images(np.asarray(x)[None], name), one) for x, name in pairs]
    weights = np.linspace(0.0, 1.0, _count('n', n, 2), dtype=np.float32)[:, None]
    return self._decode((1 - weights) * ends[0] + weights * ends[1], self._beside(given, n))

  def traverse(
    self,
    x0: Any,
    latent: int,
    values: Sequence[float] = tuple(range(-3, 4)),
    given: Given = None,
  ) -> np.ndarray:
    """Returns the mean of p(x | z) with one latent of the code of x0 at each value, [n, *event].

    Args:
      x0: one image [*event].
      latent: from 0, below Z; with two layers of the lower one, which alone is decoded.
      values: that it takes, [n]; the other latents keep theirs.
      given: of x0.
    """
    latent = _count('latent', latent, 0, (self.shared.lower_size or self.latent_size) - 1)
    values = np.asarray(values, np.float32)
    if values.ndim != 1 or not values.size:
      raise errors.InputError(f'values has shape {list(values.shape)}; give numbers [n]')
    x, one = self._images(np.asarray(x0)[None], 'x0'), self._beside(given, 1)
    z = np.repeat(self._encode(x, one), len(values), axis=0)
    z[:, latent] = values  # the lane's own latents are the first
    return self._decode(z, self._beside(given, len(z)))

  def elbo(self, x: Any, num_samples: int = 1, seed: int = 0, given: Given = None) -> np.ndarray:
    """Returns the ELBO [N] of each image, -distortion - rate: nats, higher is better.

    Args:
      x: [N, *event].
      num_samples: L, of z for each image.
      seed: of the noise, beside that of the lane. With seed 0, and L and images of the run's
        evaluation, the mean is the run's own figure. The noise of an image depends on where it
        stands in x.
      given: of x.
    """
    distortion, rate = self._terms(x, num_samples, seed, given)
    return -distortion - rate

  def rate(self, x: Any, num_samples: int = 1, seed: int = 0, given: Given = None) -> np.ndarray:
    """Returns KL(q(z | x) || p(z)) [N], in closed form or sampled as in training: nats."""
    return self._terms(x, num_samples, seed, given)[1]

  def distortion(
    self, x: Any, num_samples: int = 1, seed: int = 0, given: Given = None
  ) -> np.ndarray:
    """Returns -E_q[log p(x | z)] [N], of num_samples draws: nats, lower is better."""
    return self._terms(x, num_samples, seed, given)[0]

  def log_likelihood(
    self, x: Any, num_samples: int = 500, seed: int = 0, given: Given = None
  ) -> np.ndarray:
    """Returns log p(x) [N] by importance sampling: nats, higher is better.

      log p(x) ~ log 1/K sum_k p(x | z_k) p(z_k) / q(z_k | x),  z_k ~ q(z | x)

    Burda et al. 2016, eq. 8, arxiv.org/abs/1509.00519: below log p(x) in the mean.

    Args:
      x: [N, *event].
      num_samples: K.
      seed, given: as of `elbo`.

    Raises:
      InputError: the likelihood is no density, so that there is no such thing.
    """
    x = self._images(x)
    beside = self._beside(given, len(x), x)
    return nats.log_likelihood(self, x, beside, _count('num_samples', num_samples), seed)

  def _terms(
    self, x: Any, num_samples: int, seed: int, given: Given
  ) -> tuple[np.ndarray, np.ndarray]:
    x = self._images(x)
    beside = self._beside(given, len(x), x)
    return nats.terms(self, x, beside, _count('num_samples', num_samples), seed)

  def _beside(self, given: Given, count: int, x: np.ndarray | None = None) -> Beside:
    return beside_of(given, self.shared.facts, self.shared.data['size_factor'], count, x)

  def _images(self, x: Any, what: str = 'x') -> np.ndarray:
    return images.prepare(x, self.shared.facts, self.shared.data, what)

  def _encode(self, x: np.ndarray, beside: Beside) -> np.ndarray:
    """Returns the centres [N, Z] of prepared images, padding included."""
    encode = functools.partial(self.shared.functions.encode, self.params, self.arrays)
    return functions.in_rows(encode, functions.ROWS, x, beside)

  def _decode(self, z: np.ndarray, beside: Beside) -> np.ndarray:
    decode = functools.partial(self.shared.functions.decode, self.params, self.arrays)
    means = functions.in_rows(decode, functions.ROWS, z, beside)
    return images.as_stored(means, self.shared.facts, self.shared.data)

  def _of_codes(self, n: int, seed: int) -> np.ndarray:
    """Returns draws [n, Z] from the mixture, padding included."""
    if self.mixture is None:
      raise errors.InputError(
        f"of='codes': no mixture is fitted to the codes of lane {self.name!r} yet; end its "
        'training, or evaluate the run, with evaluation.mixture_components above 0'
      )
    return jax.device_get(functions.of_mixture(self.seeded(seed), self.mixture, n))

  @property
  def _active(self) -> np.ndarray:
    return np.flatnonzero(self.arrays.mask)

  def _own(self, z: np.ndarray) -> np.ndarray:
    return z[:, self._active]

  def seeded(self, seed: int) -> lanes.Lane:
    """Returns the lane's arrays with the keys of its own seed plus another; 0: those of the run."""
    shifted = (self.seed + _count('seed', seed, 0, lane_fields.MAX_SEED)) % (
      lane_fields.MAX_SEED + 1
    )
    return self.arrays._replace(seed=np.uint32(shifted))


def _count(name: str, value: Any, low: int = 1, high: int = _MOST) -> int:
  """Returns a whole number, of NumPy or Python, that is in its range."""
  value = value.item() if isinstance(value, np.integer) else value
  checks.whole(low, high)(name, value)
  return value
