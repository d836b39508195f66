"""Numbers as a person reads them."""

_WIDE = 1e7


def nats(value: float) -> str:
  """Returns a number of nats with two decimals, or three digits where it would be too wide."""
  return f'{value:z.2f}' if abs(value) < _WIDE else f'{value:.3g}'
