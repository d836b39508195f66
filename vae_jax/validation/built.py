"""The parts of a config, each built where it is asked for, of what is known by then.

Rules read what a part can at the part itself: which fields of a lane an objective has, whether a
posterior factorises. A part that asks for what the data decide can be built only where they are
known.
"""

import functools
from collections.abc import Collection, Mapping
from typing import Any

from vae_jax import densities, errors, networks, objectives, parts

_KINDS: Mapping[str, type] = {
  'likelihood': densities.Likelihood,
  'posterior': networks.PosteriorNetwork,
  'prior': networks.PriorNetwork,
  'bound': objectives.Objective,
}

# The network whose style the networks of the latents share, and the style of one that has none.
_BESIDE = {'posterior': 'encoder', 'prior': 'decoder'}
_STYLES = {'kernel_init': (networks.INITS, 'lecun'), 'activation': (networks.ACTIVATIONS, 'relu')}


class UnknownError(Exception):
  """What is asked for is not known: a key is wrong by itself, or the data could not be read."""


class Built:
  """The parts of a config.

  Args:
    config: nested mappings.
    wrong: keys whose own value is wrong, as `section.key`; a part with one of them is not built.
    **given: what the data decide: event, support, num_examples.
  """

  def __init__(self, config: Mapping[str, Any], wrong: Collection[str] = (), **given: Any):
    self.config = config
    self._wrong = wrong
    self._given = given

  def knowing(self, **given: Any) -> 'Built':
    """Returns the same with more that is known."""
    return Built(self.config, self._wrong, **self._given, **given)

  def given(self, name: str) -> Any:
    """Returns what the data decide; raises UnknownError where they could not be read."""
    if name not in self._given:
      raise UnknownError(name)
    return self._given[name]

  def value(self, key: str) -> Any:
    """Returns the value of `section.key`; raises UnknownError where it is wrong."""
    if key in self._wrong:
      raise UnknownError(key)
    section, _, name = key.partition('.')
    return self.config[section][name]

  def knows(self, section: str) -> bool:
    """Tells whether the name of a part is known."""
    return f'{section}.name' not in self._wrong

  def name(self, section: str) -> str:
    """Returns the name of a part; raises UnknownError where it is wrong."""
    return self.value(f'{section}.name')

  def asks_for(self, section: str, key: str) -> bool:
    """Tells whether a part is given something by name."""
    return key in parts.asked(section, self.name(section))

  @functools.cached_property
  def likelihood(self) -> densities.Likelihood:
    return self.part('likelihood')

  @functools.cached_property
  def posterior(self) -> networks.PosteriorNetwork:
    return self.part('posterior')

  @functools.cached_property
  def prior(self) -> networks.PriorNetwork:
    return self.part('prior')

  @functools.cached_property
  def bound(self) -> objectives.Objective:
    return self.part('bound')

  def part(self, section: str, **given: Any) -> Any:
    """Returns the part of a section.

    Raises:
      UnknownError: it needs what is not known.
      InputError: its constructor refuses, or makes something else.
    """
    settings, name = self.config[section], self.name(section)
    if any(f'{section}.{key}' in self._wrong for key in parts.parameters(section, name)):
      raise UnknownError(section)
    for key in parts.asked(section, name) - given.keys():
      given[key] = self._value(section, key)
    part = parts.build(section, settings, **given)
    kind = _KINDS.get(section, object)
    if not isinstance(part, kind):
      raise errors.InputError(
        f'{section}.name={name!r} makes {errors.shown(part)}; it makes a vae_jax.'
        f'{kind.__module__.split(".")[1]}.{kind.__name__}'
      )
    return part

  def _value(self, section: str, key: str) -> Any:
    """Returns what a part is given under a name."""
    if key in self._given:
      return self._given[key]
    if key == 'lower_size':
      return self.posterior.lower_size
    if key not in _STYLES:
      raise UnknownError(key)
    known, otherwise = _STYLES[key]
    beside = self.config[_BESIDE[section]]
    if not isinstance(beside, Mapping):
      raise UnknownError(_BESIDE[section])
    if key not in beside:
      return otherwise
    value = self.value(f'{_BESIDE[section]}.{key}')
    return value if value in known else otherwise
