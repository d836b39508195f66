"""Networks of one example in Flax linen; shapes are inferred from the data.

Everything that touches the latents takes the lane's mask [Z]: what leaves a posterior head and what
enters a decoder is multiplied by it, so that an inert latent has the posterior N(0, 1) = prior and
inert weights get zero gradient.
"""

from vae_jax.networks.decoders import ConvDecoder, MlpDecoder
from vae_jax.networks.encoders import ConvEncoder, MlpEncoder
from vae_jax.networks.flows import CouplingFlow
from vae_jax.networks.latents import PosteriorNetwork, PriorNetwork
from vae_jax.networks.layers import ACTIVATIONS, INITS, initializer
from vae_jax.networks.model import Model, make_model
from vae_jax.networks.posteriors import (
  diagonal,
  flow_posterior,
  full_covariance,
  two_layer_posterior,
)
from vae_jax.networks.priors import flow_prior, mixture, standard_normal, two_layer_prior, vamp
from vae_jax.networks.resnets import ResNetDecoder, ResNetEncoder

__all__ = [
  'ACTIVATIONS',
  'INITS',
  'ConvDecoder',
  'ConvEncoder',
  'CouplingFlow',
  'MlpDecoder',
  'MlpEncoder',
  'Model',
  'PosteriorNetwork',
  'PriorNetwork',
  'ResNetDecoder',
  'ResNetEncoder',
  'diagonal',
  'flow_posterior',
  'flow_prior',
  'full_covariance',
  'initializer',
  'make_model',
  'mixture',
  'standard_normal',
  'two_layer_posterior',
  'two_layer_prior',
  'vamp',
]
