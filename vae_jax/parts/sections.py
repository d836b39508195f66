"""The sections whose keys depend on their name, and the built-in parts by their import paths."""

from collections.abc import Mapping
from typing import NamedTuple


class Section(NamedTuple):
  """A section whose keys depend on its name.

  Attributes:
    builtins: name -> 'package.module:attribute'.
    common: keys that are no constructor's own, and concern any part; a constructor whose signature
      has one is given it, too.
    given: what a study hands in by name where the signature asks for it.
    otherwise: the constructor of any other name, where not only built-ins are known by a name.
  """

  builtins: Mapping[str, str]
  common: tuple[str, ...] = ()
  given: tuple[str, ...] = ()
  otherwise: str = ''


def _of(module: str, **attributes: str) -> dict[str, str]:
  return {name: f'vae_jax.{module}:{attribute}' for name, attribute in attributes.items()}


def _named(module: str, *names: str) -> dict[str, str]:
  return _of(module, **{name: name for name in names})


SECTIONS: Mapping[str, Section] = {
  'data': Section(
    builtins={
      **_of(
        'data.sources', digits='open_digits', digit_counts='open_digit_counts', shapes='open_shapes'
      ),
      **_of('data.patches', patches='open_patches'),
      **_of('data.folders', folder='open_folder'),
      **_of('data.npz', npz='open_npz'),
      **_of('data.tables', table='open_table', diabetes='open_diabetes'),
      **_of('data.npy', npy='open_npy'),
    },
    common=(
      'train_split',
      'validation_split',
      'test_split',
      'split_order',
      'crop',
      'pad',
      'kind',
      'range',
      'scale_to_unit',
      'binarize',
      'standardize',
      'missing',
      'conditions',
      'size_factor',
      'seed',
    ),
    otherwise='vae_jax.data.prepared:open_prepared',
  ),
  'likelihood': Section(
    builtins=_named(
      'densities',
      'bernoulli',
      'continuous_bernoulli',
      'cross_entropy',
      'gaussian',
      'discretized_logistic',
      'categorical',
      'poisson',
      'negative_binomial',
      'student_t',
      'by_column',
    ),
    given=('event', 'columns'),
  ),
  'encoder': Section(
    builtins=_of('networks', mlp='MlpEncoder', conv='ConvEncoder', resnet='ResNetEncoder'),
    given=('event',),
  ),
  'posterior': Section(
    builtins=_of(
      'networks',
      diagonal='diagonal',
      full_covariance='full_covariance',
      flow='flow_posterior',
      two_layer='two_layer_posterior',
    ),
    given=('event', 'kernel_init', 'activation'),
  ),
  'prior': Section(
    builtins=_of(
      'networks',
      standard_normal='standard_normal',
      mixture='mixture',
      vamp='vamp',
      flow='flow_prior',
      two_layer='two_layer_prior',
    ),
    given=('event', 'support', 'lower_size', 'kernel_init', 'activation'),
  ),
  'decoder': Section(
    builtins=_of('networks', mlp='MlpDecoder', conv='ConvDecoder', resnet='ResNetDecoder'),
    common=('output_bias',),
    given=('event', 'num_heads', 'pixel_bias', 'channel_bias'),
  ),
  'bound': Section(
    builtins={
      'elbo': 'vae_jax.objectives:beta_elbo',
      **_named('objectives', 'iwae', 'miwae', 'ciwae', 'beta_tcvae', 'dip_vae_i', 'dip_vae_ii'),
      **_named('objectives', 'multi_rate'),
    },
    common=('num_samples', 'noise', 'kl', 'gradient'),
    given=('num_examples', 'lower_size'),
  ),
  'optimizer': Section(
    builtins=_named('optimizers', 'adam', 'adabelief', 'adamax', 'nadam', 'radam'),
    given=('learning_rate',),
  ),
  'schedule': Section(
    builtins=_named('optimizers', 'constant', 'linear', 'cosine', 'exponential', 'tripling'),
    common=('warmup_steps',),
  ),
}
