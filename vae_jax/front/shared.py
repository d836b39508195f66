"""What all lanes of a run have in common."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from vae_jax.front import functions
from vae_jax.runs.model_file import Facts


class Shared(NamedTuple):
  """What all lanes of a run have in common.

  Attributes:
    facts: of the data.
    data: the section of the config.
    functions: of the model, compiled once.
    draw: (key, N, L, Z) -> the noise of an evaluation; see `learner`.
    batch_size: images x samples that are decoded at a time, `evaluation.batch_size`.
    lower_size: of the lower of two layers of latents; 0 for one.
    is_density: whether the likelihood is one.
    likelihood: its name.
    beta_range: the lowest and the highest beta of lanes that were trained for all; () for one.
  """

  facts: Facts
  data: Mapping[str, Any]
  functions: functions.Functions
  draw: Callable[..., Any]
  batch_size: int
  lower_size: int
  is_density: bool
  likelihood: str
  beta_range: Sequence[float]
