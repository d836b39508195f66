"""What a study has come to, for its own run in W&B."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple


class Results(NamedTuple):
  """What the run of a study shows.

  Attributes:
    verdict: what verdict.json holds; {} where there is none.
    pictures: the files of figures.
    report: report.html; None where it could not be made.
  """

  verdict: Mapping[str, Any]
  pictures: Sequence[pathlib.Path]
  report: pathlib.Path | None
