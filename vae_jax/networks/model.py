"""Encoder, posterior, prior, decoder and likelihood as one model: pure functions of parameters."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import distrax
import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import Array

from vae_jax import densities
from vae_jax.data import Beside
from vae_jax.networks import gates, latents


class Model(NamedTuple):
  """Pure functions of the parameters; x is one example, mask [Z] that of the lane."""

  init: Callable[[Array, Array], Any]  # key, mask -> params
  encode: Callable[[Any, Array, Array], densities.Posterior]  # params, x, mask -> q(z | x)
  prior: Callable[[Any, Array], densities.Prior]  # params, mask -> p(z)
  outputs: Callable[[Any, Array, Array], Array]  # params, z, mask -> [heads, D] of the decoder
  likelihood: Callable[[Any, Array], distrax.Distribution]  # params, outputs -> p(x | z)
  refit: Callable[[Any, Array], Any] | None  # params, mean log p(x | z) [] -> the shared numbers
  lower_size: int = 0  # of two layers of latents the decoder reads the first so many; 0: reads all
  beta_range: Sequence[float] = ()  # of the betas that the networks see; () where they see none
  condition_size: int = 0  # K, of the condition that encoder and decoder see; 0 where they see none
  has_sizes: bool = False  # whether p(x | z) is that of an example of a known size

  def at_beta(self, params: Any, beta: Array) -> Any:
    """Returns the parameters at a beta [], which the other functions read.

    Of networks that do not see beta they are those given.
    """
    if not self.beta_range:
      return params
    return params | {'eta': gates.standardised(beta, self.beta_range)}

  def knowing(self, params: Any, beside: Beside) -> Any:
    """Returns the parameters with what is known of one example, which the others read."""
    known = {name: leaf for name, leaf in beside._asdict().items() if leaf is not None}
    return params | known if known else params

  def anything(self) -> Beside:
    """Returns what stands for what is known of an example, where its shape alone matters."""
    condition = jnp.zeros(self.condition_size) if self.condition_size else None
    return Beside(condition, jnp.ones(()) if self.has_sizes else None)

  def decode(self, params: Any, z: Array, mask: Array) -> distrax.Distribution:
    """Returns p(x | z)."""
    return self.likelihood(params, self.outputs(params, z, mask))


def make_model(
  encoder: nn.Module,
  posterior: latents.PosteriorNetwork,
  prior: latents.PriorNetwork,
  decoder: nn.Module,
  likelihood: densities.Likelihood,
  event: Sequence[int],
  input_scale: float = 1.0,
  standard: tuple[Array, Array] | None = None,
  lower_size: int = 0,
  compute_dtype: jnp.dtype = jnp.float32,
  beta_range: Sequence[float] = (),
  condition_size: int = 0,
  has_sizes: bool = False,
  has_missing: bool = False,
) -> Model:
  """Returns the model of one example.

  Args:
    encoder: x [*event] -> features [H].
    posterior, prior: of the latents.
    decoder: z, mask -> the outputs that the likelihood reads.
    likelihood: p(x | z).
    event: the shape of x.
    input_scale: the encoder sees x / input_scale; 255 for 8-bit levels.
    standard: shift m and spread s [*event]: encoder and likelihood see (x - m) / s, and log p(x) is
      that of x itself, Jacobian included; None for x itself.
    lower_size: with two layers of latents the decoder sees the first `lower_size` only; 0 for one.
    compute_dtype: of encoder and decoder. Parameters, posterior, likelihood and all sums stay
      float32.
    beta_range: the lowest and the highest beta that encoder and decoder see, as a last argument
      eta []; () where they see none.
    condition_size: K, of the condition c that encoder and decoder see, see `beside.Beside`: the
      decoder reads (c, z), with c never inert; an encoder of images or signals reads K constant
      channels more, any other the vector (x, c).
    has_sizes: whether the likelihood is that of an example of a known size.
    has_missing: whether values of x may be NaN: those are 0 to the encoder, and log p(x | z) is
      that of the others.
  """
  sees_space = hasattr(type(encoder), 'EVENT_RANKS')

  def computed(net: nn.Module, params: Any, *inputs: Array) -> Array:
    cast = jax.tree.map(lambda leaf: leaf.astype(compute_dtype), (params, *inputs))
    return net.apply(*cast).astype(jnp.float32)

  def features(params: Any, x: Array) -> Array:
    x = x / input_scale if standard is None else (x - standard[0]) / standard[1]
    if likelihood.encoder_input is not None:
      x = likelihood.encoder_input(x)
    if has_missing:
      x = jnp.where(jnp.isnan(x), 0.0, x)
    return computed(encoder, params['encoder'], conditioned(x, params), *eta_of(params))

  def conditioned(x: Array, params: Any) -> Array:
    if not condition_size:
      return x
    condition = params['condition']
    if x.ndim == 1 or not sees_space:
      return jnp.concatenate([jnp.ravel(x), condition])
    channels = jnp.broadcast_to(condition, (*x.shape[:-1], condition_size))
    return jnp.concatenate([x, channels], axis=-1)

  def eta_of(params: Any) -> tuple[Array, ...]:
    return (params['eta'],) if beta_range else ()

  def below(latents: Array, condition: Array | None) -> Array:
    """Returns what the decoder reads of latents, or of their mask, behind the condition.

    In front, so that a padded lane draws the same initial weights as an unpadded one.
    """
    latents = latents[:lower_size] if lower_size else latents
    return latents if condition is None else jnp.concatenate([condition, latents])

  def decoder_inputs(params: Any, z: Array, mask: Array) -> tuple[Array, Array]:
    condition = params['condition'] if condition_size else None
    never_inert = jnp.ones(condition_size) if condition_size else None
    return below(z, condition), below(mask, never_inert)

  def as_stored(x: Array) -> Array:
    """Returns the x of which the encoder sees this."""
    return x * input_scale if standard is None else standard[0] + standard[1] * x

  def init(key: Array, mask: Array) -> Mapping[str, Any]:
    encoder_key, posterior_key, prior_key, decoder_key = jax.random.split(key, 4)
    in_the_middle = {'eta': jnp.zeros(())} if beta_range else {}
    if condition_size:
      in_the_middle |= {'condition': jnp.zeros(condition_size)}
    eta = eta_of(in_the_middle)
    seen = jnp.zeros(event)
    if likelihood.encoder_input is not None:
      seen = likelihood.encoder_input(seen)
    params = {'encoder': encoder.init(encoder_key, conditioned(seen, in_the_middle), *eta)}
    h = features(params | in_the_middle, jnp.zeros(event))
    return params | {
      'posterior': posterior.init(posterior_key, h, mask),
      'prior': prior.init(prior_key, mask),
      'decoder': decoder.init(
        decoder_key, *decoder_inputs(in_the_middle, jnp.zeros(mask.size), mask), *eta
      ),
      'likelihood': (jnp.zeros(()),) * likelihood.num_shared,
    }

  def encode(params: Any, x: Array, mask: Array) -> densities.Posterior:
    return posterior.make(params['posterior'], features(params, x), mask)

  def make_prior(params: Any, mask: Array) -> densities.Prior:
    return prior.make(params['prior'], mask, lambda x: encode(params, as_stored(x), mask))

  def outputs_of(params: Any, z: Array, mask: Array) -> Array:
    inputs = decoder_inputs(params, z, mask)
    outputs = computed(decoder, params['decoder'], *inputs, *eta_of(params))
    return outputs.reshape(len(outputs), -1)

  def observed(params: Any, outputs: Array) -> distrax.Distribution:
    # As one array where it can be: 256 heads in a tuple would be 256 slices to compile.
    shared = params['likelihood']
    one = likelihood.sized(params['size']) if has_sizes else likelihood
    flat = one.make((*outputs, *shared) if shared else outputs)
    flat_standard = None if standard is None else tuple(map(jnp.ravel, standard))
    if has_missing:
      flat = densities.of_observed(flat, flat_standard)
    elif flat_standard is not None:
      flat = densities.rescaled(flat, *flat_standard)
    return densities.Shaped(flat, event)

  refit = _refit(likelihood, event, standard)
  return Model(
    init=init,
    encode=encode,
    prior=make_prior,
    outputs=outputs_of,
    likelihood=observed,
    refit=refit,
    lower_size=lower_size,
    beta_range=tuple(beta_range),
    condition_size=condition_size,
    has_sizes=has_sizes,
  )


def _refit(
  likelihood: densities.Likelihood, event: Sequence[int], standard: tuple[Array, Array] | None
) -> Callable[[Any, Array], tuple[Array, ...]] | None:
  """Returns how the likelihood's shared numbers are fitted, None where they are trained."""
  if likelihood.refit is None:
    return None
  size = math.prod(event)
  # The likelihood knows standardised values alone: what their spread adds is taken off again.
  volume = 0.0 if standard is None else float(np.log(standard[1], dtype=np.float64).sum())
  return lambda params, mean: likelihood.refit(mean + volume, size, params['likelihood'])
