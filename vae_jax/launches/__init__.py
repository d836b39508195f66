"""The launches of a study: what is no lane, as it makes another program or has other data.

  study = launches.read('runs/digits')                 # study.json, which a sweep writes once
  launches.standing_of('runs/digits', study.launches[0].name)

A launch is a run of its own, in WORKDIR/launches/NAME. How it was started, and how that ended, lies
in WORKDIR/jobs/NAME. Where it stands is told by these files alone, whatever engine started it and
whether that still lives: no state is stored, so that none can go stale. Nothing here needs JAX.
"""

from vae_jax.launches.ledger import (
  MOST_KILLED,
  STATES,
  Standing,
  attempt,
  counts_of,
  forgive,
  in_words,
  last_lines,
  note_failed,
  note_submitted,
  open_log,
  standing_of,
  standings_of,
)
from vae_jax.launches.naming import changes_of, names_of, shown
from vae_jax.launches.stored import (
  NAME,
  Launch,
  Study,
  holds_study,
  jobs_of,
  read,
  run_of,
  write,
)

__all__ = [
  'MOST_KILLED',
  'NAME',
  'STATES',
  'Launch',
  'Standing',
  'Study',
  'attempt',
  'changes_of',
  'counts_of',
  'forgive',
  'holds_study',
  'in_words',
  'jobs_of',
  'last_lines',
  'names_of',
  'note_failed',
  'note_submitted',
  'open_log',
  'read',
  'run_of',
  'shown',
  'standing_of',
  'standings_of',
  'write',
]
