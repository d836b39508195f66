"""HTML by parts: what a run says is text, and is escaped; what `tag` returns is HTML."""

import html
import json
from typing import Any


class Markup(str):
  """Text that is HTML already."""


def tag(name: str, /, *children: Any, **attributes: Any) -> Markup:
  """Returns an element.

  Args:
    name: of the element.
    children: markup, and text, which is escaped.
    attributes: `class_` is class and `data_lane` data-lane; None or False leaves one out, and True
      is one without a value.
  """
  opening = [name]
  for key, value in attributes.items():
    key = key.strip('_').replace('_', '-')
    if value is True:
      opening.append(key)
    elif value is not None and value is not False:
      opening.append(f'{key}="{html.escape(str(value))}"')
  start = Markup(f'<{" ".join(opening)}>')
  return start if name in _VOID else Markup(f'{start}{join(*children)}</{name}>')


_VOID = ('br', 'img', 'input', 'meta')


def join(*children: Any) -> Markup:
  """Returns children one after the other; None and False are nothing, and lists are opened."""
  found = []
  for child in children:
    if isinstance(child, Markup):
      found.append(child)
    elif isinstance(child, (list, tuple)):
      found.append(join(*child))
    elif child is not None and child is not False:
      found.append(html.escape(str(child)))
  return Markup(''.join(found))


def data(name: str, value: Any) -> Markup:
  """Returns values for scripts, as JSON that cannot end its element."""
  text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(',', ':'))
  text = text.replace('<', '\\u003c')
  return Markup(f'<script type="application/json" id="{html.escape(name)}">{text}</script>')
