"""How the NLL falls as importance samples become more."""

from vae_jax.report import charts, colours
from vae_jax.report.reading import Study

_MOST = 6  # lanes


def nll_curve(study: Study) -> charts.Spec | None:
  """Returns the chart of -L_k over k of the points that may be the best, a lane each; or None."""
  named = {point['name']: point for point in study.verdict.get('points', ())}
  lanes = [named[name]['lanes'][0] for name in study.verdict.get('set', ())][:_MOST]
  rows = [
    {
      'lane': study.lane_id(study.rows[lane]),
      'samples': line['samples'],
      'nll': -line['bound'],
      'stderr': line['stderr'],
    }
    for lane in lanes
    for line in study.tables['nll_curve'][lane]
    if line['bound'] is not None
  ]
  if len({row['samples'] for row in rows}) < 2:
    return None
  names = list(dict.fromkeys(row['lane'] for row in rows))
  scale = {'domain': names, 'range': colours.ordered(len(names))}
  encoding = {
    'x': charts.field(
      'samples',
      scale={'type': 'log'},
      title=f'importance samples of each {study.example}',
      axis={'values': sorted({row['samples'] for row in rows}), 'labelOverlap': True},
    ),
    'y': charts.field('nll', scale={'zero': False}, title='test NLL (nats)'),
    'color': charts.field('lane', 'nominal', sort=names, scale=scale, legend={'title': None}),
    'tooltip': [
      charts.field('lane', 'nominal'),
      charts.field('samples'),
      charts.field('nll', format='.3f', title='NLL'),
      charts.field('stderr', format='.3f', title='standard error'),
    ],
  }
  return charts.spec(
    'The NLL over the number of importance samples, of the points that may be the best',
    height=170,
    data=charts.values(rows),
    mark={'type': 'line', 'point': {'filled': True, 'size': 30}},
    encoding=encoding,
  )
