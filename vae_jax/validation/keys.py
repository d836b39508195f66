"""Every key of a config, and what its value may be."""

from collections.abc import Mapping

from vae_jax import data, lanes, networks, optimizers
from vae_jax.validation import kinds

LIKELIHOODS = (
  'bernoulli',
  'continuous_bernoulli',
  'cross_entropy',
  'gaussian',
  'discretized_logistic',
  'categorical',
)
POSTERIORS = ('diagonal', 'full_covariance', 'flow', 'two_layer')
PRIORS = ('standard_normal', 'mixture', 'vamp', 'flow', 'two_layer')
IMPORTANCE_WEIGHTED = ('iwae', 'miwae', 'ciwae')
BOUNDS = ('elbo', *IMPORTANCE_WEIGHTED, 'beta_tcvae', 'dip_vae_i', 'dip_vae_ii')
GRADIENTS = ('reparameterized', 'sticking_the_landing', 'doubly_reparameterized')

_WIDTHS = kinds.tuple_of(kinds.whole(1))
_SIZE = kinds.tuple_of(kinds.whole(1), sizes=(0, 2))

CHECKS: Mapping[str, kinds.Check] = {
  'study': kinds.text(empty=False, longest=200),
  'lanes.combine': kinds.choice('product', 'zip', 'list'),
  **{f'lanes.{field}': kinds.axis for field in lanes.Point._fields},
  'lanes.points': kinds.axis,
  'data.name': kinds.text(empty=False, longest=200),
  'data.path': kinds.text(empty=True),
  'data.train_split': kinds.text(empty=False),
  'data.test_split': kinds.text(empty=False),
  'data.crop': _SIZE,
  'data.pad': _SIZE,
  'data.kind': kinds.choice(*data.KINDS),
  'data.range': kinds.tuple_of(kinds.real(-1e37, 1e37), sizes=(0, 2)),
  'data.scale_to_unit': kinds.flag,
  'data.binarize': kinds.choice(*data.BINARIZE),
  'data.standardize': kinds.choice(*data.STANDARDIZE),
  'data.seed': kinds.whole(0),
  'likelihood.name': kinds.choice(*LIKELIHOODS),
  'likelihood.scale': kinds.choice('fixed', 'shared', 'optimal', 'per_pixel'),
  'likelihood.initial_scale': kinds.real(1e-6, 1e6),
  'likelihood.min_scale': kinds.real(1e-6, 1e6),
  'likelihood.mean': kinds.choice('identity', 'sigmoid'),
  'likelihood.num_components': kinds.whole(1, 100),
  **{
    f'{part}.{key}': check
    for part in ('encoder', 'decoder')
    for key, check in {
      'name': kinds.choice('mlp', 'conv'),
      'channels': _WIDTHS,
      'kernels': _WIDTHS,
      'strides': _WIDTHS,
      'padding': kinds.choice('same', 'valid'),
      'hidden': _WIDTHS,
      'activation': kinds.choice(*networks.ACTIVATIONS),
      'kernel_init': kinds.choice(*networks.INITS),
    }.items()
  },
  'posterior.name': kinds.choice(*POSTERIORS),
  'posterior.num_layers': kinds.whole(1, 1000),
  'posterior.hidden': _WIDTHS,
  'posterior.lower_size': kinds.whole(1, 1_000_000),
  'prior.name': kinds.choice(*PRIORS),
  'prior.num_components': kinds.whole(1),
  'prior.num_layers': kinds.whole(1, 1000),
  'prior.hidden': _WIDTHS,
  'decoder.output_bias': kinds.choice('zeros', 'train_mean'),
  'bound.name': kinds.choice(*BOUNDS),
  'bound.num_samples': kinds.whole(1),
  'bound.noise': kinds.choice('independent', 'antithetic'),
  'bound.num_groups': kinds.whole(1),
  'bound.elbo_weight': kinds.real(0.0, 1.0),
  'bound.kl': kinds.choice('analytic', 'sampled'),
  'bound.gradient': kinds.choice(*GRADIENTS),
  'bound.free_bits_per': kinds.choice('latent', 'layer'),
  'bound.diagonal_ratio': kinds.real(0.0, 1e6),
  'optimizer.name': kinds.choice(*optimizers.OPTIMIZERS),
  'optimizer.b1': kinds.real(0.0, 0.999999),
  'optimizer.b2': kinds.real(0.0, 0.999999),
  'optimizer.eps': kinds.real(1e-30, 1.0),
  'schedule.name': kinds.choice(*optimizers.SCHEDULES),
  'schedule.warmup_steps': kinds.whole(0),
  'schedule.decay_steps': kinds.whole(1),
  'schedule.factor': kinds.real(0.0, 1.0),
  'train.steps': kinds.whole(1),
  'train.batch_size': kinds.whole(1),
  'train.log_every': kinds.whole(1),
  'train.log_powers_of_two': kinds.flag,
  'train.evaluate_every': kinds.whole(1),
  'train.checkpoint_every': kinds.whole(1),
  'program.width': kinds.whole(0),
  'program.memory_gib': kinds.real(0.0, 1e6),
  'program.resident_gib': kinds.real(0.0, 1e6),
  'program.compute_dtype': kinds.choice('float32', 'bfloat16'),
  'evaluation.train_images': kinds.whole(0),
  'evaluation.test_images': kinds.whole(0),
  'evaluation.batch_size': kinds.whole(1),
  'evaluation.nll_samples': kinds.whole(1),
  'evaluation.nll_images': kinds.whole(0),
  'evaluation.aggregate_images': kinds.whole(0),
  'evaluation.factor_images': kinds.whole(0),
  'wandb.mode': kinds.choice('online', 'offline', 'disabled'),
  'wandb.entity': kinds.text(empty=True, longest=128, without='/\\#?%:'),  # stands in a URL
  'wandb.project': kinds.text(empty=False, longest=128, without='/\\#?%:'),
  'wandb.tags': kinds.tuple_of(kinds.text(empty=False, longest=64)),
}
