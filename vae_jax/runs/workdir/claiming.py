"""A directory belongs to one process at a time, and to one run for good."""

import contextlib
import logging
import os
import pathlib
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from vae_jax import errors, files, identity, parts, records
from vae_jax.records import manifest
from vae_jax.runs.workdir import stored, world


@contextlib.contextmanager
def claim(
  workdir: os.PathLike | str,
  config: Mapping,
  provenance: Mapping,
  may_hold: Collection[str] = (),
) -> Iterator[None]:
  """Holds the workdir for the block: creates it, or checks that it belongs to this very run.

  Where the run goes on in another place or manner, or in another world, a line says so, config.json
  has the newest from here on, and provenance.json both.

  Args:
    workdir: the directory.
    config, provenance: of the run; the config is complete.
    may_hold: names that may stand in it before it is anybody's.

  Raises:
    InputError: it holds another run, the same on other data or with more steps done than `config`
      has, or files that are no run.
    DamagedError: config.json or provenance.json is not what was written.
    InUseError: another process holds it.
    StorageError: it cannot be written.
  """
  workdir = pathlib.Path(workdir)
  _make(workdir)
  check_owner(workdir, config, may_hold)
  with holding(workdir):
    check_owner(workdir, config, may_hold)  # again: another process may have made it in between
    _tie(workdir, stored.plain(config), stored.plain(provenance))
    yield


@contextlib.contextmanager
def holding(workdir: os.PathLike | str) -> Iterator[None]:
  """Holds a directory that is there for the block, and removes what killed writers left in it.

  Raises:
    InUseError: another process holds it.
    StorageError: it cannot be written.
  """
  with files.directory_lock(workdir):
    files.remove_temporaries(workdir)
    yield


def _make(workdir: pathlib.Path) -> None:
  try:
    with files.storage_errors(workdir):
      files.make_directory(workdir)
  except errors.StorageError:
    raise
  except OSError as error:  # a file is in the way, or the name is too long
    raise errors.InputError(
      f'--workdir={workdir} cannot be made: {error.strerror}; name a new directory'
    ) from error


def check_owner(
  workdir: os.PathLike | str, config: Mapping, may_hold: Collection[str] = ()
) -> None:
  """Checks that a directory, where there is one, is free or of the run of this config.

  Raises:
    InputError, DamagedError: see `claim`.
  """
  workdir = pathlib.Path(workdir)
  # Listed before the config is looked for: a run that another process starts now has its config
  # before anything else.
  others = [p for p in workdir.glob('[!.]*') if p.name not in {manifest.NAME, *may_hold}]
  if not holds_run(workdir):
    if others:
      raise errors.InputError(f'--workdir={workdir} holds files that are no run; name a new one')
    return
  found = identity.changes(stored.read_config(workdir), stored.plain(config))
  if others := identity.of_kind(found, identity.IDENTITY):
    only_lanes = all(change.key.startswith('lanes.') for change in others)
    ways = ', or give --extend to take in more lanes' if only_lanes else ''
    raise errors.InputError(
      f'--workdir={workdir} holds a run of another config: {identity.listed(others)}; '
      f'name another directory, or give the same config to continue{ways}'
    )
  done, asked = records.newest_step(workdir) or 0, config['train']['steps']
  if asked < done:
    raise errors.InputError(
      f'train.steps={asked} is fewer than the {done} steps that --workdir={workdir} has done; '
      f'the nearest valid value is {done}'
    )


def holds_run(workdir: os.PathLike | str) -> bool:
  """Tells whether a directory is of a run, its config.json damaged or lost though it may be."""
  workdir = pathlib.Path(workdir)
  lost = 'config.json' in manifest.read(workdir) and 'provenance.json' in manifest.read(workdir)
  return (workdir / 'config.json').exists() or lost


def _tie(workdir: pathlib.Path, config: Mapping, provenance: Mapping) -> None:
  is_new = not (workdir / 'config.json').exists()
  if manifest.begin(workdir, stored.FILES) and not is_new:
    logging.info('%s has no %s: it is made of the files as they are', workdir, manifest.NAME)
  # The config first: it is what marks the directory as ours if we are killed in between.
  if is_new:
    stored.write_json(workdir / 'config.json', config)
  _check_files(workdir)
  if not (workdir / 'provenance.json').exists():
    stored.write_provenance(workdir, provenance)
  else:
    _go_on(workdir, config, provenance)
  manifest.settle(workdir)


def _check_files(workdir: pathlib.Path) -> None:
  """Checks the files of a run that is not finished: what it will write again need not be good."""
  finished = stored.is_finished(workdir)
  for name, what in manifest.faults(workdir).items():
    if name in stored.ORIGINALS:
      raise stored.lost(workdir / name, what)
    if not finished and name != stored.RECORD:
      logging.warning('%s %s; it is made again at the end', workdir / name, what)
      manifest.forget(workdir, name)


def _go_on(workdir: pathlib.Path, config: Mapping, now: dict[str, Any]) -> None:
  """Compares with the attempt before, says what is another, and records it."""
  before, old = stored.read_provenance(workdir), stored.read_config(workdir)
  _refuse_other_data(workdir, before, old, now, config)
  worlds = _another_world(before, now)
  found = identity.changes(old, config)
  if found:
    logging.info('the same run, carried out otherwise: %s', identity.listed(found))
  keys = {change.key for change in found}
  after = before | {key: now[key] for key in world.KEYS if key in now}
  if 'program.width' in keys:
    after['width'] = now['width']
  if 'train.steps' in keys:
    after['finished'] = False
  if 'evaluated_on' in now and 'evaluated_on' not in before:
    logging.info('evaluations from here on are of a random sample, and were of the first examples')
  after = stored.with_changes(workdir, after, [*found, *worlds])
  # The provenance first: a kill in between leaves a change to be found again, not to be lost.
  if after != before:
    stored.write_provenance(workdir, after)
  if found:
    stored.write_json(workdir / 'config.json', config)
  if not after.get('finished'):
    manifest.forget(workdir, stored.RECORD)


def _another_world(before: Mapping, now: Mapping) -> list[identity.Change]:
  """Returns what of the world is another, with a warning for each kind of it."""
  found = world.changes(before, now)
  world.refuse(found)
  for line in world.warnings(found):
    logging.warning('%s', line)
  return found


def warn_of_another_world(workdir: os.PathLike | str, config: Mapping) -> None:
  """Says in what this process differs from the last one that trained a run.

  Args:
    workdir: of the run.
    config: of it.

  Raises:
    InputError: its arrays are of another type here.
  """
  now = world.here() | {'parts': parts.origins(config)}
  _another_world(stored.read_provenance(workdir), now)


def _refuse_other_data(
  workdir: pathlib.Path, before: Mapping, old: Mapping, now: Mapping, config: Mapping
) -> None:
  if before.get('data_sha256') != now['data_sha256']:
    was, is_ = (identity.source(c['data']) for c in (old, config))
    raise errors.InputError(
      f'--workdir={workdir} was started with data_sha256={before.get("data_sha256")} ({was}), now '
      f'it is {now["data_sha256"]} ({is_}); give the same data to continue, or name another '
      'directory'
    )


def record_lanes(workdir: os.PathLike | str, config: Mapping) -> None:
  """Records a config that has further lanes."""
  workdir = pathlib.Path(workdir)
  found = identity.changes(stored.read_config(workdir), config)
  before = stored.read_provenance(workdir)
  stored.write_provenance(workdir, stored.with_changes(workdir, before, found))
  stored.write_json(workdir / 'config.json', config)


def record_place(workdir: os.PathLike | str, config: Mapping) -> None:
  """Records a config that differs in place alone."""
  workdir, config = pathlib.Path(workdir), stored.plain(config)
  found = identity.changes(stored.read_config(workdir), config)
  if found:
    logging.info('the same run, carried out otherwise: %s', identity.listed(found))
    before = stored.read_provenance(workdir)
    stored.write_provenance(workdir, stored.with_changes(workdir, before, found))
    stored.write_json(workdir / 'config.json', config)


def check_parts(workdir: os.PathLike | str) -> None:
  """Checks that the parts from outside of a run, where it has any, can still be imported.

  Raises:
    InputError: of a part that cannot, its import path, the file that it was, and its sha256.
  """
  recorded = {}
  if (pathlib.Path(workdir) / 'provenance.json').exists():
    with contextlib.suppress(errors.DamagedError):  # who needs it will say so
      recorded = stored.read_provenance(workdir).get('parts', {})
  errors.each(lambda item: _check_part(workdir, *item), recorded.items())


def _check_part(workdir: os.PathLike | str, section: str, part: Mapping[str, str | None]) -> None:
  try:
    parts.resolve(section, part['import'])
  except errors.InputError as error:
    raise errors.InputError(
      f'{error}; in --workdir={workdir} it was {part["file"]} with sha256 {part["sha256"]}: put '
      'that file back, or its directory on PYTHONPATH'
    ) from error
