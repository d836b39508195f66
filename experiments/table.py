"""What every experiment shares: train its launches, compare with known figures, print a table."""

import contextlib
import os
import pathlib
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from absl import flags

from vae_jax import config as settings
from vae_jax import files, learner, programs, study
from vae_jax.commands import command
from vae_jax.runs import checkpoint, outcome, training

_HEADER = (
  'row',
  'quantity',
  'reference',
  'exact',
  'ours',
  'difference',
  'tolerance',
  'met',
  'seed',
)


class Row(NamedTuple):
  """One figure of a table."""

  label: str
  quantity: str
  ours: float | None  # None where the lane diverged before its first evaluation
  seed: int
  reference: float | None = None  # as it is published, or in another computation
  exact: float | None = None
  tolerance: float | None = None  # of |difference|; None where none is claimed
  digits: int = 2

  @property
  def difference(self) -> float | None:
    """Ours - exact, or - reference where there is no exact figure."""
    against = self.reference if self.exact is None else self.exact
    return None if self.ours is None or against is None else self.ours - against


class Launch(NamedTuple):
  """A finished launch."""

  config: Mapping[str, Any]
  rows: list[dict[str, Any]]  # of results.csv
  workdir: pathlib.Path


class Table(NamedTuple):
  """What an experiment leaves; `command.start` exits with its code."""

  rows: list[Row]
  text: str
  exit_code: int  # 0, or 3 where a lane diverged


Configs = Callable[[str], Mapping[str, Mapping[str, Any]]]  # schedule -> launch name -> config
Rows = Callable[[Mapping[str, Launch]], list[Row]]
Within = Callable[[str], contextlib.AbstractContextManager]  # launch name -> what it runs in


def start(
  name: str,
  configs: Configs,
  rows: Rows,
  schedule: str = 'full',
  own: flags.FlagValues | None = None,
  within: Within = contextlib.nullcontext,
) -> None:
  """Runs an experiment as a command.

  Its flags are --schedule, of which the default is given, --workdir, and those that `own` has.
  """
  own = flags.FlagValues() if own is None else own
  schedules, what = ('short', 'full'), 'full is the whole recipe; short is its beginning.'
  flags.DEFINE_enum('schedule', schedule, schedules, what, own)
  flags.DEFINE_string('workdir', f'runs/{name}', 'Where the launches and the table go.', own)

  def main(given: flags.FlagValues) -> int:
    launches = configs(given.schedule)
    return run(launches, rows, given.schedule, given.workdir, within).exit_code

  command.start(command.Command(sys.modules['__main__'].__doc__, own, main))


def run(
  configs: Mapping[str, Mapping[str, Any]],
  rows: Rows,
  schedule: str,
  directory: os.PathLike | str,
  within: Within = contextlib.nullcontext,
) -> Table:
  """Trains each launch in directory/NAME, prints the table and writes directory/table.md.

  A launch that is finished is read back, one that was stopped goes on: see `vae_jax.training.run`.
  """
  directory = pathlib.Path(directory)
  launches, exit_codes = {}, []
  for name, stated in configs.items():
    config = settings.complete(stated)
    with within(name):
      result = training.run(config, directory / name)
    launches[name] = Launch(config, result.rows, directory / name)
    exit_codes.append(result.exit_code)
  table = rows(launches)
  statements = [_statement(name, launch, schedule) for name, launch in launches.items()]
  lines = markdown([_HEADER, *map(_cells, table)], left=2)
  text = '\n'.join([*statements, '', *lines]) + '\n'
  files.write_text(directory / 'table.md', text)
  print(text, flush=True)
  return Table(table, text, max(exit_codes))


def _statement(name: str, launch: Launch, schedule: str) -> str:
  """Returns what a figure means nothing without: data, split, samples, schedule."""
  config, seconds = launch.config, launch.rows[0]['seconds']
  data, evaluation, train = config['data'], config['evaluation'], config['train']
  return (
    f'{name}: {data["name"]}, binarize={data["binarize"]}, '
    f'trained on {data["train_split"]}, evaluated on {_count(evaluation["train_images"])} of its '
    f'images and {_count(evaluation["test_images"])} of {data["test_split"]}; '
    f'L = {config["bound"]["num_samples"]}, {config["bound"]["kl"]} KL, '
    f'NLL of {evaluation["nll_samples"]} samples ({_count(evaluation["nll_images"])} images); '
    f'schedule {schedule}: {train["steps"]:,} steps of batch {train["batch_size"]}, '
    f'{seconds:.0f} s. Nats per image; the ELBO is higher-is-better.  '
  )


def _count(images: int) -> str:
  return f'{images:,}' if images else 'all'


def markdown(lines: Sequence[Sequence[str]], left: int) -> list[str]:
  """Returns a table in Markdown, padded to columns; one that says nothing is left out.

  Args:
    lines: the cells, the header first.
    left: how many columns are text; the rest are numbers.
  """
  columns = [column for column in zip(*lines, strict=True) if any(column[1:])]
  cells = list(zip(*columns, strict=True))
  widths = [max(map(len, column)) for column in columns]

  def line(values: Sequence[str]) -> str:
    padded = [
      value.ljust(width) if i < left else value.rjust(width)
      for i, (value, width) in enumerate(zip(values, widths, strict=True))
    ]
    return f'| {" | ".join(padded)} |'

  rule = ['-' * width if i < left else '-' * (width - 1) + ':' for i, width in enumerate(widths)]
  return [line(cells[0]), line(rule), *map(line, cells[1:])]


def _cells(row: Row) -> tuple[str, ...]:
  def number(value: float | None) -> str:
    return '' if value is None else f'{value:.{row.digits}f}'

  return (
    row.label,
    row.quantity,
    number(row.reference),
    number(row.exact),
    number(row.ours),
    '' if row.difference is None else f'{row.difference:+.{row.digits}f}',
    number(row.tolerance),
    '' if row.tolerance is None else 'yes' if is_met(row) else 'no',
    str(row.seed),
  )


def scheduled(config: Mapping[str, Any], schedule: str) -> dict[str, Any]:
  """Returns a config as it stands ('full'), or with a tenth of its steps ('short')."""
  train, decay = dict(config['train']), dict(config['schedule'])
  if schedule == 'short':
    every = train['log_every']
    train['steps'] = max(train['steps'] // 10 // every, 1) * every
    train['evaluate_every'] = train['checkpoint_every'] = train['steps']
    decay['warmup_steps'] //= 10
    if 'decay_steps' in decay:
      decay['decay_steps'] = train['steps'] - decay['warmup_steps']
  return {**config, 'train': train, 'schedule': decay}


def is_met(row: Row) -> bool:
  """Tells whether a figure is within the tolerance that its row states."""
  return row.difference is not None and abs(row.difference) <= row.tolerance


def nll_row(label: str, lane: Mapping[str, Any], published: float | None = None) -> Row:
  """Returns the NLL of a lane of results.csv, with its samples and standard error."""
  quantity = f'NLL of {lane["test/nll_samples"]} samples, test'
  if lane['test/nll'] is not None:
    quantity += f', +- {lane["test/nll_stderr"]:.2f}'
  return Row(label, quantity, lane['test/nll'], lane['seed'], reference=published)


def units_row(label: str, lane: Mapping[str, Any], published: int | None = None) -> Row:
  """Returns the active units of a lane of results.csv on the test images."""
  units = lane['test/active_units']
  return Row(label, 'active units, test', units, lane['seed'], reference=published, digits=0)


def restore(launch: Launch, **sections: Mapping[str, Any]) -> tuple[study.Study, learner.State]:
  """Returns a finished launch for another evaluation: its study and last state [G].

  Args:
    launch: whose newest checkpoint is read.
    sections: keys of the config to override, by section: bound={'num_samples': 50}. They must leave
      the state as it is.
  """
  config = {**launch.config, **{k: {**launch.config[k], **v} for k, v in sections.items()}}
  built = study.from_config(config)
  like = programs.state_shapes(built.training.learner, built.lanes)
  with contextlib.closing(checkpoint.open_manager(launch.workdir / 'checkpoints')) as manager:
    state = checkpoint.restore_newest(manager, like).state
  return built, state


def evaluate(launch: Launch, **sections: Mapping[str, Any]) -> dict[str, list]:
  """Evaluates a finished launch with other settings; metrics [G] by name. See `restore`."""
  built, state = restore(launch, **sections)
  evaluations = outcome.make_evaluate(built)(state, launch.rows[0]['step'])
  return outcome.host(outcome.metrics_of(evaluations))
