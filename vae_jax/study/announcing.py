"""What is said of the data at the start of a run: a line a split, and what looks like a mistake."""

import logging
import math
from collections.abc import Iterator, Mapping
from typing import Any

from vae_jax import config as settings
from vae_jax import data, parts, validation
from vae_jax.study import fitting

_BINARIZED = {
  'dynamic': 'binary, drawn anew at each step',
  'static': 'binary, drawn once',
  'threshold': 'binary, cut at one half',
}


def announce(
  built: validation.Built, stored: data.Stored, dataset: data.Dataset, is_trained: bool
) -> None:
  """Logs what the splits look like, and warns of what is odd about them under this config.

  Of data that are not trained on it is no matter that the splits have examples in common.
  """
  config, likelihood = built.config, built.likelihood
  splits = data.describe(stored)
  seen_as = _BINARIZED.get(config['data']['binarize'], dataset.support)
  if dataset.standard is not None:
    seen_as = f'standardised, {config["data"]["standardize"]}; figures are of the values as stored'
  for split in splits:
    logging.info('%s', data.line(split, stored, seen_as if split.name == 'train' else ''))
  compared = splits if is_trained else splits[:1]
  oddities = *data.oddities(stored, *compared), *_under(config, stored, dataset)
  for oddity in (*oddities, *_of_the_page(config)):
    logging.warning('%s', oddity)
  if likelihood.lost_on_unit is not None and dataset.support == 'unit':
    logging.info('%s', _beyond_unit(likelihood.lost_on_unit, math.prod(stored.event)))


def _under(config: Mapping[str, Any], stored: data.Stored, dataset: data.Dataset) -> Iterator[str]:
  """Says what is odd about the values under the settings of a config."""
  settings = config['data']
  if settings['binarize'] != 'none' and (what := _no_binary(stored)):
    yield (
      f'data.binarize={settings["binarize"]!r} makes 0 and 1 of {what}; to model the values, set '
      + _photographs(stored)
    )
  if stored.kind == 'image' and len(stored.event) == 3 and (shown := _shown(stored.event[-1])):
    yield shown
  if fitting.looks_channels_first(stored):
    yield f'images of height {stored.event[0]}, as declared: channels come last'
  far = dataset.support == 'real' and dataset.standard is None
  if far and fitting.is_far_from_standard(stored):
    low, high = data.extremes([stored.train])
    mode = 'per_pixel' if len(stored.event) == 1 else 'all'
    yield (
      f'values from {low:.6g} to {high:.6g} are far from the size 1 that networks and likelihood '
      f'begin at: the training may diverge or stand still; set data.standardize={mode!r}'
    )


def _of_the_page(config: Mapping[str, Any]) -> Iterator[str]:
  """Says which keys of an own part have a value that the page means for a built-in one.

  `config.optimizer.update(name='optax:lion')` keeps Adam's b2, and nothing tells it from one that
  was meant; `config.optimizer = dict(name='optax:lion')` begins anew.
  """
  page = settings.base().to_dict()
  for section in parts.SECTIONS:
    name = config[section]['name']
    if not parts.is_from_outside(name):
      continue
    for key, parameter in parts.parameters(section, name).items():
      value, default = config[section][key], parameter.default
      if key in page[section] and value == page[section][key] and value != default:
        own = '' if default is parts.REQUIRED else f', whose own is {default!r}'
        yield (
          f'{section}.{key}={value!r} is the value of {section}.name={page[section]["name"]!r}; it '
          f'is taken for {name!r}{own}'
        )


def _no_binary(stored: data.Stored) -> str:
  if data.is_colour(stored):
    return 'colours'
  grey = data.greyness(stored)
  return f'greys (mean 4x(1-x) = {grey:.2f})' if grey > data.GREY else ''


def _photographs(stored: data.Stored) -> str:
  """Returns the settings for images whose values count."""
  if data.are_bytes(stored):
    return (
      "data.binarize='none', data.scale_to_unit=False, likelihood.name='discretized_logistic', "
      'likelihood.initial_scale=0.25'
    )
  return "data.binarize='none', likelihood.name='continuous_bernoulli'"


def _shown(channels: int) -> str:
  if channels in (1, 3):
    return ''
  part = 'the first three as colours, without the fourth' if channels == 4 else 'the first alone'
  return f'images of {channels} channels: pictures show {part}'


def _beyond_unit(lost: float, size: int) -> str:
  """Says that a density on the line is none on [0, 1], and what that is worth at the least."""
  least = f' (of {size * lost:,.0f} nats at least)' if lost else ''
  return (
    f'the likelihood is a density on the line, and a part of it{least} lies outside of [0, 1]: '
    'compare its figures with no likelihood on [0, 1], such as the continuous Bernoulli'
  )
