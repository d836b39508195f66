"""Which of several processes a training is: by its flags, or by what started it."""

import re

from absl import flags

from vae_jax import errors, multihost


def process_of(given: flags.FlagValues) -> multihost.Found | None:
  """Returns which of several processes this is, None of one alone.

  Raises:
    InputError: a flag is missing beside the others, or out of range.
  """
  values = {name: given[name].value for name in ('coordinator', 'processes', 'process')}
  missing = [name for name, value in values.items() if value is None]
  if len(missing) == len(values):
    return None
  if given.processes == 'auto':
    if given.process is not None:
      raise errors.InputError(f'--process={given.process}: --processes=auto says it; leave it out')
    found = multihost.found()
    found = found._replace(coordinator=given.coordinator or found.coordinator)
    if found.count == 1:
      return None
    if not found.coordinator:
      raise errors.InputError(
        f'--coordinator is missing; {found.launcher} does not say where process 0 is'
      )
  elif missing:
    raise errors.InputError(
      f'--{missing[0]} is missing; --coordinator, --processes and --process go together'
    )
  else:
    count = _number('processes', given.processes, 1, None)
    index = _number('process', given.process, 0, count - 1)
    found = multihost.Found('the command line', given.coordinator, count, index)
  match = re.fullmatch(r'.+:(\d+)', found.coordinator)
  if not match or not 0 < int(match.group(1)) < 2**16:
    raise errors.InputError(
      f'--coordinator={found.coordinator} is not HOST:PORT; give one such as localhost:12345'
    )
  if not given.wait_seconds >= 0:  # NaN is neither more nor less
    raise errors.InputError(f'--wait_seconds={given.wait_seconds} is no time; give 0 or more')
  return found


def _number(name: str, value: int | str, low: int, high: int | None) -> int:
  """Returns the number that a flag has, within its range."""
  if isinstance(value, str) and not re.fullmatch(r'-?\d+', value.strip()):
    raise errors.InputError(
      f"--{name}={errors.shown(value)[1:-1]} is no number; give one, or 'auto'"
    )
  number = int(value)
  nearest = max(low, number if high is None else min(number, high))
  if number != nearest:
    limit = f'at least {low}' if high is None else f'between {low} and {high}'
    raise errors.InputError(
      f'--{name}={number} is not {limit}; the nearest valid value is {nearest}'
    )
  return number
