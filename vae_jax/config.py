"""Every setting of a study, once: its meaning, and the value at which it does nothing.

A study states what differs from this page:

  config = base()
  config.lanes.update(beta=(0.5, 1.0, 2.0), latent_size=(2, 8))
  config.data.update(name='digits', binarize='dynamic')
  config.optimizer = dict(name='optax:lion', weight_decay=1e-2)     # the whole of a section

A key is a line of `PAGE`. A section with a `name` has, beside the keys with a check here, those of
the part that it names: see `parts`. What stands here without a check is of the part that is named
here, whose signature has the check; another part has its own keys, at the values of its signature:

  config.prior.update(name='mixture', num_components=10)
  config.encoder = dict(name='my_package.nets:ResNet', depth=3)

A config or a stored run that is older than a key goes on as it was: `complete` gives it the key at
its value here, under which parameters are the same to the bit. It leaves out the keys of parts that
a config does not name.
"""

import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from ml_collections import config_dict

from vae_jax import checks, errors, lane_fields, parts


class Setting(NamedTuple):
  """A key of the page.

  Attributes:
    default: its value where nothing sets it, at which it does nothing.
    check: raises InputError for what it cannot be.
    meaning: for a person.
    kind: the type of its values, `object` for several; None for that of the default.
  """

  default: Any
  check: checks.Check
  meaning: str
  kind: type | None = None


_key, _one_of, _text = Setting, checks.choice, checks.text(empty=False)
_count, _positive, _gib = checks.whole(0), checks.whole(1), checks.real(0.0, 1e6)
_size = checks.tuple_of(_positive, sizes=(0, 2))
_range = checks.tuple_of(checks.real(-1e37, 1e37), sizes=(0, 2))
_betas = checks.tuple_of(checks.real(0.0, 1e30))
_gradients = ('reparameterized', 'sticking_the_landing', 'doubly_reparameterized')
_lanes = checks.name_or_count('all', 'best')
_slug = dict(longest=128, without='/\\#?%:')  # it stands in a URL

PAGE: Mapping[str, Any] = dict(
  study=_key(
    '', checks.text(empty=False, longest=200), 'its name: a title, and begins the W&B group'
  ),
  # What is swept: data to the one program, so that a new value costs no compilation.
  lanes=dict(
    combine=_key(
      'product',
      _one_of('product', 'zip', 'list'),
      "of the axes; 'zip' sets them side by side, 'list' takes `points`",
    ),
    **{
      field.name: _key((field.default,), checks.axis, field.meaning) for field in lane_fields.FIELDS
    },
    points=_key((), checks.axis, "for 'list': ((beta, latent_size, seed, learning_rate), ...)"),
    beta_unit=_key(
      'nats',
      _one_of('nats', 'mean_pixel', 'mean_pixel_and_latent'),
      'of beta here: it weighs a rate summed over the latents beside a distortion summed over the '
      'pixels; or beside its mean over the D pixels, beta D in nats; or the mean rate of a latent '
      'beside that, beta D / Z. All that is recorded is in nats',
    ),
  ),
  # What makes another program, or another run.
  data=dict(
    name='',  # 'digits', 'shapes', 'npz', any TFDS image data set, or 'package.module:load'
    train_split=_key('train', _text, "or 'images[:80%]', 'train+validation'"),
    validation_split=_key(
      '',
      checks.text(empty=True),
      "'' for none, or what all choosing goes by: then the test set is evaluated once, at the end",
    ),
    test_split=_key('test', _text, 'the same of the test set'),
    split_order=_key(
      'stored',
      _one_of('stored', 'shuffled', otherwise="'group:COLUMN'", prefix='group:'),
      'which examples a slice takes: the first ones, a random part by data.seed, or a random part '
      'of the groups of a column',
    ),
    crop=_key((), _size, '() or (height, width) of the centre'),
    pad=_key((), _size, '() or (height, width) to reach with zeros around'),
    kind=_key(
      'auto',
      _one_of('auto', 'image', 'count', 'real', 'binary', 'signal'),
      'what the values are: seen by type, shape and range, or declared',
    ),
    range=_key((), _range, '() or the values (black, white) that the model sees as 0 and 1'),
    scale_to_unit=_key(True, checks.flag, '8-bit pixels are divided by 255'),
    binarize=_key(
      'none',
      _one_of('none', 'dynamic', 'static', 'threshold'),
      "'dynamic' draws anew at each step, 'static' once",
    ),
    standardize=_key(
      'none',
      _one_of('none', 'per_pixel', 'all'),
      'by mean and spread of the training split',
    ),
    missing=_key(
      'refused',
      _one_of('refused', 'left_out'),
      "what a value that is NaN is: 'left_out' of likelihood and encoder where it is missing",
    ),
    conditions=_key(
      (),
      checks.tuple_of(_text),
      "columns beside the examples, such as 'label', that encoder and decoder see: p(x | column)",
    ),
    size_factor=_key(
      '',
      checks.text(empty=True),
      "of counts: 'row_sum' or a column, by which the rate is multiplied; '' for none",
    ),
    seed=_key(0, _count, 'of batches, of binarisation, of which images are evaluated'),
  ),
  likelihood=dict(name='bernoulli'),
  encoder=dict(
    name='mlp', hidden=(), activation='relu', kernel_init='lecun', norm='none', residual=False
  ),
  posterior=dict(name='diagonal'),
  prior=dict(name='standard_normal'),
  decoder=dict(
    name='mlp',
    hidden=(),
    activation='relu',
    kernel_init='lecun',
    norm='none',
    residual=False,
    output_bias=_key(
      'zeros',
      _one_of('zeros', 'train_mean'),
      "'train_mean': at the start x has the mean of the training set",
    ),
  ),
  bound=dict(
    name='elbo',
    free_bits_per='latent',
    num_samples=_key(1, _positive, 'L: samples of z for each example'),
    noise=_key(
      'independent', _one_of('independent', 'antithetic'), "'antithetic': in pairs e and -e"
    ),
    kl=_key('analytic', _one_of('analytic', 'sampled'), 'in closed form, or log q(z|x) - log p(z)'),
    gradient=_key('reparameterized', _one_of(*_gradients), 'through z; see bounds'),
  ),
  # eps refers to the gradient of a mean over the batch: a published one for a sum is N times ours.
  optimizer=dict(name='adam', b1=0.9, b2=0.999, eps=1e-8),
  schedule=dict(
    name='constant',
    warmup_steps=_key(0, _count, 'over which the learning rate rises from 0'),
  ),
  train=dict(
    steps=_key(1000, _positive, 'of the optimiser'),
    batch_size=_key(128, _positive, 'examples'),
    log_every=_key(100, _positive, 'steps'),
    log_powers_of_two=_key(False, checks.flag, 'at the steps 1, 2, 4, 8 ... too'),
    evaluate_every=_key(1000, _positive, 'steps, a multiple of log_every'),
    checkpoint_every=_key(1000, _positive, 'steps, a multiple of log_every'),
    patience=_key(0, _count, 'evaluations that were no better after which a lane stops; 0: never'),
    keep=_key(
      'last', _one_of('last', 'best'), "'best': the parameters of the best evaluation count"
    ),
  ),
  program=dict(
    width=_key(0, _count, 'lanes in one program; 0: as many as are fastest and fit'),
    memory_gib=_key(0.0, _gib, 'of a device; 0 for four fifths of what is free'),
    resident_gib=_key(2.0, _gib, 'a larger training set stays on the host and is fed from there'),
    compute_dtype=_key(
      'float32',
      _one_of('float32', 'bfloat16'),
      "of the networks; 'bfloat16' is for a GPU or TPU",
    ),
  ),
  evaluation=dict(
    train_images=_key(1000, _count, 'of the training set; 0 takes all'),
    validation_images=_key(1000, _count, 'of the validation set; 0 takes all'),
    test_images=_key(1000, _count, 'of the test set; 0 takes all'),
    batch_size=_key(1000, _positive, 'images x samples that a lane decodes at a time'),
    nll_samples=_key(100, _positive, 'importance samples of an image'),
    nll_images=_key(1000, _count, 'of the test set, and of the validation set, for the NLL'),
    aggregate_images=_key(1000, _count, 'that share one aggregate posterior q(z)'),
    mixture_components=_key(
      10,
      checks.whole(0, 1000),
      'Gaussians of a mixture that is fitted to the codes of a lane, for better samples; 0: none',
    ),
    factor_images=_key(1000, _count, 'whose codes are scored, on known factors and between seeds'),
    betas=_key(
      (), _betas, "of curve.csv, where bound.name='multi_rate'; () for 13 over all that it trains"
    ),
  ),
  # Of each launch of a sweep; what an engine is asked for.
  resources=dict(
    cpus=_key(0, _count, 'cores; 0: what the engine gives'),
    gpus=_key(0, _count, 'GPUs; 0: what the engine gives'),
    memory_gib=_key(0.0, _gib, 'of the host; 0: what the engine gives'),
    minutes=_key(0, _count, 'after which a batch system ends it; 0: the limit of the system'),
    options=_key((), checks.tuple_of(_text), "of the batch system, such as '--partition=gpu'"),
  ),
  wandb=dict(
    mode=_key('disabled', _one_of('online', 'offline', 'disabled'), 'of Weights & Biases'),
    entity=_key('', checks.text(empty=True, **_slug), 'a user or a team'),
    project=_key('vae_jax', checks.text(empty=False, **_slug), 'its project'),
    tags=_key((), checks.tuple_of(checks.text(empty=False, longest=64)), 'of its runs'),
    images_every=_key(0, _count, 'evaluations between pictures of each lane; 0: at the end alone'),
    lanes=_key(
      'all',
      _lanes,
      "that have a W&B run: so many, spread evenly, or 'best', one at the end",
      object,
    ),
    most_lanes=_key(
      500, _count, "with lanes='all': so many at most, spread evenly, and the best; 0: no limit"
    ),
  ),
)


def base() -> config_dict.ConfigDict:
  """Returns the page at its values; `study`, `data.name` and what is trained are for a study."""
  return config_dict.ConfigDict(_values(PAGE, typed=True))


def _values(tree: Any, typed: bool = False) -> Any:
  if isinstance(tree, Setting) and typed and tree.kind:
    return config_dict.FieldReference(tree.default, field_type=tree.kind)
  if isinstance(tree, Setting):
    return tree.default
  if isinstance(tree, dict):
    return {name: _values(below, typed) for name, below in tree.items()}
  return tree


def complete(config: Mapping[str, Any]) -> dict[str, Any]:
  """Returns a config, as nested plain values, with exactly the keys of the parts that it names.

  What it is older than has its value of the page, or of the signature of its part. A key that this
  version does not have is left in it, for `validation.check` to refuse; a section that is no
  mapping, too.

  Raises:
    InputError: it is no config at all.
  """
  config = plain(config)
  if not isinstance(config, Mapping):
    raise errors.InputError(
      f'the config is {errors.shown(config)}; give a ConfigDict, or a dict of its sections'
    )
  defaults = _values(PAGE)
  given = {section: config.get(section, default) for section, default in defaults.items()}
  return {
    **{section: _completed(section, value, defaults[section]) for section, value in given.items()},
    **{key: value for key, value in config.items() if key not in defaults},
  }


def _completed(section: str, value: Any, default: Any) -> Any:
  if not isinstance(value, Mapping) or not isinstance(default, Mapping):
    return value
  if section in parts.SECTIONS:
    return parts.complete(section, value, default)
  return {**default, **value}


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
