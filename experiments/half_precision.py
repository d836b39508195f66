"""What bfloat16 networks cost: the digits study's NLL beside that of float32, seed by seed.

  python -m experiments.half_precision --workdir=runs/half_precision

The reference of each figure is the float32 lane of the same seed: same initial parameters, batches
and noise, so that the difference is that of the precision, and of where training drifts to.
"""

from collections.abc import Mapping
from typing import Any

from configs import digits
from experiments import table

_TOLERANCE = 0.5  # nats


def configs(schedule: str) -> dict[str, dict[str, Any]]:
  """Returns the launches: what differs from the config file stands here alone."""
  result = {}
  for dtype in ('float32', 'bfloat16'):
    config = digits.get_config().to_dict()
    config['data'] |= dict(train_split='train', validation_split='')
    config['lanes'] |= dict(beta=(1.0,), latent_size=(8,), seed=(0, 1, 2, 3))
    config['program'] |= dict(compute_dtype=dtype)
    result[dtype] = table.scheduled(config, schedule)
  return result


def rows(launches: Mapping[str, table.Launch]) -> list[table.Row]:
  """Compares each lane with its twin."""
  pairs = zip(launches['bfloat16'].rows, launches['float32'].rows, strict=True)
  return [
    table.Row(
      'bfloat16', quantity, rough[key], rough['seed'], reference=exact[key], tolerance=_TOLERANCE
    )
    for rough, exact in pairs
    for quantity, key in (('NLL, test', 'test/nll'), ('ELBO, test', 'test/elbo'))
  ]


if __name__ == '__main__':
  table.start('half_precision', configs, rows)
