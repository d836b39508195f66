"""One W&B run per lane, all held by one process, and one run that sums up the study.

Everything here may raise whatever wandb raises, and hang as long as wandb hangs: the tracker calls
it in a thread, catches it, and goes on without it. wandb is imported on use: it costs half a
second, and a run without W&B needs none of it. In W&B's pages, the stop button of any lane stops
the whole program, as Ctrl-C does: its lanes are trained together.
"""

import contextlib
import functools
import logging
import os
import pathlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vae_jax.records import scalars
from vae_jax.tracking import descriptors, fragments, worker
from vae_jax.tracking.settings import Settings

_INIT_SECONDS = 8.0
_FINISH_SECONDS = 11.0
_OPENING_THREADS = 8

# One run records the machine, the code and the packages for all.
_LIGHT = {
  'x_disable_stats': True,
  'x_disable_meta': True,
  'x_disable_machine_info': True,
  'x_save_requirements': False,
  'disable_git': True,
  'disable_code': True,
}

_log = logging.getLogger(__name__)


class WandbRuns:
  """The open W&B runs of one program."""

  def __init__(self, directory: pathlib.Path, settings: Settings):
    """Opens nothing yet; `directory` is WORKDIR/wandb."""
    self._directory = directory
    self._settings = settings
    self._mode = settings.mode
    self._field_names = ()
    self._fragments = None
    self._lanes = {}
    self._held = {}  # lane -> the last step that W&B has
    self._others = []
    self._service = None  # wandb's connection to its process, wandb-core
    # `wandb agent` names its trial where it would name every run; the first lane stands for it.
    self._sweep_id = os.environ.pop('WANDB_SWEEP_ID', None)
    self._trial_id = os.environ.pop('WANDB_RUN_ID', None) if self._sweep_id else None

  def open_lanes(
    self, names: Sequence[str], lane_fields: Sequence[Mapping], config: Mapping
  ) -> None:
    """Opens one run per lane: all of them online or, when that fails, all of them offline.

    Raises:
      RuntimeError: the process may not open as many files as the runs need.
    """
    self._directory.mkdir(exist_ok=True)
    self._directory.chmod(0o700)  # W&B makes its files readable by all
    self._fragments = fragments.look(self._directory)
    descriptors.raise_limit(len(names) + 1)
    self._field_names = tuple(lane_fields[0])
    configs = [{**config, 'lane': scalars.python_values(fields)} for fields in lane_fields]
    if self._mode == 'online':
      try:
        self._open_lanes(names, configs)
        return
      except (Exception, SystemExit) as error:  # wandb may exit, too
        self._go_offline(error, len(names))
    self._open_lanes(names, configs)

  def log(self, step: int, rows: Sequence[Mapping[str, Any]]) -> None:
    """Logs one row per lane at an optimiser step, where W&B has not got it from an earlier start.

    W&B's own step, which its server knows, is ours: so it can tell what it has.
    """
    for row in rows:
      if step > self._held[row['lane']]:
        values = {name: value for name, value in row.items() if name not in ('lane', 'step')}
        self._lanes[row['lane']].log({**values, 'train/step': step}, step=step, commit=True)
        self._held[row['lane']] = step

  def held_step(self) -> int:
    """Returns the last step that W&B has of every lane, -1 for none."""
    return min(self._held.values())

  def log_images(self, step: int, images: Mapping[str, Sequence[np.ndarray]]) -> None:
    """Logs, for every name, one uint8 picture [H, W] or [H, W, 3] per lane."""
    import wandb

    for lane, run in self._lanes.items():
      # Its row may be there already: a run that was stopped after its last step owes its pictures.
      if step >= self._held[lane]:
        pictures = {name: wandb.Image(image[lane]) for name, image in images.items()}
        run.log({**pictures, 'train/step': step})

  def summarise(
    self, rows: Sequence[Mapping[str, Any]], pictures: Mapping[str, os.PathLike | str]
  ) -> None:
    """Sets the summary of each lane's run; a further run gets all rows as a table."""
    import wandb

    rows = [scalars.python_values(row) for row in rows]
    in_config = {'lane', 'name', *self._field_names}
    for row in rows:
      results = {k: v for k, v in row.items() if k not in in_config and v is not None}
      self._lanes[row['lane']].summary.update(results)
    columns = list(dict.fromkeys(name for row in rows for name in row))
    table = wandb.Table(columns, [[row.get(name) for name in columns] for row in rows])
    summary = self._open('summary', 'summary', config={}, first=False)
    self._others.append(summary)
    summary.log(
      {'results': table, **{name: wandb.Image(str(path)) for name, path in pictures.items()}}
    )

  def finish(self, exit_codes: Sequence[int]) -> None:
    """Ends all runs, lane i with exit_codes[i], and waits for their uploads.

    Raises:
      TimeoutError: not everything was uploaded in time.
    """
    import wandb

    runs = [(run, exit_codes[lane]) for lane, run in self._lanes.items()]
    runs += [(run, 0) for run in self._others]
    # One by one, 64 runs need 10 s.
    worker.side_by_side(
      [functools.partial(run.finish, exit_code=code) for run, code in runs], len(runs)
    )
    self._record_fragments()
    wandb.teardown()

  def abandon(self) -> None:
    """Ends wandb-core, without which no call of wandb waits, and what wandb would do at exit.

    What wandb-core was given a second ago is in the files of WORKDIR/wandb.
    """
    if self._service is not None:  # there are no public names for these two
      self._service._cleanup()
      self._service._proc._process.kill()
    if 'wandb' in sys.modules:
      sys.modules['wandb'].teardown()

  def _record_fragments(self) -> None:
    """Records which steps the files of this start hold: they may be removed before the next."""
    for lane, run in self._lanes.items():
      fragment = pathlib.Path(run.dir).parent / f'run-{run.id}.wandb'
      self._fragments.steps[fragments.name_of(fragment)] = self._held[lane]
    fragments.write(self._directory, self._fragments)

  def _go_offline(self, reason: Exception, lanes: int) -> None:
    _log.warning(
      'W&B cannot be used online and goes on offline (later: wandb sync %s): %s',
      self._directory,
      first_line(reason),
    )
    with contextlib.suppress(Exception, SystemExit):
      self.finish([1] * lanes)  # until then the ids of the runs are in use
    self._mode = 'offline'

  def _open_lanes(self, names: Sequence[str], configs: Sequence[Mapping]) -> None:
    import wandb

    service = wandb.setup(wandb.Settings(silent=True)).ensure_service()
    self._service = service if service.owns_service else None
    if self._mode == 'online' and not wandb.login(prompt=False, verify=False):
      raise RuntimeError('not logged in (run `wandb login`, or set WANDB_API_KEY)')

    def open_lane(lane: int) -> None:
      run = self._open(names[lane], 'train', configs[lane], first=lane == 0)
      self._lanes[lane] = run
      self._held[lane] = self._held_by(run)
      # W&B's own step counts log calls, and starts again at 0 after a restart.
      run.define_metric('*', step_metric='train/step')

    # The first run alone finds out whether there is a server; the others then wait side by side.
    open_lane(0)
    others = [functools.partial(open_lane, lane) for lane in range(1, len(names))]
    worker.side_by_side(others, _OPENING_THREADS)

  def _held_by(self, run: Any) -> int:
    """Returns the last step that W&B has of a run that was opened just now.

    A server answers with the last step of its history, and with the summary, which alone is in our
    steps where an earlier version of this program began the run, but may be older.
    """
    of_server = max(run.starting_step - 1, int(run.summary.get('train/step', -1)))
    return max(of_server, self._fragments.held(run.id, self._mode == 'online'))

  def _open(self, name: str, job_type: str, config: Mapping, first: bool) -> Any:
    import wandb

    return wandb.init(
      mode=self._mode,
      # Also offline: a restart writes a fragment, and `wandb sync` joins only what is resumed.
      resume='allow',
      reinit='create_new',
      id=(first and self._trial_id) or f'{name}-{self._fragments.suffix}',
      name=name,
      job_type=job_type,
      config=config,
      # Under `wandb agent`, the environment holds the entity and the project of its sweep.
      entity=None if self._sweep_id else self._settings.entity or None,
      project=None if self._sweep_id else self._settings.project,
      group=self._settings.group,
      tags=self._settings.tags,
      dir=self._directory.parent,
      settings=_run_settings(**({'sweep_id': self._sweep_id} if first else _LIGHT)),
    )


def first_line(reason: Any) -> str:
  """Returns the first line of an exception's message, or its class when it has none."""
  return (str(reason).strip() or type(reason).__name__).splitlines()[0]


def _run_settings(**settings: Any) -> Any:
  """Returns the settings of one run: those that all runs share, and the given ones."""
  import wandb

  return wandb.Settings(
    console='off',  # a captured stdout would go to every run
    init_timeout=_INIT_SECONDS,
    finish_timeout=_FINISH_SECONDS,
    finish_timeout_raises=True,
    x_transaction_log_flush_interval=1.0,  # kill -9 loses what was not flushed; default: 15 s
    **settings,
  )
