"""Every setting of a study, once: its meaning, and the value at which it does nothing.

A study states what differs from this page:

  config = base()
  config.lanes.update(beta=(0.5, 1.0, 2.0), latent_size=(2, 8))
  config.data.update(name='digits', binarize='dynamic')

A config or a stored run that is older than a key goes on as it was: `complete` gives it the key at
its value here, under which parameters are the same to the bit.
"""

import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from ml_collections import config_dict

from vae_jax import errors, lane_fields


def base() -> config_dict.ConfigDict:
  """Returns every setting; `study`, `data.name` and what is trained are for a study to state."""
  config = config_dict.ConfigDict()
  config.study = ''  # its name: the title of its pictures, the W&B group of its runs

  # What is swept: data to the one program, so that a new value costs no compilation. What a field
  # means stands in its row of `lane_fields.FIELDS`.
  config.lanes = dict(
    combine='product',  # of the axes; 'zip' sets them side by side, 'list' takes `points`
    **{field.name: (field.default,) for field in lane_fields.FIELDS},
    points=(),  # for 'list': ((beta, latent_size, seed, learning_rate), ...)
  )

  # What makes another program, or another run.
  config.data = dict(
    name='',  # 'digits', 'shapes', 'npz' with `path`, or any TFDS image data set
    path='',  # of the .npz file
    train_split='train',  # or 'images[:80%]', 'train+validation'
    test_split='test',
    crop=(),  # () or (height, width) of the centre
    pad=(),  # () or (height, width) to reach with zeros around
    kind='auto',  # by type, shape and range; or declared: 'image', 'count', 'real', 'binary'
    range=(),  # or the values (black, white) that the model sees as 0 and 1: (0, 4095), (-1, 1)
    scale_to_unit=True,  # 8-bit pixels are divided by 255
    binarize='none',  # or 'dynamic' (anew at each step), 'static' (once), 'threshold'
    standardize='none',  # or 'per_pixel', 'all': by mean and spread of the training split
    seed=0,  # of the batches, of the binarisation and of which images are evaluated
  )
  config.likelihood = dict(
    name='bernoulli',  # 'gaussian', 'continuous_bernoulli', 'discretized_logistic', 'categorical'
    scale='fixed',  # of the Gaussian: or 'shared', 'optimal', 'per_pixel'
    initial_scale=1.0,  # of a Gaussian or a discretised logistic
    min_scale=0.001,  # of a learned one
    mean='identity',  # of the Gaussian: or 'sigmoid'
    num_components=1,  # of the mixture of discretised logistics
  )
  config.encoder = dict(
    name='mlp',  # or 'conv', with channels, kernels, strides and padding
    channels=(),
    kernels=(),
    strides=(),
    padding='same',  # or 'valid'
    hidden=(),  # widths of the dense layers; none: linear
    activation='relu',  # one of networks.ACTIVATIONS, 'gated' among them
    kernel_init='lecun',  # or 'glorot', 'he'
  )
  config.posterior = dict(
    name='diagonal',  # or 'full_covariance', 'flow', 'two_layer'
    num_layers=4,  # of the flow
    hidden=(64,),  # of the networks of the flow, or between the two layers
    lower_size=100,  # of the lower of two layers; lanes.latent_size is the upper one's
  )
  config.prior = dict(
    name='standard_normal',  # or 'mixture', 'vamp', 'flow', 'two_layer'
    num_components=50,  # of the mixture, or pseudo-inputs of the VampPrior
    num_layers=4,  # of the flow
    hidden=(64,),  # of the networks of the flow, or between the two layers
  )
  config.decoder = dict(
    name='mlp',  # or 'conv'
    channels=(),
    kernels=(),
    strides=(),  # of a transposed convolution where above 1
    padding='same',
    hidden=(),
    activation='relu',
    kernel_init='lecun',
    output_bias='zeros',  # or 'train_mean'
  )
  config.bound = dict(
    name='elbo',  # or 'iwae', 'miwae', 'ciwae', 'beta_tcvae', 'dip_vae_i', 'dip_vae_ii'
    num_samples=1,  # L
    noise='independent',  # or 'antithetic', in pairs e and -e
    num_groups=1,  # of the MIWAE
    elbo_weight=0.0,  # of the CIWAE
    kl='analytic',  # or 'sampled'
    gradient='reparameterized',  # or 'sticking_the_landing', 'doubly_reparameterized'
    free_bits_per='latent',  # or 'layer'
    diagonal_ratio=10.0,  # of the DIP-VAE
  )
  # eps refers to the gradient of a mean over the batch: a published one for a sum is N times ours.
  config.optimizer = dict(name='adam', b1=0.9, b2=0.999, eps=1e-8)
  config.schedule = dict(
    name='constant',  # or 'linear', 'cosine', 'exponential', 'tripling'
    warmup_steps=0,  # from a rate of 0
    decay_steps=1,
    factor=1.0,
  )
  config.train = dict(
    steps=1000,
    batch_size=128,
    log_every=100,
    log_powers_of_two=False,  # at the steps 1, 2, 4, 8 ... too
    evaluate_every=1000,
    checkpoint_every=1000,
  )
  config.program = dict(
    width=0,  # lanes in one program; 0 for as many as are fastest and fit, the rest in turn
    memory_gib=0.0,  # 0 for four fifths of what is free
    resident_gib=2.0,  # a larger training set stays on the host and is fed from there
    compute_dtype='float32',  # of the networks; or 'bfloat16', for a GPU or TPU
  )
  config.evaluation = dict(
    train_images=1000,
    test_images=1000,
    batch_size=1000,  # images x samples that a lane decodes at a time
    nll_samples=100,
    nll_images=1000,
    aggregate_images=1000,  # that share one aggregate posterior q(z)
    factor_images=1000,  # whose codes are scored, where factors are known
  )
  config.wandb = dict(mode='disabled', entity='', project='vae_jax', tags=())
  return config


def complete(config: Mapping[str, Any]) -> dict[str, Any]:
  """Returns a config, as nested plain values, with the keys that it is older than at their values.

  A key that this version does not have is left in it, for `validation.check` to refuse; a section
  that is no mapping, too.

  Raises:
    InputError: it is no config at all.
  """
  config = plain(config)
  if not isinstance(config, Mapping):
    raise errors.InputError(
      f'the config is {errors.shown(config)}; give a ConfigDict, or a dict of its sections'
    )
  defaults = base().to_dict()
  return {
    **defaults,
    **{key: _completed(value, defaults.get(key)) for key, value in config.items()},
  }


def _completed(value: Any, default: Any) -> Any:
  is_section = isinstance(value, Mapping) and isinstance(default, Mapping)
  return {**default, **value} if is_section else value


_DEEPEST = 6  # no value of a config is nested so deep; what is deeper is refused as it stands


def plain(value: Any, depth: int = 0) -> Any:
  """Returns a config, or a value of it, in plain Python: nested dicts, tuples, numbers, texts.

  A ConfigDict becomes a dict, a NumPy scalar a number, an array a tuple, a path a text, so that
  `np.arange(3)` and `(0, 1, 2)` are one config. A float of less than 64 bits becomes the shortest
  decimal that reads back as it: `np.float32(0.1)` is 0.1. Anything else stays, to be refused.
  """
  if type(value) in (int, float, str, bool):  # most values
    return value
  if isinstance(value, (config_dict.ConfigDict, config_dict.FieldReference)):
    value = value.to_dict() if isinstance(value, config_dict.ConfigDict) else value.get()
  if depth > _DEEPEST:
    return value
  if isinstance(value, Mapping):
    return {name: plain(below, depth + 1) for name, below in value.items()}
  if type(value) in (tuple, list):
    return type(value)(plain(below, depth + 1) for below in value)
  if hasattr(type(value), '__array__') and not isinstance(value, np.generic):
    value = np.asarray(value)  # of JAX or pandas, too
    return plain(value[()] if value.ndim == 0 else tuple(value), depth + 1)
  if isinstance(value, np.floating):
    return float(str(value)) if value.dtype.itemsize < 8 else float(value)
  if isinstance(value, np.generic):
    return value.item()
  return str(value) if isinstance(value, pathlib.PurePath) else value
