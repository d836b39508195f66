"""Loads a run: the model from config.json and model.json, the parameters from a checkpoint."""

import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from vae_jax import (
  data,
  errors,
  evaluation,
  lanes,
  learner,
  networks,
  paths,
  records,
  study,
  switches,
)
from vae_jax.front import functions
from vae_jax.front.lane import Lane
from vae_jax.front.run import Run, share_directories
from vae_jax.front.shared import Shared
from vae_jax.records import manifest
from vae_jax.runs import checkpoint, extending, model_file, outcome, workdir


def load(workdir: os.PathLike | str, data_path: os.PathLike | str | None = None) -> Run:
  """Returns any run that has a checkpoint: finished or not, also while it is trained.

  Nothing is written and nothing locked; the data set and the moments of the optimiser are not read.
  The shares of a study over several processes are loaded together, or one by one.

  Args:
    workdir: of the run, wherever it lies by now.
    data_path: where the .npz file of the run lies by now, for `Run.test` and `Run.train`.

  Raises:
    InputError: there is no run, or no checkpoint yet, or an own part cannot be imported.
    DamagedError, StorageError: its files are not what was written, or cannot be read.
  """
  switches.check()
  directory = paths.expanded(workdir, 'workdir').absolute()
  shares = [_read(share, data_path) for share in _with_checkpoints(directory)]
  points = [point for share in shares for point in share.points]
  names = iter(lanes.names(points))
  config = shares[0].config
  if (directory / 'config.json').exists():
    config = config | {'lanes': _config_of(directory, None)['lanes']}
  return Run(
    directory=directory,
    config=config,
    step=min(share.stored.step for share in shares),
    lanes=[lane for share in shares for lane in _lanes(share, names)],
    facts=shares[0].facts,
  )


def _facts_of(directory: pathlib.Path, config: Mapping[str, Any]) -> model_file.Facts:
  """Returns what a run that is older than model.json lacks, from its data.

  Raises:
    InputError: they are not there, or others.
  """
  built = study.from_config(config)
  sha256 = workdir.read_provenance(directory)['data_sha256']
  if built.dataset.sha256 != sha256:
    raise errors.InputError(
      f'workdir={str(directory)!r} has no model.json, and data.path={config["data"]["path"]!r} has '
      f'other data (sha256 {built.dataset.sha256}, and {sha256}); give data_path=...'
    )
  return model_file.facts_of(built.dataset, built.training.learner.estimator.objective)


class _Share(NamedTuple):
  """What one directory with checkpoints holds."""

  directory: pathlib.Path
  config: Mapping[str, Any]
  points: Sequence[lanes.Point]
  facts: model_file.Facts
  model: networks.Model
  shared: Shared
  stored: checkpoint.Leaves


def _with_checkpoints(directory: pathlib.Path) -> list[pathlib.Path]:
  """Returns the directories of a run that have the checkpoints: itself, or those of processes."""
  if not directory.is_dir():
    raise errors.InputError(f'workdir={str(directory)!r} is no directory')
  shares = share_directories(directory)
  if shares and records.newest_step(directory) is None:
    return shares
  return [directory]


def _config_of(directory: pathlib.Path, data_path: os.PathLike | str | None) -> dict[str, Any]:
  workdir.check_parts(directory)
  config = workdir.read_config(extending.lies_at(directory, 'config.json').parent)
  if data_path is not None:
    path = str(paths.expanded(data_path, 'data_path').absolute())
    config['data'] = data.moved_to(config['data'], path)
  return config


def _read(directory: pathlib.Path, data_path: os.PathLike | str | None) -> _Share:
  config = _config_of(directory, data_path)
  points = study.grid_of(config)
  has_average = any(point['ema_decay'] for point in points)
  evaluated = '.average' if has_average else '.params'
  stored = _newest(directory, '.best' if config['train']['keep'] == 'best' else evaluated)
  facts = model_file.read(directory) or _facts_of(directory, config)
  built = study.trained_of(config, facts.stand_in(), facts.num_train)
  shared = shared_of(config, facts, built)
  points = study.in_nats(points, config, facts.event)
  return _Share(directory, config, points, facts, built.model, shared, stored)


def _newest(directory: pathlib.Path, params: str) -> checkpoint.Leaves:
  """Returns the newest checkpoint, as `.params` those whose leaves are called `params`."""
  checkpoints = extending.lies_at(directory, 'checkpoints')
  stored = checkpoint.read_newest(checkpoints, (params, '.diverged_at', '.multiplier'))
  if stored is None:
    raise errors.InputError(f'workdir={str(directory)!r} has no checkpoint yet; train it first')
  leaves = {
    f'.params{name.removeprefix(params)}' if name.startswith(params) else name: leaf
    for name, leaf in stored.leaves.items()
  }
  return stored._replace(leaves=leaves)


def shared_of(config: Mapping[str, Any], facts: model_file.Facts, built: study.Trained) -> Shared:
  """Returns what all lanes of a config have in common."""
  return Shared(
    facts=facts,
    data=config['data'],
    functions=functions.make(built.model, built.rate, facts.scale),
    draw=built.draw,
    batch_size=config['evaluation']['batch_size'],
    lower_size=built.lower_size,
    is_density=built.is_density,
    likelihood=config['likelihood']['name'],
    beta_range=built.beta_range,
  )


def _lanes(share: _Share, names: Any) -> list[Lane]:
  """Returns the lanes of a share; `names` yields theirs."""
  largest = max(point['latent_size'] for point in share.points)
  arrays = jax.device_get(lanes.stack(share.points, largest, share.shared.lower_size))
  params = _params(share, arrays)
  steps = share.stored.leaves['.diverged_at'].tolist()
  multipliers, mixtures = _multipliers(share), _mixtures(share)
  choice, is_done = _choice(share)
  made = []
  for i, (point, diverged_at) in enumerate(zip(share.points, steps, strict=True)):
    status, step = choice.standing(i, diverged_at, share.stored.step, is_done)
    made.append(
      Lane(
        name=next(names),
        point=point,
        status=status,
        step=step,
        params=_evaluated(share, jax.tree.map(lambda leaf, i=i: leaf[i], params), i),
        shared=share.shared,
        arrays=jax.tree.map(lambda leaf, i=i: leaf[i], arrays),
        multiplier=multipliers[i],
        mixture=mixtures and jax.tree.map(lambda leaf, i=i: leaf[i], mixtures),
      )
    )
  return made


def _mixtures(share: _Share) -> evaluation.Mixture | None:
  """Returns the mixtures [G] of the codes, None where none were fitted."""
  path = share.directory / 'mixtures.npz'
  if not path.exists():
    return None
  manifest.verify(path)
  with np.load(path, allow_pickle=False) as arrays:
    return evaluation.Mixture(**arrays)


def _multipliers(share: _Share) -> list[float | None]:
  """Returns the multiplier of each lane at the checkpoint, None where it has no target rate."""
  stored = share.stored.leaves.get('.multiplier')
  if stored is None:
    return [None] * len(share.points)
  pairs = zip(records.python_numbers(stored), share.points, strict=True)
  return [value if point['target_rate'] else None for value, point in pairs]


def _choice(share: _Share) -> tuple[outcome.Choice, bool]:
  """Returns which lanes have stopped, and whether the others have no step left."""
  settings, step = share.config['train'], share.stored.step
  choice = outcome.recorded(share.stored.record, len(share.points))
  is_done = step >= settings['steps']
  return choice if is_done else choice.stopping(settings['patience'], step), is_done


def _evaluated(share: _Share, params: Any, index: int) -> Any:
  """Returns a lane's parameters as its run evaluates them; see `evaluation.refitted_to`.

  A scale in closed form is fitted to the training images, which are not looked at here.
  """
  distortions = share.stored.record['evaluated'].get('train/distortion', ())
  if share.model.refit is None or not distortions:
    return params
  return jax.device_get(evaluation.refitted_to(share.model.refit, params, distortions[index]))


def _params(share: _Share, arrays: lanes.Lane) -> Any:
  """Returns the stored parameters [G] as the model has them.

  Raises:
    InputError: the model that config.json describes has others.
  """
  one = jax.eval_shape(share.model.init, jax.random.key(0), arrays.mask[0])
  wanted = checkpoint.flat(learner.State(one, (), np.zeros(())))
  del wanted['.diverged_at']
  for name, leaf in wanted.items():
    found = share.stored.leaves.get(name)
    shape = (len(share.points), *leaf.shape)
    if found is None or found.shape != shape:
      there = 'is not in it' if found is None else f'is {list(found.shape)} there'
      raise errors.InputError(
        f'the checkpoint of step {share.stored.step} is of another model than config.json '
        f'describes here: {name} {there} and {list(shape)} here'
      )
  leaves = [share.stored.leaves[name] for name in wanted]
  return jax.tree.unflatten(jax.tree.structure(one), leaves)
