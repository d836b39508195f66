"""A saved workspace and a report of W&B for one study, made of what `layout` logs.

`wandb_workspaces` is an extra, imported on use: see `check_installed`.
"""

import importlib.util
import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from vae_jax import errors, lane_fields
from vae_jax.tracking.layout import STEP

_MOST_RUNS = 100  # lines of a plot
_PICTURES = ('reconstructions', 'samples', 'traversals')


class About(NamedTuple):
  """What a dashboard is of.

  Attributes:
    study: its name.
    group: of its runs.
    split: by which choosing goes.
    rows: of results.csv.
    sentences: of the verdict; [] where there is none.
  """

  study: str
  group: str
  split: str
  rows: Sequence[Mapping[str, Any]]
  sentences: Sequence[str]


def check_installed() -> None:
  """Checks that the extra is there.

  Raises:
    InputError: it is not.
  """
  if importlib.util.find_spec('wandb_workspaces') is None:
    raise errors.InputError(
      "vae-jax dashboard needs wandb-workspaces; pip install 'vae_jax[dashboard]'"
    )


def make(about: About, entity: str, project: str) -> tuple[Any, Any]:
  """Returns the workspace and the report; both '' make what stands in no place yet."""
  from wandb_workspaces import expr
  from wandb_workspaces.reports import v2 as reports
  from wandb_workspaces.workspaces import interface as workspaces

  lanes = expr.And(expr.Metric('Group') == about.group, expr.Metric('JobType') == 'lane')
  sections = _panels(about)
  workspace = workspaces.Workspace(
    entity=entity,
    project=project,
    name=about.group,
    sections=[
      workspaces.Section(name=name, panels=panels, is_open=True)
      for name, panels in sections.items()
    ],
    settings=workspaces.WorkspaceSettings(x_axis=STEP, max_runs=_MOST_RUNS),
    runset_settings=workspaces.RunsetSettings(filters=lanes),
  )
  blocks = [reports.P(sentence) for sentence in about.sentences]
  for name, panels in sections.items():
    runs = reports.Runset(entity=entity, project=project, name=about.group, filters=lanes)
    blocks += [reports.H2(name), reports.PanelGrid(runsets=[runs], panels=panels)]
  report = reports.Report(
    entity=entity,
    project=project,
    title=about.group,
    description=f'{len(about.rows)} lanes of {about.study}, in nats per example',
    blocks=blocks,
    width='fluid',
  )
  return workspace, report


def specification(workspace: Any, report: Any) -> dict[str, Any]:
  """Returns what W&B would be sent, as plain values."""
  return {
    name: json.loads(made._to_model().spec.model_dump_json(by_alias=True, exclude_none=True))
    for name, made in (('workspace', workspace), ('report', report))
  }


def _panels(about: About) -> dict[str, list[Any]]:
  """Returns the panels by what they answer."""
  from wandb_workspaces.reports import v2 as reports

  split, figure = about.split, _figure(about)
  rate, distortion = (
    reports.SummaryMetric(f'final/{split}/{name}') for name in ('rate', 'distortion')
  )
  wide = reports.Layout(w=24, h=10)
  curves = [
    reports.LinePlot(
      title=f'{split} {name}, by beta',
      x=STEP,
      y=[f'{split}/{name}'],
      groupby=reports.Config('beta'),
      groupby_aggfunc='mean',
      groupby_rangefunc='minmax',
      max_runs_to_show=_MOST_RUNS,
      layout=reports.Layout(x=8 * place, w=8, h=8),
    )
    for place, name in enumerate(('elbo', 'rate', 'distortion'))
  ]
  pictures = reports.MediaBrowser(
    title='of each lane', media_keys=[f'media/{name}' for name in _PICTURES], layout=wide
  )
  columns = [
    *(
      reports.ParallelCoordinatesPlotColumn(reports.Config(name), log=_spreads(about.rows, name))
      for name in _varied(about.rows)
    ),
    reports.ParallelCoordinatesPlotColumn(reports.SummaryMetric(f'final/{split}/{figure}')),
  ]
  return {
    'Which beta, which latent size': [
      reports.ParallelCoordinatesPlot(title=f'{split} {figure}', columns=columns, layout=wide)
    ],
    'Rate and distortion': [reports.ScatterPlot(x=rate, y=distortion, layout=wide)],
    'Learning': curves,
    'Pictures': [pictures],
  }


def _figure(about: About) -> str:
  """Returns the figure that decides: where the likelihood is no density, there is no NLL."""
  known = any(row.get(f'{about.split}/nll') is not None for row in about.rows)
  return 'nll' if known else 'elbo'


def _varied(rows: Sequence[Mapping[str, Any]]) -> list[str]:
  """Returns beta, the latent size, and the other fields but the seed in which lanes differ."""
  others = [name for name in lane_fields.NAMES if name not in ('beta', 'latent_size', 'seed')]
  return [
    'beta',
    'latent_size',
    *(name for name in others if len({row.get(name) for row in rows}) > 1),
  ]


def _spreads(rows: Sequence[Mapping[str, Any]], name: str) -> bool:
  """Tells whether the values of a field are for a logarithmic axis: above 0, and a decade apart."""
  values = [row.get(name) for row in rows]
  if not all(isinstance(value, (int, float)) and value > 0 for value in values):
    return False
  return max(values) >= 10 * min(values)
