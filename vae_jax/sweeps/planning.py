"""From a config and its launches to a study that can be swept: each launch is built once first."""

import contextlib
import logging
import os
import pathlib
import secrets
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from vae_jax import errors, files, identity, launches, paths, study, validation
from vae_jax.launches import Launch, Study
from vae_jax.records import manifest
from vae_jax.runs import workdir
from vae_jax.study.points import points_of
from vae_jax.verdict.words import counted, listed


def planned(
  config: Mapping[str, Any],
  changes: Sequence[Mapping[str, Any]],
  found_in: Sequence[str] = (),
  typed: Collection[str] = (),
) -> Study:
  """Returns the launches of a study, whose configs are right as far as they can be seen alone.

  Args:
    config: what all launches have, complete.
    changes: of each launch the keys that are its own, and `name` where it names itself.
    found_in: where the parts lie that it names by import path.
    typed: keys that were set on top of the config file: a launch must not set them again.

  Raises:
    InputError: all that is wrong with any launch, with its name.
  """
  names, problems = launches.names_of(changes), errors.Problems()
  changes = [launches.changes_of(own) for own in changes]
  for key in sorted({key for own in changes for key in own if _meets(key, typed)}):
    problems.add([f'--config.{key} is given, and launches() of the config sets it; leave one out'])
  found = []
  for name, own in zip(names, changes, strict=True):
    problems.attempt(lambda name=name, own=own: found.append(_launch(name, own, config)))
  lower = [name.lower() for name in names]  # some file systems do not tell them apart
  if len(set(lower)) < len(lower):
    twice = next(name for name in names if lower.count(name.lower()) > 1)
    problems.add([f'launches() yields {twice} twice; each must differ from the others'])
  problems.refuse()
  return Study(str(config['study']), secrets.token_hex(4), tuple(found_in), found)


def _meets(key: str, typed: Collection[str]) -> bool:
  return any(key == other or other.startswith(f'{key}.') for other in typed)


def _launch(name: str, own: Mapping[str, Any], config: Mapping[str, Any]) -> Launch:
  try:
    whole = validation.changed(config, own)
    validation.check(whole)
    tags = (*whole['wandb']['tags'], name) if own else whole['wandb']['tags']
    whole = {**whole, 'wandb': {**whole['wandb'], 'tags': tags}}
    return Launch(name, dict(own), len(points_of(whole)), whole)
  except errors.InputError as error:
    raise errors.InputError(*_named(name, own, error.problems)) from error


def _named(name: str, own: Mapping[str, Any], problems: Sequence[str]) -> list[str]:
  """Returns problems with the launch that has them; a study that is one launch has no name."""
  return [f'launch {name}: {problem}' if own else problem for problem in problems]


def built(
  plan: Study, use: Callable[[study.Study], Any], only: Collection[str] | None = None
) -> list[Any]:
  """Returns use(study) of each launch, built one after the other; none may be refused.

  Args:
    plan: of the study.
    use: what is asked of each; the data of a launch are let go before the next one.
    only: the names of those to build; None for all.

  Raises:
    InputError: all that is wrong with any launch, with its name.
  """

  def one(launch: Launch) -> Any:
    try:
      return use(study.from_config(launch.config))
    except errors.InputError as error:
      raise errors.InputError(*_named(launch.name, launch.changes, error.problems)) from error

  asked = [launch for launch in plan.launches if only is None or launch.name in only]
  logging.disable(logging.WARNING)  # each launch says it again, to its log
  try:
    return errors.each(one, asked)
  finally:
    logging.disable(logging.NOTSET)


def not_done(directory: os.PathLike | str, plan: Study) -> list[str]:
  """Returns the launches of a plan that a directory does not have, or has with something to do."""
  directory = paths.expanded(directory, '--workdir')
  return [
    launch.name
    for launch in plan.launches
    if launches.standing_of(directory, launch.name).state != 'done'
  ]


@contextlib.contextmanager
def held(directory: os.PathLike | str, plan: Study) -> Iterator[tuple[pathlib.Path, Study]]:
  """Holds a directory as that of a study for the block; it takes in launches that are new.

  Yields the directory, and its study: launches that it had keep their numbers.

  Raises:
    InputError: it holds a run, other files, or launches that the plan does not have or has with
      another identity.
    InUseError: another process holds it.
    StorageError: it cannot be written.
  """
  directory = paths.expanded(directory, '--workdir').absolute()
  if not launches.holds_study(directory) and directory.exists():
    _check_free(directory)
  with files.storage_errors(directory):
    files.make_directory(directory)
  with workdir.holding(directory):
    yield directory, _tied(directory, plan)


def _tied(directory: pathlib.Path, plan: Study) -> Study:
  """Writes the plan to a directory, or what it has beside the launches that are there."""
  if not launches.holds_study(directory):
    _check_free(directory)
    manifest.begin(directory, ())
    launches.write(directory, plan)
    return plan
  stored = launches.read(directory)
  _check_kept(directory, stored, plan)
  plan = plan._replace(study_id=stored.study_id, launches=_in_order(stored, plan))
  if plan != stored:
    launches.write(directory, plan)
  return plan


def _check_free(directory: pathlib.Path) -> None:
  others = [path.name for path in directory.glob('[!.]*') if path.name != manifest.NAME]
  if not others:
    return
  what = 'is that of one run' if workdir.holds_run(directory) else f'holds {others[0]}'
  raise errors.InputError(f'--workdir={directory} {what}, and no sweep; name a new directory')


def _check_kept(directory: pathlib.Path, stored: Study, plan: Study) -> None:
  """Refuses a plan that leaves out launches that are stored, or has them with another identity."""
  known = {launch.name: launch for launch in plan.launches}
  gone = [launch.name for launch in stored.launches if launch.name not in known]
  kept = [launch for launch in stored.launches if launch.name in known]
  changed = [(each.name, found) for each in kept if (found := _changes(each, known[each.name]))]
  problems = errors.Problems()
  if gone:
    problems.add(
      [
        f'--workdir={directory} has {counted(len(gone), "launch")} that the config does not '
        f'yield: {listed(gone)}; yield all that it has, or name another directory'
      ]
    )
  if changed:
    name, found = changed[0]
    problems.add(
      [
        f'--workdir={directory} has {counted(len(changed), "launch")} of another config, the '
        f'first {name}: {identity.listed(found)}; name another directory, or give the same config'
      ]
    )
  problems.refuse()


def _changes(stored: Launch, given: Launch) -> list[identity.Change]:
  """Returns the settings that make a launch another one than that which is stored."""
  was, is_ = (workdir.plain(launch.config) for launch in (stored, given))
  return identity.of_kind(identity.changes(was, is_), identity.IDENTITY)


def _in_order(stored: Study, plan: Study) -> list[Launch]:
  """Returns the launches of a plan, those that are stored first: their numbers stay theirs."""
  known = {launch.name: launch for launch in plan.launches}
  first = [known.pop(launch.name) for launch in stored.launches]
  return [*first, *known.values()]
