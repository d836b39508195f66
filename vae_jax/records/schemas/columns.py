"""A column of a table or a key of an object, and the columns that several tables have."""

from collections.abc import Sequence
from typing import NamedTuple

NATS, BITS, STEPS = 'nats', 'bits a dimension', 'steps'


class Column(NamedTuple):
  """A column of a table, or a key of a JSON object."""

  name: str
  meaning: str
  unit: str = ''  # 'text' where it is no number
  better: str = ''  # 'higher' or 'lower' of a figure of merit


def names(columns: Sequence[Column]) -> tuple[str, ...]:
  """Returns the names of columns in order."""
  return tuple(column.name for column in columns)


LANE = (
  Column('lane', 'its number, from 0, in the order of the grid'),
  Column('name', 'of the lane, such as `b4-z10-s0`', 'text'),
)

TERMS = (
  Column('elbo', '−D − R', NATS, 'higher'),
  Column('rate', 'R = KL(q(z\\|x) ‖ p(z))', NATS, 'lower'),
  Column('distortion', 'D = −E_q[log p(x\\|z)]', NATS, 'lower'),
  Column('objective', 'what is trained on, as weighed at this step', NATS, 'higher'),
)
