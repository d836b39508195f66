"""model.json: what a trained model must know of its data, so that it is rebuilt without them."""

import base64
import json
import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from vae_jax import data, densities, errors, objectives, study
from vae_jax.records import manifest

NAME = 'model.json'


class Facts(NamedTuple):
  """What the data decide about a model, and how images become what it sees.

  Attributes:
    event: the shape of one example.
    num_train: the examples of the training split.
    sha256: of the data, as in provenance.json.
    stored_support: of the values as they are stored; see `data.Dataset`.
    white: the level of uint8 that is white.
    support: of the values that the likelihood is over.
    scale: the model sees fixed values / scale.
    range: the values of x that pictures show as black and as white.
    standard: shift and spread of x, [*event]; None where encoder and likelihood see x itself.
    smallest_batch, largest_batch: how many examples of a batch the objective can compare.
    conditions: what the model is conditioned on; see `data.Dataset`.
    mean_size: the size of an example whose size factor is 1.
    has_missing: whether values of x may be NaN.
    columns: of a table; see `data.Dataset`.
  """

  event: tuple[int, ...]
  num_train: int
  sha256: str
  stored_support: str
  white: float
  support: str
  scale: float
  range: tuple[float, float]
  standard: data.Standard | None
  smallest_batch: int
  largest_batch: int | None
  conditions: tuple[data.Condition, ...] = ()
  mean_size: float = 1.0
  has_missing: bool = False
  columns: tuple[densities.Column, ...] = ()

  @property
  def fitted(self) -> data.Fitted:
    """What the training split has decided of how examples are seen."""
    return data.Fitted(self.standard, self.conditions, self.mean_size)

  def stand_in(self) -> data.Dataset:
    """Returns a data set of one black image, of which the same model is built as of the data.

    The biases that the training mean sets are another's: they matter at initialisation alone.
    """
    black = np.zeros((1, *self.event), np.float32)
    return data.Dataset(
      name='model.json',
      version='',
      sha256=self.sha256,
      support=self.support,
      train=black,
      validation=black[:0],
      test=black,
      train_fixed=black,
      scale=self.scale,
      dynamic=False,
      factors=None,
      range=self.range,
      levels=None,
      standard=self.standard,
      stored_support=self.stored_support,
      white=self.white,
      conditions=self.conditions,
      mean_size=self.mean_size,
      has_missing=self.has_missing,
      columns=self.columns,
    )


def facts_of(dataset: data.Dataset, objective: objectives.Objective) -> Facts:
  """Returns what model.json holds of a data set and of what is trained on it."""
  return Facts(
    event=tuple(dataset.train.shape[1:]),
    num_train=len(dataset.train),
    sha256=dataset.sha256,
    stored_support=dataset.stored_support,
    white=float(dataset.white),
    support=dataset.support,
    scale=float(dataset.fixed_scale),
    range=tuple(map(float, dataset.range)),
    standard=dataset.standard,
    smallest_batch=objective.smallest_batch,
    largest_batch=objective.largest_batch,
    conditions=dataset.conditions,
    mean_size=dataset.mean_size,
    has_missing=dataset.has_missing,
    columns=dataset.columns,
  )


def write(directory: pathlib.Path, built: study.Study) -> None:
  """Writes model.json, atomically; what stands there already, and is the same, stays."""
  facts = facts_of(built.dataset, built.training.learner.estimator.objective)
  text = json.dumps(_plain(facts), indent=1) + '\n'
  path = directory / NAME
  if not path.exists() or path.read_text(encoding='utf-8') != text:
    manifest.write_text(path, text)


def read(directory: pathlib.Path) -> Facts | None:
  """Returns what model.json holds; None in a run that is older than it.

  Raises:
    DamagedError: it is not what was written.
  """
  path = directory / NAME
  if not path.exists() and NAME not in manifest.read(directory):
    return None
  try:
    manifest.verify(path)
    return _facts(json.loads(path.read_text(encoding='utf-8')))
  except (errors.DamagedError, ValueError, KeyError, TypeError, FileNotFoundError) as error:
    what = manifest.CHANGED if path.exists() else manifest.MISSING
    raise errors.DamagedError(
      f'{path} {what}; vae-jax evaluate --workdir={directory} makes it again from the data'
    ) from error


def _plain(facts: Facts) -> dict[str, Any]:
  found = facts._asdict()
  for name in ('conditions', 'columns'):
    found[name] = [each._asdict() for each in found[name]]
  if facts.standard is not None:
    found['standard'] = {name: _text(array) for name, array in facts.standard._asdict().items()}
  return found


def _facts(stored: Mapping[str, Any]) -> Facts:
  event, standard = tuple(stored['event']), stored['standard']
  if standard is not None:
    standard = data.Standard(**{name: _array(text, event) for name, text in standard.items()})
  later = Facts._field_defaults  # of a run that is older than them
  found = {name: stored[name] for name in Facts._fields if name in stored or name not in later}
  conditions = (
    data.Condition(**each | {'classes': tuple(each['classes'])})
    for each in stored.get('conditions', ())
  )
  columns = (
    densities.Column(each['name'], tuple(each['categories'])) for each in stored.get('columns', ())
  )
  made = {
    'event': event,
    'range': tuple(stored['range']),
    'standard': standard,
    'conditions': tuple(conditions),
    'columns': tuple(columns),
  }
  return Facts(**found | made)


def _text(array: np.ndarray) -> str:
  """Returns little-endian float32 in base64: exact, and of many pixels half as long as decimals."""
  return base64.b64encode(np.asarray(array, '<f4').tobytes()).decode()


def _array(text: str, event: tuple[int, ...]) -> np.ndarray:
  return np.frombuffer(base64.b64decode(text), '<f4').reshape(event).astype(np.float32)
