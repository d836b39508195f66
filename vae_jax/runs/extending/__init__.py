"""Takes more lanes, or more steps, into a run.

Lanes need nothing of each other: so the new ones are trained alone, in WORKDIR/extension, at the
width of the run and through its log points, from step 0 to where the run stands. Then everything
that the run will be is made beside it, in WORKDIR/extension/joined, which gets its name when it is
whole; from then on a kill between any two moves is followed by the same moves again. A lane is what
it would be if all lanes had been there from the start, to the bit; so are those that were there.
"""

import contextlib
import json
import logging
import pathlib
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from vae_jax import (
  errors,
  files,
  identity,
  learner,
  optimizers,
  records,
  stopping,
  study,
  validation,
)
from vae_jax.runs import beginning, checkpoint, loop, resuming, states, workdir
from vae_jax.runs.extending import joining
from vae_jax.runs.extending.joining import go_on, lies_at
from vae_jax.runs.outcome import Progress

__all__ = ['check_steps', 'extend', 'go_on', 'lies_at']


def check_steps(config: Mapping[str, Any], directory: pathlib.Path) -> None:
  """Checks that a run that is taken to more steps has a schedule that does not end with it.

  Raises:
    InputError: its rate has fallen to what it stays at just where the run ends.
  """
  if not workdir.holds_run(directory):
    return
  old, new = workdir.read_config(directory)['train']['steps'], config['train']['steps']
  if new <= old:
    return
  section = config['schedule']
  with contextlib.suppress(validation.UnknownError):
    schedule = validation.Built(config).part('schedule')
    rate = optimizers.warmed_up(schedule, section['warmup_steps'])
    steps = (9 * old // 10, old, new - 1)
    late, end, after = (float(rate(np.int32(step))) for step in steps)
    if after == end != late:
      key = 'decay_steps' if 'decay_steps' in section else 'name'
      raise errors.InputError(
        f'train.steps={new}: schedule.{key}={section[key]!r} ends with the {old} steps of '
        f'--workdir={directory}, and more would be trained at {end:g} of the peak rate, unlike one '
        f'long run; name another directory, with a schedule of {new} steps'
      )


def extend(
  config: Mapping[str, Any], directory: pathlib.Path, asked_to_stop: Callable[[], int]
) -> None:
  """Takes the lanes of a config that a run does not have into it; nothing where it has them all.

  Args:
    config: complete and valid.
    directory: the workdir of a run, or a new one.
    asked_to_stop: see `training.run`.

  Raises:
    InputError: a lane of the run is missing, or a new one has more latents than they are padded to.
    Stopped: the state of the new lanes is saved; called again it goes on.
  """
  if not workdir.holds_run(directory):
    return
  stored = workdir.read_config(directory)
  found = identity.of_kind(identity.changes(stored, workdir.plain(config)), identity.IDENTITY)
  if not found or any(not change.key.startswith('lanes.') for change in found):
    return  # `check_owner` refuses another run
  old, new = study.points_of(stored), study.points_of(config)
  _check_lanes(old, new, directory)
  # The steps, evaluations and memory of the run, of data where they lie now.
  settings = {name: stored[name] for name in ('train', 'evaluation', 'program')}
  with workdir.holding(directory), stopping.deferred(asked_to_stop) as signal_number:
    built = _built({**config, **settings}, directory)
    places = [new.index(point) for point in old]
    more = [i for i in range(len(new)) if i not in places]
    logging.info('%d new lanes beside the %d of %s', len(more), len(old), directory)
    own = directory / joining.OWN
    with contextlib.closing(checkpoint.open_manager(directory / 'checkpoints')) as manager:
      progress = resuming.restored(built.only(places), directory, manager, from_scratch=False)
    joined = {**stored, 'lanes': workdir.plain(config['lanes'])}
    _begin(own, joined)
    parts = [(places, progress)]
    if progress is not None and more:
      parts.append((more, _train(built.only(more), own, progress, signal_number)))
    joining.join(built, directory, joined, parts)
    joining.move(directory)


def _check_lanes(old: Sequence, new: Sequence, directory: pathlib.Path) -> None:
  if missing := [point for point in old if point not in new]:
    fields = ', '.join(f'lanes.{name}={value!r}' for name, value in list(missing[0].items())[:3])
    raise errors.InputError(
      f'--extend: {len(missing)} of the {len(old)} lanes of --workdir={directory} are missing in '
      f'this config, the first with {fields}; an extension has them all'
    )
  for field in learner.KEPT_FIELDS:
    had, asked = ({point[field] for point in points} - {0.0} for points in (old, new))
    if asked and not had:
      raise errors.InputError(
        f'--extend: lanes.{field}={min(asked):g}: no lane of --workdir={directory} has one, and '
        'its checkpoints keep nothing of it; train such lanes in a directory of their own'
      )
  most, asked = (max(point['latent_size'] for point in points) for points in (old, new))
  if asked > most:
    raise errors.InputError(
      f'--extend: lanes.latent_size={asked} is more than the lanes of --workdir={directory} are '
      f'padded to, and they would be others; the nearest valid value is {most}'
    )


def _built(config: Mapping[str, Any], directory: pathlib.Path) -> study.Study:
  """Returns the study of all lanes, at the width of the run."""
  built = study.from_config(config)
  trained_on = workdir.read_provenance(directory)['data_sha256']
  if built.dataset.sha256 != trained_on:
    raise errors.InputError(
      f'{identity.source(config["data"])} has data_sha256={built.dataset.sha256}, and '
      f'--workdir={directory} was trained on {trained_on}; give the same data to extend it'
    )
  return resuming.at_recorded_width(built, directory)


def _begin(own: pathlib.Path, config: Mapping[str, Any]) -> None:
  """Makes the directory of an extension; one of other lanes that was begun there is dropped."""
  path, text = own / 'config.json', json.dumps(config)
  if own.exists() and (not path.exists() or path.read_text() != text):
    logging.info('%s is of another extension: it begins again', own)
    shutil.rmtree(own)
  with files.storage_errors(own):
    files.make_directory(own)
    files.write_text(path, text)


def _train(
  part: study.Study,
  own: pathlib.Path,
  run: Progress,
  signal_number: Callable[[], int],
) -> Progress:
  """Trains the new lanes through the log points of the run to where it stands."""
  passed = records.steps_in(run.logged)
  longest = max(np.diff([0, *passed]), default=1)
  schedule = part.training.schedule._replace(chunk_steps=int(longest))
  part = part._replace(
    training=part.training._replace(schedule=schedule),
    wandb=part.wandb._replace(mode='disabled'),
  )
  with contextlib.closing(checkpoint.open_manager(own / 'checkpoints')) as manager:
    while True:
      try:
        progress = resuming.restored(part, own, manager, from_scratch=True)
        if progress is not None and progress.step > run.step:
          progress = states.restored(part, manager, most=run.step)
        attempt, progress = beginning.begin(
          part, own, manager, progress, time.monotonic(), signal_number
        )
        attempt = attempt._replace(
          last=run.step, next_log_point=lambda step: next(each for each in passed if each > step)
        )
        return loop.train_to_the_last(attempt, progress)
      except resuming.TOO_WIDE as error:
        part = resuming.narrower(part, own.parent, error)
