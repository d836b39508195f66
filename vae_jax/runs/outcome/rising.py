"""Says which learning curves of a run still rise at its end."""

import logging
import pathlib

from vae_jax import records, verdict
from vae_jax.study import Study


def warn_of_rising(study: Study, directory: pathlib.Path) -> None:
  """Warns, in one line, of the lanes whose objective still rises; see `verdict.still_rising`."""
  total = study.train.steps
  metrics = records.read_columns(directory / 'metrics.jsonl', [f'{study.chosen_on}/objective'])
  found = verdict.still_rising(metrics, dict(enumerate(study.points)), study.chosen_on, total)
  if found:
    lane, most = max(found.items(), key=lambda item: item[1])
    logging.warning(
      'the learning curve still rises at step %d in %d of %d lanes, most in %s: %s by %.2g nats in '
      '1,000 steps; train.steps is small for them',
      *(total, len(found), len(study.points), study.names[lane], f'{study.chosen_on}/objective'),
      1000 * most,
    )
