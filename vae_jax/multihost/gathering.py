"""One run out of the shares of all processes: their tables, metrics and images side by side."""

import os
import pathlib
import signal
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vae_jax import errors, files, lane_fields, lanes, records
from vae_jax.multihost.cutting import first_lane, share_directory
from vae_jax.multihost.meeting import listed
from vae_jax.records import manifest
from vae_jax.runs import outcome, workdir
from vae_jax.study.points import in_nats, points_of

_TABLES = {
  'latents.csv': records.LATENT_COLUMNS,
  'nll_curve.csv': records.NLL_CURVE_COLUMNS,
  'curve.csv': records.CURVE_COLUMNS,
  'disentanglement.csv': records.DISENTANGLEMENT_COLUMNS,
  'udr.csv': records.UDR_COLUMNS,
  'results.csv': records.result_columns(lane_fields.NAMES),
}


def unfinished(config: Mapping[str, Any], directory: pathlib.Path, count: int) -> list[int]:
  """Returns the processes whose shares have work left, for as many steps as the config has."""
  return [i for i in range(count) if not is_done(config, share_directory(directory, i))]


def is_done(config: Mapping[str, Any], directory: pathlib.Path) -> bool:
  """Tells whether a share has nothing left to do, for as many steps as the config has."""
  if not workdir.is_finished(directory):
    return False
  return workdir.read_config(directory)['train']['steps'] == config['train']['steps']


def gather(config: Mapping[str, Any], directory: os.PathLike | str, count: int) -> outcome.Outcome:
  """Merges what the shares left into the files of one run over the whole grid.

  Raises:
    Stopped: a share is not finished; nothing was written.
    InputError, DamagedError, InUseError, StorageError: see `vae_jax.errors`.
  """
  from vae_jax import figures  # matplotlib: see `outcome.review`

  directory = pathlib.Path(directory)
  if missing := unfinished(config, directory, count):
    raise errors.Stopped(
      signal.SIGTERM,
      f'{listed(missing)} ended without finishing the share; the same commands continue',
    )
  # That of a share is that of the whole run, which is not finished yet.
  provenance = workdir.read_provenance(share_directory(directory, 0))
  names = lanes.names(in_nats(points_of(config), config, provenance['event']))
  firsts = [first_lane(len(names), index, count) for index in range(count)]
  shares = {share_directory(directory, index): first for index, first in enumerate(firsts)}
  provenance |= {'finished': False, 'processes': count}
  with workdir.claim(directory, config, provenance, may_hold={share.name for share in shares}):
    if not workdir.is_finished(directory):
      _merge_metrics(directory, shares)
      _merge_images(directory, shares)
      _copy_forecast(directory, share_directory(directory, 0))
      _merge_per_image(directory, shares)
      for name, columns in _TABLES.items():
        _merge_table(directory, shares, name, columns, names)
      rows = records.read_results(directory / 'results.csv')
      outcome.write_verdict(directory, rows, provenance['event'])
      figures.draw_all(directory)
      outcome.write_page(directory)
      workdir.mark_finished(directory)
    return outcome.read(directory, config['bound']['kl'])


def _merge_table(
  directory: pathlib.Path,
  shares: Mapping[pathlib.Path, int],
  name: str,
  columns: Sequence[str],
  names: Sequence[str],
) -> None:
  """Writes one table of all lanes; none where the shares have none."""
  if not all((share / name).exists() for share in shares):
    return
  rows = []
  for share, first in shares.items():
    # A share that another version finished may lack the columns behind the first.
    for row in records.read_table(share / name, ('lane', 'name')):
      lane = first + row['lane']
      rows.append({**row, 'lane': lane, 'name': names[lane]})
  records.write_table(directory / name, columns, rows)


def _copy_forecast(directory: pathlib.Path, share: pathlib.Path) -> None:
  """Writes the forecast of the training data, which all shares have."""
  if (share / 'forecast.csv').exists():
    rows = records.read_table(share / 'forecast.csv', records.FORECAST_COLUMNS)
    records.write_table(directory / 'forecast.csv', records.FORECAST_COLUMNS, rows)


def _merge_metrics(directory: pathlib.Path, shares: Mapping[pathlib.Path, int]) -> None:
  """Writes metrics.jsonl of all lanes, ordered by step and lane."""
  rows = [
    {**row, 'lane': first + row['lane']}
    for share, first in shares.items()
    for row in records.read_metrics(share / 'metrics.jsonl')
  ]
  rows.sort(key=lambda row: (row['step'], row['lane']))
  with files.atomic_path(directory / 'metrics.jsonl') as temporary:
    temporary.write_bytes(b''.join(map(records.encode, rows)))


def _merge_images(directory: pathlib.Path, shares: Mapping[pathlib.Path, int]) -> None:
  """Writes images.npz of all lanes; what has no lane axis is the same in all shares."""
  if not all((share / 'images.npz').exists() for share in shares):
    return
  parts = []
  for share in shares:
    with np.load(share / 'images.npz', allow_pickle=False) as archive:
      parts.append(dict(archive))
  shared = {name: parts[0][name] for name in records.SHARED_IMAGES if name in parts[0]}
  names = parts[0].keys() - shared.keys()
  joined = {name: np.concatenate([part[name] for part in parts]) for name in names}
  with manifest.recorded_path(directory / 'images.npz') as temporary:
    np.savez_compressed(temporary, **joined, **shared)


def _merge_per_image(directory: pathlib.Path, shares: Mapping[pathlib.Path, int]) -> None:
  """Writes per_image.npz of all lanes; the images are the same in all shares."""
  if not all((share / 'per_image.npz').exists() for share in shares):
    return
  parts = [records.read_per_image(share / 'per_image.npz') for share in shares]
  joined = {
    split: found._replace(
      nll=np.concatenate([part[split].nll for part in parts]),
      elbo=np.concatenate([part[split].elbo for part in parts]),
      distortion=np.concatenate([part[split].distortion for part in parts]),
    )
    for split, found in parts[0].items()
  }
  records.write_per_image(directory / 'per_image.npz', joined)
