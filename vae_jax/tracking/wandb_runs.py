"""One W&B run per lane that has one, all held by one process, and one that sums up the study.

Everything here may raise whatever wandb raises, and hang as long as wandb hangs: the tracker calls
it in a thread, catches it, and goes on without it. wandb is imported on use: it costs half a
second, and a run without W&B needs none of it. In W&B's pages, the stop button of any lane stops
the whole program, as Ctrl-C does: its lanes are trained together.
"""

import contextlib
import functools
import logging
import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vae_jax.records import journal, scalars
from vae_jax.tracking import choosing, core, descriptors, fragments, layout, options, trial, worker
from vae_jax.tracking.results import Results
from vae_jax.tracking.settings import Settings

_OPENING_THREADS = 8
_CLOSING_THREADS = 64

_log = logging.getLogger(__name__)


class WandbRuns:
  """The open W&B runs of one program."""

  def __init__(self, directory: pathlib.Path, settings: Settings, patient: bool = False):
    """Opens nothing yet.

    Args:
      directory: WORKDIR/wandb.
      settings: see `Settings`.
      patient: whether it is an upload: it waits for the server, never goes offline, and only what
        the server has got counts.
    """
    self._patient = patient
    self._directory = directory
    self._settings = settings
    self._mode = settings.mode
    self._group, self._tags = '', ()
    self._names, self._configs = (), []  # of all lanes
    self._fragments = None
    self._study = None
    self._is_summed_up = self._adds_best = False
    self._lanes = {}
    self._held = {}  # lane -> the last step that W&B has
    self._still_open = {}  # lane -> the step of the row that it has of this start
    self._service = None  # wandb's connection to its process, wandb-core
    self._trial = trial.take()

  def open(
    self,
    names: Sequence[str],
    lane_fields: Sequence[Mapping],
    config: Mapping,
    provenance: Mapping,
  ) -> None:
    """Opens all runs: all of them online or, when that fails, all of them offline.

    Raises:
      RuntimeError: the process may not open as many files as the runs need.
    """
    self._directory.mkdir(exist_ok=True)
    self._directory.chmod(0o700)  # W&B makes its files readable by all
    self._fragments = fragments.look(
      self._directory, provenance.get('study_id'), self._trial.run_id
    )
    self._names = names
    own = choosing.while_training(self._settings, len(names))
    self._adds_best = choosing.adds_best(self._settings, len(names))
    descriptors.raise_limit(len(own) + self._adds_best + 1)
    if len(own) > choosing.MANY:
      _log.warning('W&B gets a run of each of %d lanes; fewer by wandb.lanes=8, or best', len(own))
    elif own and self._adds_best:
      words = (
        'W&B gets a run of each of %d of the %d lanes, spread evenly, and of the best at the end'
      )
      _log.info(f'{words}; others by wandb.most_lanes', len(own), len(names))
    self._group = fragments.group_of(config['study'], self._fragments.suffix)
    self._tags = layout.tags(self._settings.tags, config)
    self._configs = [layout.lane_config(fields, config, provenance) for fields in lane_fields]
    of_study = layout.study_config(config, provenance)
    if self._mode == 'online' and not self._patient:
      try:
        self._open_all(own, of_study)
        return
      except (Exception, SystemExit) as error:  # wandb may exit, too
        self._go_offline(error, len(names))
    self._open_all(own, of_study)

  def log(self, step: int, rows: Sequence[Mapping[str, Any]]) -> None:
    """Logs one row per lane at an optimiser step, where W&B has not got it from an earlier start.

    W&B's own step, which its server knows, is ours: so it can tell what it has. A row stays open
    until the next one, for what is logged at its step beside it.
    """
    for row in rows:
      if self.lacks(row['lane'], step):
        self._lanes[row['lane']].log(layout.history(row), step=step)
        self._held[row['lane']] = self._still_open[row['lane']] = step

  def show(
    self,
    step: int,
    lanes: Sequence[int],
    rates: Sequence[np.ndarray],
    images: Mapping[str, Sequence[np.ndarray]],
  ) -> None:
    """Adds rates of latents and pictures to the rows of some lanes that are open at a step."""
    for place, lane in enumerate(lanes):
      if self._still_open.get(lane) == step:
        shown = layout.media(images, place) | layout.rates(rates[place])
        self._lanes[lane].log(shown, step=step)

  @property
  def address(self) -> str:
    """The page of the study's run, once all runs are open."""
    return self._study.url

  def lacks(self, lane: int, step: int) -> bool:
    """Tells whether the run of a lane, if it has one, has no row of a step."""
    return step > self._held.get(lane, math.inf)

  def held_step(self) -> float:
    """Returns the last step that W&B has of every lane that has a run, -1 for none."""
    return min(self._held.values(), default=math.inf)

  def summarise(
    self,
    step: int,
    rows: Sequence[Mapping[str, Any]],
    images: Mapping[str, Mapping[int, np.ndarray]],
    results: Results,
  ) -> None:
    """Logs the NLL and the pictures of each lane at the last step, and sets all summaries."""
    if self._adds_best:
      self._replay(choosing.best_of(rows, results.verdict))
    for lane, run in self._lanes.items():
      row = rows[lane]
      last = layout.at_end(row) | layout.media(images, lane)
      if step > self._held[lane] or step == self._still_open.get(lane):
        run.log({**last, layout.STEP: step}, step=step)
        self._held[lane] = step
      elif run.summary.get('final/status') is None:  # stopped behind the last row, which stands
        run.summary.update(last)
      run.summary.update(layout.summary(row, self._configs[lane]))
    rows = [scalars.python_values(row) for row in rows]
    shown = {layout.SHOWN: layout.digest(rows, results)}
    if self._study.summary.get(layout.SHOWN) != shown[layout.SHOWN]:
      self._study.log(layout.study_history(rows, results))
    self._study.summary.update(layout.study_summary(rows, results.verdict) | shown)
    self._is_summed_up = True

  def finish(self, exit_codes: Sequence[int]) -> None:
    """Ends all runs, lane i with exit_codes[i], and waits for their uploads.

    That of the study ends well once it is summed up, and as its worst lane before.

    Raises:
      TimeoutError: not everything was uploaded in time.
    """
    import wandb

    runs = [(run, exit_codes[lane]) for lane, run in self._lanes.items()]
    if self._study is not None:
      runs.append((self._study, 0 if self._is_summed_up else max(exit_codes)))
    # One by one, 64 runs need 10 s.
    worker.side_by_side(
      [functools.partial(run.finish, exit_code=code) for run, code in runs], _CLOSING_THREADS
    )
    self._record_fragments()
    wandb.teardown()

  def abandon(self) -> None:
    """Ends wandb-core: from then on no call of wandb waits."""
    core.kill(self._service)

  def _record_fragments(self) -> None:
    """Records which steps the files of this start hold: they may be removed before the next."""
    for lane, run in self._lanes.items():
      fragment = pathlib.Path(run.dir).parent / f'run-{run.id}.wandb'
      self._fragments.steps[fragments.name_of(fragment)] = self._held[lane]
    fragments.write(self._directory, self._fragments)

  def _go_offline(self, reason: Exception, lanes: int) -> None:
    _log.warning(
      'W&B cannot be used online and goes on offline (later: vae-jax upload --workdir=%s): %s',
      self._directory.parent,
      worker.first_line(reason),
    )
    with contextlib.suppress(Exception, SystemExit):
      self.finish([1] * lanes)  # until then the ids of the runs are in use
    self._mode = 'offline'

  def _open_all(self, own: Sequence[int], of_study: Mapping) -> None:
    import wandb

    self._service = core.start()
    if self._mode == 'online' and not wandb.login(prompt=False, verify=False):
      raise RuntimeError('not logged in (run `wandb login`, or set WANDB_API_KEY)')
    # The first run alone finds out whether there is a server; the others then wait side by side.
    self._study = self._open('study', 'study', of_study)
    lanes = [functools.partial(self._open_lane, lane) for lane in own]
    worker.side_by_side(lanes, _OPENING_THREADS)

  def _open_lane(self, lane: int) -> None:
    run = self._open(self._names[lane], 'lane', self._configs[lane])
    self._lanes[lane] = run
    self._held[lane] = self._held_by(run)
    run.define_metric(layout.STEP, hidden=True)
    run.define_metric('*', step_metric=layout.STEP)

  def _replay(self, lane: int | None) -> None:
    """Opens the run of a lane that has none, and logs what metrics.jsonl has of it."""
    if lane is None or lane in self._lanes:
      return
    self._open_lane(lane)
    path = self._directory.parent / 'metrics.jsonl'
    for row in journal.rows_where(lambda of, _: of == lane, path):
      self.log(row['step'], [row])

  def _held_by(self, run: Any) -> int:
    """Returns the last step that W&B has of a run that was opened just now.

    A server answers with the last step of its history. Its summary may be ahead of that, so it
    counts only where an earlier version of this program began the run, which counted its calls.
    """
    of_server, old = run.starting_step - 1, int(run.summary.get(fragments.OLD_STEP, -1))
    if old > run.summary.get('_step', -1):
      of_server = max(of_server, old)
    if self._patient:
      return of_server
    return max(of_server, self._fragments.held(run.id, self._mode == 'online'))

  def _open(self, name: str, job_type: str, config: Mapping) -> Any:
    import wandb

    is_study, own_id = job_type == 'study', f'{name}-{self._fragments.suffix}'
    return wandb.init(
      mode=self._mode,
      # Also offline: a restart writes a fragment, and `wandb sync` joins only what is resumed.
      resume='allow',
      reinit='create_new',
      id=(is_study and self._fragments.trial) or own_id,
      name=own_id,
      job_type=job_type,
      config=config,
      group=self._group,
      tags=self._tags,
      dir=self._directory.parent,
      **options.of_run(is_study, self._trial, self._settings, self._patient),
    )
