"""What absl sees of sys.argv, which it reads wherever it likes."""

import contextlib
import re
import sys
from collections.abc import Iterator, Sequence

from absl import flags
from absl import logging as absl_logging


@contextlib.contextmanager
def seen_by_absl(argv: Sequence[str]) -> Iterator[None]:
  """Shows these words alone to who reads sys.argv, and keeps absl from lines of its own."""
  logger, words_given = absl_logging.get_absl_logger(), sys.argv[:]
  logger.disabled = True
  sys.argv[:] = argv
  try:
    yield
  finally:
    logger.disabled = False
    sys.argv[:] = words_given


def define_config(own: flags.FlagValues) -> None:
  """Defines --config, without the flag files that ml_collections reads as soon as it does."""
  from ml_collections import config_flags  # not every command needs it

  with seen_by_absl([word for word in sys.argv if not re.match('--?flagfile', word)]):
    config_flags.DEFINE_config_file('config', None, 'The study.', own, lock_config=True)
