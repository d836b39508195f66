"""What all launches of a study have left, in one table, one verdict and one page."""

import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from vae_jax import lane_fields, launches, records, report, verdict
from vae_jax.launches import Study
from vae_jax.records import manifest
from vae_jax.runs import outcome, workdir
from vae_jax.verdict.words import listed

_RESULTS, _VERDICT = 'results.csv', 'verdict.json'


class Gathered(NamedTuple):
  """What stands in the workdir of a study.

  Attributes:
    rows: of all lanes that have results, each with its launch.
    said: the sentences of the verdict; why there is none.
    page: report.html.
  """

  rows: list[dict[str, Any]]
  said: list[str]
  page: pathlib.Path


def gather(directory: os.PathLike | str) -> Gathered | None:
  """Writes results.csv, verdict.json and report.html of all launches that have results by now.

  Only files are read. Returns None where no launch has any.

  Raises:
    InputError: the directory holds no study.
    DamagedError: a file is not what was written.
    StorageError: they cannot be written.
  """
  directory = pathlib.Path(directory)
  study = launches.read(directory)
  found = _results(directory, study)
  if not found:
    return None
  rows = [row for _, own in found for row in own]
  columns = ['launch', *study.keys, *records.result_columns(lane_fields.NAMES)]
  shown = [{name: _cell(value) for name, value in row.items()} for row in rows]
  # Of an earlier version a launch may have columns that this one does not know.
  further = dict.fromkeys(name for row in shown for name in row if name not in columns)
  records.write_table(directory / _RESULTS, [*columns, *further], shown)
  said = _judged(directory, study, found)
  most = report.most_lanes(len(found))
  pages = [
    report.read(launches.run_of(directory, name), name if len(found) > 1 else '', most)
    for name, _ in found
  ]
  report.write(pages, directory / report.NAME, [counted(directory), *said] if pages[1:] else ())
  return Gathered(rows, said, directory / report.NAME)


def counted(directory: os.PathLike | str) -> str:
  """Returns how many launches there are, and where they stand: '3 launches: 2 done, 1 queued'."""
  return launches.in_words(launches.counts_of(launches.standings_of(directory)))


Found = Sequence[tuple[str, list[dict[str, Any]]]]  # name of a launch, its rows


def _results(directory: pathlib.Path, study: Study) -> Found:
  found = []
  for launch in study.launches:
    path = launches.run_of(directory, launch.name) / _RESULTS
    if path.exists():
      beside = {'launch': launch.name} | study.values(launch)
      found.append((launch.name, [{**beside, **row} for row in records.read_results(path)]))
  return found


def _cell(value: Any) -> Any:
  """Returns what a cell of a table can hold; a tuple becomes its text."""
  return value if value is None or np.isscalar(value) else repr(value)


def _judged(directory: pathlib.Path, study: Study, found: Found) -> list[str]:
  """Writes the verdict over all launches and returns its sentences, or why there is none."""
  path = directory / _VERDICT
  compared, why = _comparable(directory, study, found)
  if not compared:
    if path.exists():
      manifest.forget(directory, _VERDICT)
      path.unlink()
    return [why]
  rows = [row for _, own, _ in compared for row in own]
  split = records.chosen_on(rows)
  values = np.concatenate([nll for *_, nll in compared])
  also = ['launch'] if len(compared) > 1 else []
  named = [{**row, 'name': f'{row["launch"]}/{row["name"]}'} for row in rows]
  provenance = workdir.read_provenance(launches.run_of(directory, compared[0][0]))  # of all of them
  example = records.example_of(provenance.get('event', ()))
  record = verdict.as_record(verdict.judge(named, values, split, also=also, example=example))
  outcome.write_record(directory, record)
  return record['sentences'] + ([why] if why else [])


def _comparable(
  directory: pathlib.Path, study: Study, found: Found
) -> tuple[list[tuple[str, list[dict[str, Any]], np.ndarray]], str]:
  """Returns launches whose NLLs are of the same images in the same nats, and who is left out."""
  groups: dict[tuple, list] = {}
  without = []
  for name, rows in found:
    run, split = launches.run_of(directory, name), records.chosen_on(rows)
    path = run / records.PER_IMAGE
    values = records.read_per_image(path) if path.exists() else {}
    if split not in values:
      without.append(name)
      continue
    config = study.named(name).config
    nats = tuple(repr(config['data'][key]) for key in report.OF_NATS)
    groups.setdefault((split, values[split].sha256, nats), []).append(
      (name, rows, values[split].nll)
    )
  if not groups:
    return [], 'No verdict: no launch has an NLL of each example.'
  largest = max(groups.values(), key=len)
  others = [name for group in groups.values() if group is not largest for name, *_ in group]
  reasons = [
    f'{what}: {listed(names)}.'
    for what, names in (
      ('Not compared, as they have other data', others),
      ('Not compared, as they have no NLL', without),
    )
    if names
  ]
  return largest, ' '.join(reasons)


def exit_code(gathered: Gathered | None, failed: Sequence[str]) -> int:
  """Returns 0, or 3 where a launch failed or a lane diverged."""
  rows: Sequence[Mapping[str, Any]] = gathered.rows if gathered else ()
  lost = any(row['status'] in ('diverged', 'failed') for row in rows)
  return 3 if lost or failed else 0
