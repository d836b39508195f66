"""What --print_config prints."""

from collections.abc import Mapping
from typing import Any

from vae_jax import config as settings
from vae_jax import study, validation


def show_config(config: Mapping[str, Any]) -> None:
  """Prints every key of a config with its value, as Python writes it.

  Each line is a flag, --config.SECTION.KEY=VALUE, that leaves the config as it is.

  Raises:
    InputError: all that is wrong with the config by itself; the data are not looked at.
  """
  whole = settings.complete(config)
  validation.check(whole)
  study.points_of(whole)
  for section, below in whole.items():
    keys = {section: below}
    if isinstance(below, Mapping):
      keys = {f'{section}.{key}': value for key, value in below.items()}
    for key, value in keys.items():
      print(f'{key} = {value!r}')
