"""The ways in which a run can be refused or stopped, one class each.

The library raises them; `commands` turns each into lines on stderr and the exit code named here.
"""

import difflib
import re
import reprlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

_MOST_PROBLEMS = 20  # that a message says; the rest is counted
_LONGEST_VALUE = 60  # characters of a value in a message
_LONGEST_LINE = 2000  # characters of a problem, whatever is in it

Item = TypeVar('Item')
Result = TypeVar('Result')


class InputError(ValueError):
  """Bad input: each problem is a line with the key, the value and the nearest valid one.

  Exit code 2. `problems` has them all, the message the first 20.
  """

  exit_code = 2

  def __init__(self, *problems: str):
    self.problems = [_one_line(problem) for problem in problems]
    more = len(problems) - _MOST_PROBLEMS
    rest = [f'and {more} more'] if more > 0 else []
    super().__init__('\n'.join(self.problems[:_MOST_PROBLEMS] + rest))


def _one_line(text: str) -> str:
  """Returns a text as one line in which no word, such as a value given by mistake, has no end."""
  line = ' '.join(map(str.strip, text.splitlines()))
  line = re.sub(r'\S{300,}', lambda word: f'{word[0][:60]}...{word[0][-60:]}', line)
  return line if len(line) <= _LONGEST_LINE else f'{line[:_LONGEST_LINE]}...'


class DamagedError(Exception):
  """Stored bytes fail their check (a checkpoint, a data file). Exit code 4."""

  exit_code = 4


class InUseError(Exception):
  """Another process holds the directory. Exit code 5."""

  exit_code = 5


class StorageError(OSError):
  """No space left, or the place cannot be written. Exit code 6."""

  exit_code = 6


class Stopped(Exception):  # noqa: N818 (a request that was granted, not an error)
  """Stopped by a signal, with the state saved. Exit code 128 + signal: 130 Ctrl-C, 143 SIGTERM."""

  def __init__(self, signal_number: int, message: str):
    super().__init__(message)
    self.exit_code = 128 + signal_number


class Problems:
  """All that is wrong with one input, collected so that it is refused once.

    problems = errors.Problems()
    points = problems.attempt(points_of, config, needs=('lanes', 'bound'))
    dataset = problems.attempt(lambda: data.load(**config['data']), needs=('data',))
    problems.refuse()

  Attributes:
    lines: one for each problem.
    keys: whose own value is wrong, as `section.key`: what needs one of them is not asked.
  """

  def __init__(self):
    self.lines: list[str] = []
    self.keys: set[str] = set()

  def attempt(
    self,
    check: Callable[..., Result],
    *arguments: Any,
    needs: Sequence[str] = (),
    key: str = '',
  ) -> Result | None:
    """Returns what `check` returns, or None where it refuses or a key that it needs is wrong.

    Args:
      check: raises InputError, of one problem or several.
      arguments: of `check`.
      needs: the keys, or whole sections, that it reads.
      key: that is wrong where it refuses.
    """
    if any(key == need or key.startswith(f'{need}.') for key in self.keys for need in needs):
      return None
    try:
      return check(*arguments)
    except InputError as error:
      self.add(error.problems)
      if key:
        self.keys.add(key)
      return None

  def add(self, lines: Iterable[str]) -> None:
    """Adds problems; one that is known already is not said again."""
    self.lines = list(dict.fromkeys([*self.lines, *lines]))

  def refuse(self) -> None:
    """Raises InputError of all problems, if there are any."""
    if self.lines:
      raise InputError(*self.lines)


def each(check: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
  """Returns `check(item)` for each item.

  Raises:
    InputError: all that is wrong with any of them.
  """
  problems = Problems()
  results = [problems.attempt(check, item) for item in items]
  problems.refuse()
  return results


def shown(value: Any) -> str:
  """Returns a value as a message shows it: one line of some 60 characters at most."""
  try:
    text = _SHORT.repr(value)
  except ValueError:  # Python refuses to write an integer of thousands of digits
    text = f'{type(value).__name__} of thousands of digits'
  text = ' '.join(text.split())
  half = (_LONGEST_VALUE - 3) // 2
  return text if len(text) <= _LONGEST_VALUE else f'{text[:half]}...{text[-half:]}'


_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = _LONGEST_VALUE
_SHORT.maxtuple = _SHORT.maxlist = _SHORT.maxdict = _LONGEST_VALUE // 2


def nearest(value: str, options: Iterable[str]) -> str:
  """Returns the end of a message, "; did you mean 'x'?", or nothing where no option is near."""
  close = closest(value, options)
  return '' if close is None else f'; did you mean {close!r}?'


def closest(value: str, options: Iterable[str]) -> str | None:
  """Returns the option that is nearest to a value; None where none is near."""
  return next(iter(difflib.get_close_matches(value.lower(), options, n=1)), None)
