"""Colours of a page: those that say a value, and the ink that is read on them."""

from collections.abc import Sequence

import matplotlib
import numpy as np

from vae_jax.report.markup import Markup

_STEPS = 48  # of the ramp
_LIGHT = 0.0, 0.86  # of a scale: its palest shades would not be seen on white
_DARK = 0.24, 1.0  # nor its darkest on black


def shades(values: Sequence[float], best: float, worst: float) -> list[tuple[str, str]]:
  """Returns fill and ink of values from the worst, dark, to the best, bright.

  The scale goes by the square root of the distance to the best: neighbours of the best are what a
  reader wants to tell apart. What is beyond an end has its colour.
  """
  share = np.clip([(value - best) / ((worst - best) or 1.0) for value in values], 0, 1)
  scale = matplotlib.colormaps['YlGnBu']
  return [_with_ink(scale(np.sqrt(part))[:3]) for part in share]


def _with_ink(colour: Sequence[float]) -> tuple[str, str]:
  """Returns a colour, and black or white: what has the higher contrast on it (WCAG 2.2)."""
  linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
  luminance = float(np.dot(linear, (0.2126, 0.7152, 0.0722)))
  on_black, on_white = (luminance + 0.05) / 0.05, 1.05 / (luminance + 0.05)
  return matplotlib.colors.to_hex(colour), '#000000' if on_black > on_white else '#ffffff'


def ordered(count: int) -> list[str]:
  """Returns the colours of an ordered quantity, as the variables of `style`; page.js has the same.

  They are dark to light on a light page, and a little lighter on a dark one.
  """
  places = np.linspace(0, _STEPS - 1, count) if count > 1 else [_STEPS // 3]
  return [f'var(--ramp-{round(place)})' for place in places]


def style() -> Markup:
  """Returns the variables of `ordered` for both themes, as CSS."""
  scale = matplotlib.colormaps['viridis']

  def ramp(ends: tuple[float, float]) -> str:
    colours = (matplotlib.colors.to_hex(scale(x)) for x in np.linspace(*ends, _STEPS))
    return ';'.join(f'--ramp-{i}:{colour}' for i, colour in enumerate(colours))

  light, dark = ramp(_LIGHT), ramp(_DARK)
  asked = f'@media screen and (prefers-color-scheme:dark){{:root:not([data-theme]){{{dark}}}}}'
  chosen = f'@media screen{{:root[data-theme=dark]{{{dark}}}}}'
  return Markup(f':root{{{light}}}{asked}{chosen}')
