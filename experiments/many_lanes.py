"""What very many lanes cost: 100, 1,000 and 10,000 of a tiny net, by part of a run.

  python -m experiments.many_lanes --workdir=runs/many

Each size is a run of its own in a process of its own: digits, one hidden layer of 4, 2 latents, 10
betas and the rest seeds, 40 steps, no mixture fitted to the codes. Written are `table.md`, which
docs/scale.md shows, and `measured.json`. The peak of a part is that of the process while the part
lasts, less what it had before the first: of two parts that hold the same arrays both have them.
"""

import argparse
import contextlib
import functools
import json
import logging
import pathlib
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from configs import digits
from vae_jax import figures, programs, study, tracking
from vae_jax.runs import beginning, loop, outcome, states, training

SIZES = (100, 1000, 10_000)
_BETAS = tuple(0.25 * 2**i for i in range(10))
_SAMPLED = 0.01  # seconds between two looks at the memory
# What the functions of a run are called in the table; all else is `rest`.
_PARTS = {
  'data, study': (study, 'from_config'),
  'compile, init': (beginning, 'begin'),
  'train': (programs, 'take_chunk'),
  'evaluate': (loop, '_evaluate'),
  'journal': (tracking.Tracker, 'write'),
  'results.csv': (outcome, 'write_results'),
  'checkpoint': (states, 'save_beside'),
  'NLL': (outcome, 'estimate'),
  'pictures': (outcome, 'save_images'),
  'figures': (figures, 'draw_all'),
  'report.html': (outcome, 'write_page'),
  'udr.csv': (outcome, 'write_udr'),
}
_FILES = ('checkpoints', 'metrics.jsonl', 'results.csv', 'per_image.npz', 'images.npz',
          'figures', 'report.html')  # fmt: skip


def get_config(lanes: int) -> dict[str, Any]:
  """Returns the config of a run of so many lanes, a multiple of ten."""
  config = digits.get_config()
  config.study = f'{lanes} lanes'
  config.lanes.update(beta=_BETAS, latent_size=(2,), seed=tuple(range(lanes // len(_BETAS))))
  config.encoder.update(hidden=(4,))
  config.decoder.update(hidden=(4,))
  config.train.update(steps=40, log_every=10, evaluate_every=20, checkpoint_every=20)
  config.evaluation.update(
    train_images=50, validation_images=50, test_images=50, nll_samples=20, nll_images=20,
    aggregate_images=20, factor_images=20, mixture_components=0,
  )  # fmt: skip
  return config.to_dict()


class Parts:
  """Seconds of the cores and the peak of memory, in bytes, of the parts of a run."""

  def __init__(self):
    self._open, self._began, self._base = ['rest'], time.process_time(), _resident()
    self.seconds, self.peaks = {}, {}

  def timed(self, name: str, function: Callable) -> Callable:
    @functools.wraps(function)
    def call(*arguments, **keywords):
      if threading.current_thread() is not threading.main_thread():
        return function(*arguments, **keywords)
      self._change(lambda: self._open.append(name))
      try:
        return function(*arguments, **keywords)
      finally:
        self._change(self._open.pop)

    return call

  def _change(self, act: Callable[[], object]) -> None:
    now, name = time.process_time(), self._open[-1]
    self.seconds[name] = self.seconds.get(name, 0.0) + now - self._began
    self._began = now
    act()

  @contextlib.contextmanager
  def watched(self) -> Iterator[None]:
    """Looks at the memory while a block runs."""
    ended = threading.Event()

    def look():
      while not ended.wait(_SAMPLED):
        name = self._open[-1]
        self.peaks[name] = max(self.peaks.get(name, 0), _resident() - self._base)

    thread = threading.Thread(target=look)
    thread.start()
    try:
      yield
    finally:
      self._change(lambda: None)
      ended.set()
      thread.join()


def _resident() -> int:
  status = pathlib.Path('/proc/self/status').read_text()
  (line,) = [each for each in status.splitlines() if each.startswith('VmRSS')]
  return int(line.split()[1]) * 1024


def measure(lanes: int, workdir: pathlib.Path) -> dict[str, Any]:
  """Runs so many lanes in this process and returns what they cost."""
  parts = Parts()
  for name, (owner, function) in _PARTS.items():
    setattr(owner, function, parts.timed(name, getattr(owner, function)))
  with parts.watched():
    training.run(get_config(lanes), workdir)
  sizes = {name: _bytes(workdir / name) for name in _FILES}
  sizes['rest'] = _bytes(workdir) - sum(sizes.values())
  return {'lanes': lanes, 'seconds': parts.seconds, 'peak': parts.peaks, 'bytes': sizes}


def _bytes(path: pathlib.Path) -> int:
  found = [path] if path.is_file() else path.rglob('*')
  return sum(each.stat().st_size for each in found if each.is_file())


def table(measured: list[dict[str, Any]]) -> str:
  """Returns what was measured in Markdown: a row for each part, three columns for each size."""
  sizes = [f'{each["lanes"]:,} lanes' for each in measured]
  lines = ['| | ' + ' | '.join(f'{size}: core s | MiB' for size in sizes) + ' |']
  lines.append('|---|' + '---:|---:|' * len(sizes))
  for name in (*_PARTS, 'rest'):
    cells = [
      f'{each["seconds"].get(name, 0):.1f} | {each["peak"].get(name, 0) / 2**20:.0f}'
      for each in measured
    ]
    lines.append(f'| {name} | ' + ' | '.join(cells) + ' |')
  whole = [
    f'{sum(each["seconds"].values()):.0f} | {max(each["peak"].values()) / 2**20:.0f}'
    for each in measured
  ]
  lines.append('| **a run** | ' + ' | '.join(whole) + ' |')
  lines += ['', '| on the disk, MB | ' + ' | '.join(sizes) + ' |', '|---|' + '---:|' * len(sizes)]
  for name in (*_FILES, 'rest'):
    cells = [f'{each["bytes"][name] / 1e6:.1f}' for each in measured]
    lines.append(f'| {name} | ' + ' | '.join(cells) + ' |')
  return '\n'.join(lines) + '\n'


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
  parser.add_argument('--workdir', type=pathlib.Path, required=True, help='where runs and table go')
  parser.add_argument('--lanes', type=int, nargs='*', default=SIZES, help='sizes, multiples of ten')
  parser.add_argument('--here', action='store_true', help='one size in this process, as JSON')
  flags = parser.parse_args()
  if flags.here:
    logging.disable(logging.WARNING)
    (lanes,) = flags.lanes
    print(json.dumps(measure(lanes, flags.workdir / str(lanes))))
    return
  flags.workdir.mkdir(parents=True, exist_ok=True)
  measured = []
  for lanes in flags.lanes:
    command = [sys.executable, '-m', 'experiments.many_lanes', '--here']
    command += [f'--workdir={flags.workdir}', '--lanes', str(lanes)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    measured.append(json.loads(done.stdout.splitlines()[-1]))
    (flags.workdir / 'measured.json').write_text(json.dumps(measured, indent=1) + '\n')
    (flags.workdir / 'table.md').write_text(table(measured))
  print(table(measured))


if __name__ == '__main__':
  main()
