"""What stands where in W&B: config, history, summary and pictures of a run.

The panels of a run come from what stands before the `/` of a key, and W&B groups runs by the keys
of a flat config. So a metric has its split there, what a lane is stands on top of its config, and
the step, over which all is drawn, has no section of its own.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vae_jax.records import scalars
from vae_jax.tracking.results import Results

STEP = 'step'
SHOWN = 'results_sha256'  # in the summary of the study: see `digest`
_RENAMED = {'train': 'train_eval'}  # an evaluation, not what is trained with: that is `batch`
_SIDE = 256  # pixels
_NLL = ('validation/nll', 'test/nll')
# Columns of results.csv that stand in the summary by themselves, or not at all: its lane's name
# is that of the run.
_OWN = ('lane', 'name', 'best_step', 'collapsed_at')


def lane_config(fields: Mapping[str, Any], config: Mapping, provenance: Mapping) -> dict[str, Any]:
  """Returns the config of a lane's run: its fields and what the study is, and the rest below."""
  rest = {name: part for name, part in config.items() if name not in ('lanes', 'wandb')}
  return scalars.python_values(fields) | _about(config, provenance) | {'config': rest}


def study_config(config: Mapping, provenance: Mapping) -> dict[str, Any]:
  """Returns the config of the run of a study."""
  return _about(config, provenance) | {'config': dict(config)}


def _about(config: Mapping, provenance: Mapping) -> dict[str, Any]:
  git, device = provenance.get('git'), provenance.get('device')  # not of every earlier version
  return {
    'study': config['study'],
    'data': config['data']['name'],
    'data_sha256': provenance['data_sha256'],
    'commit': None if git is None else git['commit'],
    'device': None if device is None else device['kind'],
  }


def tags(own: Sequence[str], config: Mapping) -> tuple[str, ...]:
  """Returns the tags of every run: the user's, the data set, the likelihood."""
  given = (*own, config['data']['name'], config['likelihood']['name'])
  return tuple(dict.fromkeys(tag[:64] for tag in given))  # W&B refuses longer ones


def history(row: Mapping[str, Any]) -> dict[str, Any]:
  """Returns what is logged of a row of metrics.jsonl."""
  values = {_key(name): value for name, value in row.items() if name not in ('lane', 'step')}
  return values | {STEP: row['step']}


def _key(metric: str) -> str:
  split, _, name = metric.partition('/')
  return f'{_RENAMED.get(split, split)}/{name}' if name else metric


def at_end(row: Mapping[str, Any]) -> dict[str, Any]:
  """Returns what is logged once, of a row of results.csv: the NLL."""
  return {name: row[name] for name in _NLL if row.get(name) is not None}


def summary(row: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
  """Returns the summary of a lane's run, of its row of results.csv; its config is not repeated."""
  known = {**dict.fromkeys(_OWN), **config}
  final = {
    f'final/{_key(name)}': value
    for name, value in row.items()
    if name not in known and value is not None
  }
  found = {
    'collapsed': row['collapsed_at'] is not None,
    'diverged': row['status'] == 'diverged',
  }
  if row['best_step'] is not None:
    found['best/step'] = row['best_step']
  return scalars.python_values(final | found)


def study_summary(rows: Sequence[Mapping[str, Any]], verdict: Mapping[str, Any]) -> dict[str, Any]:
  """Returns the summary of the run of a study.

  Args:
    rows: of results.csv.
    verdict: what verdict.json holds; {} where there is none.
  """
  ended = ('done', 'stopped', 'diverged', 'failed')
  found = {'lanes': len(rows), 'lanes_done': sum(row['status'] in ended for row in rows)}
  if not verdict:
    return found
  found['verdict'] = '\n'.join(verdict['sentences'])
  for best in verdict['points']:
    if best['name'] == verdict['best']:
      found |= {f'best/{name}': value for name, value in best['fields'].items()}
      found |= {'best/name': best['name'], 'best/nll': best['mean']}
  return found


def digest(rows: Sequence[Mapping[str, Any]], results: Results) -> str:
  """Returns the sha256 of what `study_history` shows, by which W&B need not get it again."""
  cells = [{key: row[key] for key in sorted(row) if row[key] is not None} for row in rows]
  files = [*results.pictures, *([] if results.report is None else [results.report])]
  content = [json.dumps(cells).encode(), *(path.read_bytes() for path in files)]
  return hashlib.sha256(b'\0'.join(content)).hexdigest()


def study_history(rows: Sequence[Mapping[str, Any]], results: Results) -> dict[str, Any]:
  """Returns what the run of a study logs: the rows of results.csv, the pictures and the page."""
  import wandb

  columns = list(dict.fromkeys(name for row in rows for name in row))
  cells = [[row.get(name) for name in columns] for row in rows]
  shown = {f'study/{path.stem}': wandb.Image(str(path)) for path in results.pictures}
  shown['study/results'] = wandb.Table(columns, cells)
  if results.report is not None:
    shown['study/report'] = wandb.Html(str(results.report), inject=False)
  return shown


def media(images: Mapping[str, Sequence[np.ndarray]], place: int) -> dict[str, Any]:
  """Returns the pictures of the lane at one place, as a run logs them."""
  import wandb

  return {f'media/{name}': wandb.Image(_enlarged(image[place])) for name, image in images.items()}


def rates(values: np.ndarray) -> dict[str, Any]:
  """Returns the rates of the latents of a lane as a run logs them, where it has any."""
  import wandb

  return {'latents/rate': wandb.Histogram(values)} if len(values) else {}


def _enlarged(picture: np.ndarray) -> np.ndarray:
  """Returns a picture [H, W] or [H, W, 3] whose pixels are squares: its shorter side has 256."""
  factor = -(-_SIDE // min(picture.shape[:2]))
  return picture.repeat(factor, axis=0).repeat(factor, axis=1)
