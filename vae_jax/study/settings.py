"""The settings of the loop, the evaluation and the program, as their users read them."""

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar

Settings = TypeVar('Settings', bound=NamedTuple)


class TrainSettings(NamedTuple):
  """When a run ends, and when it logs, evaluates and saves, in steps; `config.train`."""

  steps: int
  log_every: int
  log_powers_of_two: bool  # at the steps 1, 2, 4, 8 ... too
  evaluate_every: int
  checkpoint_every: int
  patience: int  # evaluations that were no better after which a lane stops; 0: never
  keep: str  # 'last' or 'best': which parameters of a lane count


class EvaluationSettings(NamedTuple):
  """What is evaluated, on how many images; `config.evaluation`. 0 images are all."""

  train_images: int
  validation_images: int
  test_images: int
  batch_size: int  # images x samples that a lane decodes at a time
  nll_samples: int
  nll_images: int
  aggregate_images: int  # that share one aggregate posterior q(z)
  mixture_components: int  # of a mixture that is fitted to the codes; 0 for none
  factor_images: int  # whose codes are scored, where factors are known
  betas: tuple[float, ...]  # of curve.csv; () for `Study.betas` of the bound's own range

  def images(self, split: str) -> int:
    """Returns how many images of 'train', 'validation' or 'test' the averages are over."""
    return getattr(self, f'{split}_images')


class ProgramSettings(NamedTuple):
  """How wide and exact the programs are, and what memory they may take; of `config.program`."""

  width: int  # lanes of one program; 0 for as many as are fastest and fit
  compute_dtype: str  # of encoder and decoder
  memory_gib: float  # 0 for four fifths of what is free
  resident_gib: float  # of a training set that lies on the devices; a larger one is streamed


def unpacked(kind: type[Settings], section: Mapping[str, Any]) -> Settings:
  """Returns the settings of one kind out of a section of a config."""
  return kind(**{name: section[name] for name in kind._fields})
