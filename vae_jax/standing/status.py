"""What is known of a run that is looked at from outside."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from vae_jax import files
from vae_jax.records import schemas
from vae_jax.standing.elbos import Elbo

STATUSES = (*schemas.STATUSES, 'waiting')  # of lanes; the last of those that have no row yet


class Figures(NamedTuple):
  """The newest ELBOs of the lanes, as `elbo_of` takes them."""

  metrics: Mapping[str, Sequence[float | None]]
  reasons: Sequence[str | None]
  names: Sequence[str]
  split: str


class Status(NamedTuple):
  """Where a run stands; `schemas.STATUS` says what each field is, None where it is not known."""

  workdir: str
  state: str
  step: int
  steps: int | None
  lanes: Mapping[str, int]
  elbo: Elbo | None
  seconds: float | None
  steps_per_second: float | None
  seconds_left: float | None
  checkpoint: int | None
  row_age: float | None
  holder: files.Holder | None
  report: str | None
  notes: Sequence[str]
  figures: Figures | None = None
  extension: 'Status | None' = None
  shares: Sequence['Status'] = ()
  launches: Mapping[str, int] | None = None

  @property
  def num_lanes(self) -> int:
    """All of them, whatever their status."""
    return sum(self.lanes.values())

  def as_record(self) -> dict[str, Any]:
    """Returns it as plain values, by the names of `schemas.STATUS`."""
    found = self._asdict()
    del found['figures']
    elbo, holder = self.elbo, self.holder
    return found | {
      'lanes': {'total': self.num_lanes, **self.lanes},
      'elbo': elbo and {name: getattr(elbo, name) for name in ('split', 'best', 'median', 'name')},
      'holder': holder and {'process': holder.process, 'host': holder.host},
      'extension': self.extension and self.extension.as_record(),
      'shares': [share.as_record() for share in self.shares],
    }
