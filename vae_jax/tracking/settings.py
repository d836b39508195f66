"""Where the copy in W&B goes."""

from typing import NamedTuple


class Settings(NamedTuple):
  """Where the W&B runs go.

  Attributes:
    mode: 'online', 'offline' (upload later with `vae-jax upload`) or 'disabled'.
    entity: the W&B user or team; '' is the account's default.
    project: the W&B project.
    tags: tags of every run, beside the data set and the likelihood.
    images_every: evaluations between two pictures of a lane; 0 for those at the end alone.
    lanes: that have a run of their own: 'all'; so many; or 'best', one at the end.
    most_lanes: that have one where `lanes` is 'all', and the best one at the end; 0 for no limit.
  """

  mode: str
  entity: str
  project: str
  tags: tuple[str, ...]
  images_every: int
  lanes: str | int = 'all'
  most_lanes: int = 500
