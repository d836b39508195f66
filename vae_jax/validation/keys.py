"""Every key of a config, and what its value may be."""

from collections.abc import Mapping

from vae_jax import checks, data, lane_fields, networks, parts

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

_WIDTHS = checks.tuple_of(checks.whole(1))
_SIZE = checks.tuple_of(checks.whole(1), sizes=(0, 2))

CHECKS: Mapping[str, checks.Check] = {
  'study': checks.text(empty=False, longest=200),
  'lanes.combine': checks.choice('product', 'zip', 'list'),
  **{f'lanes.{field}': checks.axis for field in lane_fields.NAMES},
  'lanes.points': checks.axis,
  'data.name': checks.text(empty=False, longest=200),
  'data.path': checks.text(empty=True),
  'data.train_split': checks.text(empty=False),
  'data.test_split': checks.text(empty=False),
  'data.crop': _SIZE,
  'data.pad': _SIZE,
  'data.kind': checks.choice(*data.KINDS),
  'data.range': checks.tuple_of(checks.real(-1e37, 1e37), sizes=(0, 2)),
  'data.scale_to_unit': checks.flag,
  'data.binarize': checks.choice(*data.BINARIZE),
  'data.standardize': checks.choice(*data.STANDARDIZE),
  'data.seed': checks.whole(0),
  'likelihood.name': checks.choice(*LIKELIHOODS),
  'likelihood.scale': checks.choice('fixed', 'shared', 'optimal', 'per_pixel'),
  'likelihood.initial_scale': checks.real(1e-6, 1e6),
  'likelihood.min_scale': checks.real(1e-6, 1e6),
  'likelihood.mean': checks.choice('identity', 'sigmoid'),
  'likelihood.num_components': checks.whole(1, 100),
  **{
    f'{part}.{key}': check
    for part in ('encoder', 'decoder')
    for key, check in {
      'name': checks.choice('mlp', 'conv'),
      'channels': _WIDTHS,
      'kernels': _WIDTHS,
      'strides': _WIDTHS,
      'padding': checks.choice('same', 'valid'),
      'hidden': _WIDTHS,
      'activation': checks.choice(*networks.ACTIVATIONS),
      'kernel_init': checks.choice(*networks.INITS),
    }.items()
  },
  'posterior.name': checks.choice(*POSTERIORS),
  'posterior.num_layers': checks.whole(1, 1000),
  'posterior.hidden': _WIDTHS,
  'posterior.lower_size': checks.whole(1, 1_000_000),
  'prior.name': checks.choice(*PRIORS),
  'prior.num_components': checks.whole(1),
  'prior.num_layers': checks.whole(1, 1000),
  'prior.hidden': _WIDTHS,
  'decoder.output_bias': checks.choice('zeros', 'train_mean'),
  'bound.name': checks.choice(*BOUNDS),
  'bound.num_samples': checks.whole(1),
  'bound.noise': checks.choice('independent', 'antithetic'),
  'bound.num_groups': checks.whole(1),
  'bound.elbo_weight': checks.real(0.0, 1.0),
  'bound.kl': checks.choice('analytic', 'sampled'),
  'bound.gradient': checks.choice(*GRADIENTS),
  'bound.free_bits_per': checks.choice('latent', 'layer'),
  'bound.diagonal_ratio': checks.real(0.0, 1e6),
  'optimizer.name': checks.choice(*parts.SECTIONS['optimizer'].builtins),
  'optimizer.b1': checks.real(0.0, 0.999999),
  'optimizer.b2': checks.real(0.0, 0.999999),
  'optimizer.eps': checks.real(1e-30, 1.0),
  'schedule.name': checks.choice(*parts.SECTIONS['schedule'].builtins),
  'schedule.warmup_steps': checks.whole(0),
  'schedule.decay_steps': checks.whole(1),
  'schedule.factor': checks.real(0.0, 1.0),
  'train.steps': checks.whole(1),
  'train.batch_size': checks.whole(1),
  'train.log_every': checks.whole(1),
  'train.log_powers_of_two': checks.flag,
  'train.evaluate_every': checks.whole(1),
  'train.checkpoint_every': checks.whole(1),
  'program.width': checks.whole(0),
  'program.memory_gib': checks.real(0.0, 1e6),
  'program.resident_gib': checks.real(0.0, 1e6),
  'program.compute_dtype': checks.choice('float32', 'bfloat16'),
  'evaluation.train_images': checks.whole(0),
  'evaluation.test_images': checks.whole(0),
  'evaluation.batch_size': checks.whole(1),
  'evaluation.nll_samples': checks.whole(1),
  'evaluation.nll_images': checks.whole(0),
  'evaluation.aggregate_images': checks.whole(0),
  'evaluation.factor_images': checks.whole(0),
  'wandb.mode': checks.choice('online', 'offline', 'disabled'),
  'wandb.entity': checks.text(empty=True, longest=128, without='/\\#?%:'),  # stands in a URL
  'wandb.project': checks.text(empty=False, longest=128, without='/\\#?%:'),
  'wandb.tags': checks.tuple_of(checks.text(empty=False, longest=64)),
}
