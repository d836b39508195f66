"""The data of an evaluation: those of its run, which may have moved, or others."""

import contextlib
import hashlib
import json
import logging
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from vae_jax import (
  data,
  densities,
  errors,
  evaluation,
  files,
  identity,
  parts,
  placement,
  programs,
  study,
)
from vae_jax.records import manifest
from vae_jax.runs import model_file, outcome, workdir


class Other(NamedTuple):
  """What an evaluation changes in the config of its run; None where it changes nothing."""

  num_samples: int | None = None  # of the NLL
  num_images: int | None = None  # of the NLL
  data_path: str | None = None  # an .npz file: the run's, which has moved, or another
  data_split: str | None = None  # of another: what is evaluated, in place of the run's splits

  @property
  def names_data(self) -> bool:
    """Whether the data may be others than the run's."""
    return self.data_path is not None or self.data_split is not None


def config_with(
  config: dict[str, Any], other: Other, columns: Sequence[densities.Column]
) -> dict[str, Any]:
  """Returns the config of a run with the changes of this evaluation."""
  asked = {'nll_samples': other.num_samples, 'nll_images': other.num_images}
  settings = config['evaluation'] | {k: v for k, v in asked.items() if v is not None}
  source = config['data']
  if other.data_path is not None:
    source = data.moved_to(source, other.data_path, columns)
  if other.data_split is not None:
    split = other.data_split
    source = source | {'train_split': split, 'validation_split': '', 'test_split': split}
    if '[' not in split:  # all examples, whatever their order: no column has to say it
      source['split_order'] = 'stored'
  return config | {'evaluation': settings, 'data': source}


def facts_of(directory: pathlib.Path) -> model_file.Facts | None:
  """Returns what model.json holds; None where there is none that can be read."""
  with contextlib.suppress(errors.DamagedError):  # it is written anew
    return model_file.read(directory)
  return None


def is_own(
  built: study.Study,
  config: Mapping[str, Any],
  directory: pathlib.Path,
  other: Other,
  fitted: data.Fitted | None,
) -> bool:
  """Returns whether a study has the data of its run.

  Args:
    built: of `config`.
    config: of `config_with`.
    directory: of the run.
    other: what was asked for.
    fitted: of the run, None where it is not known.

  Raises:
    InputError: the data differ from the run's without a request for that, or in their shape.
  """
  stored = workdir.read_provenance(directory)
  if built.dataset.sha256 == stored['data_sha256'] and other.data_split is None:
    return True
  where = identity.source(config['data'])
  if not other.names_data:
    raise errors.InputError(
      f'{where} has other data than --workdir={directory} was trained on (sha256 '
      f'{built.dataset.sha256}, and {stored["data_sha256"]}); give --data_path=FILE'
    )
  if fitted is None:  # the training split of the run decides these; model.json holds them
    keys = ('standardize', 'conditions', 'size_factor')
    for key in keys:
      if (value := config['data'][key]) not in ('', 'none', ()):
        raise errors.InputError(
          f'data.{key}={value!r} is fitted to the training split of --workdir={directory}, which '
          f'{where} does not have; evaluate the data of the run'
        )
  event = stored.get('event', list(built.event))
  if list(built.event) != event:
    raise errors.InputError(
      f'{where} has examples of shape {list(built.event)}, and --workdir={directory} '
      f'was trained on {event}; give data of that shape'
    )
  return False


def scaled(built: study.Study, progress: outcome.Progress) -> tuple[study.Study, outcome.Progress]:
  """Returns a study that fits no scale, and its progress with the scale of each lane as it was.

  A scale in closed form is fitted to the images of training, which other data do not have.

  Raises:
    InputError: the checkpoint is older than the first evaluation.
  """
  refit = built.model.refit
  if refit is None:
    return built, progress
  distortions = progress.evaluated.get('train/distortion')
  if distortions is None:
    raise errors.InputError(
      f"likelihood.scale='optimal' is fitted at each evaluation, and step {progress.step} has none "
      'yet; train on, or evaluate the data of the run'
    )
  params = jax.device_get(placement.joined(programs.params_of(outcome.that_counts(progress))))
  fitted = [
    evaluation.refitted_to(refit, placement.lane_of(params, lane), distortion)
    for lane, distortion in enumerate(distortions)
  ]
  best = jax.tree.map(lambda *leaves: np.stack(leaves), *fitted)
  return built._replace(model=built.model._replace(refit=None)), progress._replace(best=best)


def directory_of(
  directory: pathlib.Path, config: Mapping[str, Any], built: study.Study
) -> pathlib.Path:
  """Makes and returns the directory of figures of other data than the run's.

  Its name is that of the file, and what tells one content of it from another.
  """
  source, sha256 = config['data'], built.dataset.sha256
  chosen_on = [source['validation_split']] if source['validation_split'] else []
  splits = json.dumps([sha256, source['train_split'], source['test_split'], *chosen_on])
  digest = hashlib.sha256(splits.encode()).hexdigest()[:8]
  path = '' if parts.is_from_outside(source['name']) else source.get('path', '')
  name = pathlib.Path(path).stem or re.sub('[/:]', '-', source['name'])
  target = directory / 'evaluations' / f'{name}-{digest}'
  with files.storage_errors(target):
    files.make_directory(target.parent)
    files.make_directory(target)
  manifest.begin(target, workdir.FILES)
  record = {'data': dict(source), 'data_sha256': sha256, 'event': list(built.event)}
  record |= {'evaluation': dict(config['evaluation'])}
  manifest.write_text(target / 'evaluation.json', json.dumps(record, indent=2) + '\n')
  logging.info('these are not the data of the run: the figures go to %s', target)
  return target
