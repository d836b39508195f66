"""Numbers and lists as a sentence has them, and plain values as JSON has them."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

_MOST = 5  # items that a sentence names


def nats(value: float, stderr: float, sign: bool = False) -> str:
  """Returns a value with its standard error, to two digits of that: '99.17 ± 0.62'.

  Args:
    value: in nats.
    stderr: NaN where it is not known.
    sign: whether a plus sign is written.
  """
  known = math.isfinite(stderr) and stderr > 0
  digits = min(6, max(2, 1 - math.floor(math.log10(stderr)))) if known else 2
  error = f' ± {stderr:.{digits}f}' if math.isfinite(stderr) else ''
  return f'{value:{"+" if sign else ""}.{digits}f}{error}'


def listed(items: Sequence[str], between: str = ', ') -> str:
  """Returns the first items, and how many more there are."""
  more = f' and {len(items) - _MOST} more' if len(items) > _MOST else ''
  return between.join(items[:_MOST]) + more


def counted(number: int, what: str) -> str:
  """Returns a number of things: '1 image', '1,000 images', '2 launches'."""
  ending = '' if number == 1 else 'es' if what.endswith('ch') else 's'
  return f'{number:,} {what}{ending}'


def plain(value: Any) -> Any:
  """Returns mappings, sequences and numbers as JSON has them: what is not finite is None."""
  if isinstance(value, Mapping):
    return {name: plain(below) for name, below in value.items()}
  if isinstance(value, (list, tuple)):
    return [plain(below) for below in value]
  return None if isinstance(value, float) and not math.isfinite(value) else value
