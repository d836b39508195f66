"""What a config means: the pieces that train, evaluate and report."""

import hashlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from vae_jax import data, evaluation, flops, lanes, networks, placement, programs, tracking
from vae_jax.study.foresight import Foresight
from vae_jax.study.settings import EvaluationSettings, ProgramSettings, TrainSettings

# The splits whose images each of these settings of the evaluation counts.
COUNTED = {
  'train_images': ('train',),
  'validation_images': ('validation',),
  'test_images': ('test',),
  'nll_images': ('test', 'validation'),
  'aggregate_images': ('test', 'train'),
  'factor_images': ('test',),
}
_NUM_BETAS = 13  # of a curve over all that a bound trains


class Study(NamedTuple):
  """What a config means."""

  name: str
  points: list[lanes.Point]
  names: list[str]  # of the lanes
  lanes: lanes.Lane  # [G]
  dataset: data.Dataset
  model: networks.Model
  training: programs.Training
  lower_size: int  # of the lower of two layers of latents; 0 for one layer
  kl: str  # 'analytic' or 'sampled': how the rate is estimated
  is_density: bool  # whether the likelihood is one: else there is no NLL
  train: TrainSettings
  evaluation: EvaluationSettings
  program: ProgramSettings
  wandb: tracking.Settings
  foresight: Foresight
  is_settled: Callable[[lanes.Point, int], bool]  # whether a step weighs as all later ones do

  @property
  def event(self) -> tuple[int, ...]:
    """The shape of one example."""
    return self.dataset.train.shape[1:]

  @property
  def place(self) -> placement.Placement:
    """Where the lanes are computed."""
    return self.training.placement

  @property
  def num_samples(self) -> int:
    """L."""
    return self.training.learner.num_samples

  @property
  def betas(self) -> list[float]:
    """Where the lanes are evaluated beside their own beta; none of lanes trained for one beta."""
    beta_range = self.model.beta_range
    if not beta_range:
      return []
    return list(self.evaluation.betas) or np.geomspace(*beta_range, _NUM_BETAS).tolist()

  @property
  def chosen_on(self) -> str:
    """The split by which all choosing goes: 'validation', or 'test' where there is none."""
    return self.dataset.chosen_on

  def sample(self, split: str, count: int) -> np.ndarray:
    """Returns the indices of the images of a split that are evaluated; 0 takes all.

    Args:
      split: 'train', 'validation' or 'test'.
      count: how many are asked for.
    """
    return data.subset(len(self.dataset.split(split)), count, self.training.schedule.seed)

  def batches(self, split: str) -> evaluation.Batches:
    """Returns the images of a split that are evaluated, in batches."""
    objective, settings = self.training.learner.estimator.objective, self.evaluation
    chosen = self.sample(split, settings.images(split))
    images, beside = self.dataset.split(split)[chosen], self.dataset.beside_of(split, chosen)
    # L samples are decoded per image: so many images at a time keep the memory at `batch_size`.
    wanted = settings.batch_size // self.num_samples
    limits = objective.smallest_batch, objective.largest_batch
    size = evaluation.fitting_size(len(images), wanted, *limits)
    return evaluation.cut(images, size, beside)

  def sampling(self) -> dict[str, Any]:
    """Returns which images the evaluation takes: seed, counts, sha256 of the indices.

    The sha256 is that of the indices as little-endian int64.
    """
    record: dict[str, Any] = {'seed': self.training.schedule.seed}
    for key, split in counted(self.dataset):
      chosen = self.sample(split, getattr(self.evaluation, key))
      digest = hashlib.sha256(chosen.astype('<i8')).hexdigest()
      size = len(self.dataset.split(split))
      name = key if split == COUNTED[key][0] else f'{split}/{key}'
      record[name] = {'split': split, 'count': len(chosen), 'of': size, 'sha256': digest}
    return record

  def at_width(self, width: int, devices: Sequence[jax.Device] | None = None) -> 'Study':
    """Returns the same study in programs of `width` lanes, or as many as the devices make of it.

    Args:
      width: lanes of one program.
      devices: that compute them; None for those of this process.
    """
    place = placement.of_width(width, self.training.schedule.batch_size, devices)
    return self._replace(training=self.training._replace(placement=place))

  def only(self, chosen: Sequence[int]) -> 'Study':
    """Returns the study of some of its lanes, as they are beside the others: padded as there."""
    return self._replace(
      points=[self.points[i] for i in chosen],
      names=[self.names[i] for i in chosen],
      lanes=jax.tree.map(lambda leaf: leaf[np.array(chosen, int)], self.lanes),
    )

  def feed(self) -> data.Feed:
    """Returns what the training program reads."""
    make = data.resident if self._is_resident else data.streamed
    schedule, beside = self.training.schedule, self.dataset.beside_of('train')
    return make(self.dataset.train, schedule, self.place.everywhere, beside)

  @property
  def rows(self) -> data.Rows:
    """The shapes of what the training program reads: those of `feed`, before anything is placed."""
    schedule = self.training.schedule
    streamed = schedule.chunk_steps * schedule.batch_size
    count = len(self.dataset.train) if self._is_resident else streamed
    return jax.tree.map(
      lambda leaf: jax.ShapeDtypeStruct((count, *leaf.shape[1:]), leaf.dtype),
      data.Rows(self.dataset.train, self.dataset.beside_of('train')),
    )

  def operations_of_step(self, platform: str = 'cpu') -> int:
    """Returns the operations of a training step of one lane; see `flops.count`."""
    learner, size = self.training.learner, self.training.schedule.batch_size

    def shape(leaf: Any, *leading: int) -> jax.ShapeDtypeStruct:
      return jax.ShapeDtypeStruct((*leading, *leaf.shape[1:]), leaf.dtype)

    lane = jax.tree.map(shape, self.lanes)
    state = jax.eval_shape(learner.init, lane)
    noise = jax.eval_shape(lambda lane: learner.draw(lane, size, np.int32(0)), lane)
    x = jax.ShapeDtypeStruct((size, *self.event), np.float32)
    known = jax.tree.map(lambda leaf: shape(leaf, size), self.rows.beside)
    inputs = state, lane, x, noise, np.int32(0), known
    return flops.count(learner.step, *inputs, platform=platform)

  @property
  def _is_resident(self) -> bool:
    """Whether the training set lies on the devices, whole."""
    # The cores of a CPU hold a copy each in the same memory.
    copies = self.place.mesh.size if self.place.is_cpu else 1
    return copies * self.dataset.train.nbytes <= self.program.resident_gib * 2**30


def counted(dataset: data.Dataset) -> list[tuple[str, str]]:
  """Returns the settings that count images, each with a split of which there are some."""
  pairs = [(key, split) for key, splits in COUNTED.items() for split in splits]
  return [(key, split) for key, split in pairs if len(dataset.split(split))]
