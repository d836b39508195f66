"""Two studies in one picture: distortion over rate, A dashed and B solid."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from vae_jax.figures import style

_LEGEND_LINES = 28


def compared(
  curves: Mapping[str, tuple[np.ndarray, np.ndarray]], notes: Sequence[str], split: str
) -> Figure | None:
  """Draws the curves of two studies: left and below is better.

  Args:
    curves: by what the points of a line have in common, rates and distortions of A and of B,
      [2, P] each, nats.
    notes: what is said of them, a line each.
    split: that they are of.

  Returns:
    the Figure, or None where there is no curve.
  """
  if not curves:
    return None
  figure = style.new_figure(6.4, 3.9)
  axes = figure.add_subplot()
  axes.set(xlabel=f'{split} rate R (nats)', ylabel=f'{split} distortion D (nats)')
  style.set_axes(axes)
  colours = style.setting_colours(list(curves))
  for name, pair in curves.items():
    for (rates, distortions), (dash, marker) in zip(pair, (('--', 'o'), ('-', 's')), strict=True):
      order = np.argsort(rates)
      look = dict(color=colours[name], linestyle=dash, marker=marker, markersize=4, linewidth=1.2)
      axes.plot(rates[order], distortions[order], **look)
  grey = dict(color='0.4', markersize=4)
  sections = {
    'run': [
      Line2D([], [], linestyle='--', marker='o', label='A', **grey),
      Line2D([], [], linestyle='-', marker='s', label='B', **grey),
    ],
    'points': [Line2D([], [], color=colour, label=name) for name, colour in colours.items()],
  }
  style.draw_legend(axes, sections, _LEGEND_LINES, bbox_to_anchor=(1.02, 1.02), loc='upper left')
  style.set_heading(figure, '', f'rate and distortion on the {split} set', notes)
  return figure
