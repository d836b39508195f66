"""Where the copy in W&B goes."""

from typing import NamedTuple


class Settings(NamedTuple):
  """Where the W&B runs go.

  Attributes:
    mode: 'online', 'offline' (upload later with `wandb sync`) or 'disabled'.
    entity: the W&B user or team; '' is the account's default.
    project: the W&B project.
    group: what the runs of one study share.
    tags: tags of every run.
  """

  mode: str
  entity: str
  project: str
  group: str
  tags: tuple[str, ...]
