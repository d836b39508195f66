"""What `train.patience` saves: a study with and without it, by the clock, and what each says.

  python -m experiments.stopping --workdir=runs/stopping

Digits, 5 betas x 2 latent sizes x 2 seeds, half of the lanes at a learning rate at which they are
at their best early, and half at one at which they are not; 40 lanes in programs of four. A lane
that has stopped makes room, so that the others go through the program in fewer turns. What can be
saved is what the lanes that stop would have trained: `steps of lanes` says how much that was, the
seconds say how much of it was saved. Both runs keep the best parameters of each lane, so that the
NLL differs only where a lane would have become better after its stop.

The first launch takes 100 steps, to compile the programs of the other two.
"""

from collections.abc import Mapping
from typing import Any

from configs import digits
from experiments import table
from vae_jax.runs import outcome

_PATIENCE = 15  # evaluations


def configs(schedule: str) -> dict[str, dict[str, Any]]:
  """Returns the launches, which differ in how long they train a lane."""
  config = digits.get_config().to_dict()
  config['study'] = 'stopping'
  config['lanes'] |= dict(
    beta=(0.25, 0.5, 1.0, 2.0, 4.0), latent_size=(8, 16), seed=(0, 1), learning_rate=(1e-2, 5e-4)
  )
  config['program'] |= dict(width=4)
  config['train'] |= dict(
    steps=20000 if schedule == 'full' else 2000,
    log_every=100,
    evaluate_every=100,
    checkpoint_every=1000,
    keep='best',
  )
  first = dict(steps=100, checkpoint_every=100)
  changes = {'compiled': first, 'whole': {}, 'patient': dict(patience=_PATIENCE)}
  return {name: config | dict(train=config['train'] | change) for name, change in changes.items()}


def rows(launches: Mapping[str, table.Launch]) -> list[table.Row]:
  """Returns what the patient run took, beside the whole one."""
  whole, patient = launches['whole'], launches['patient']

  def row(quantity: str, of_launch, **more: Any) -> table.Row:
    values = dict(ours=of_launch(patient), reference=of_launch(whole))
    return table.Row(f'patience = {_PATIENCE}', quantity, seed=0, **values | more)

  def best(launch: table.Launch) -> float:
    return min(lane['validation/nll'] for lane in launch.rows)

  pairs = zip(patient.rows, whole.rows, strict=True)
  later = [one['validation/nll'] - other['validation/nll'] for one, other in pairs]
  ours, theirs = (set(_verdict(launch)['set']) for launch in (patient, whole))
  return [
    row('lanes that stopped', _stopped, digits=0),
    row('steps of lanes', lambda launch: sum(lane['step'] for lane in launch.rows), digits=0),
    row('seconds in the training program', _training_seconds, digits=1),
    row('seconds of the whole run', lambda launch: launch.rows[0]['seconds'], digits=1),
    row('NLL of the best lane, validation', best),
    row('NLL, most that a lane lost', lambda _: max(later), reference=None),
    row('points in the confidence set', lambda launch: len(_verdict(launch)['set']), digits=0),
    row('points in one of the sets alone', lambda _: len(ours ^ theirs), reference=None, digits=0),
  ]


def _stopped(launch: table.Launch) -> int:
  return sum(lane['status'] == 'stopped' for lane in launch.rows)


def _training_seconds(launch: table.Launch) -> float:
  """Returns the time inside the program: of the steps of the run, the longest of any lane."""
  longest = max(launch.rows, key=lambda lane: lane['step'])
  return longest['step'] / longest['steps_per_second']


def _verdict(launch: table.Launch) -> Mapping[str, Any]:
  return outcome.read_verdict(launch.workdir)


if __name__ == '__main__':
  table.start('stopping', configs, rows)
