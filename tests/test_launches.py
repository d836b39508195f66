"""The launches of a study: their names, study.json, and where they stand by what is on disk."""

import contextlib
import json
import random

import pytest

from vae_jax import errors, files, launches, standing
from vae_jax.launches import ledger

pytestmark = pytest.mark.run


HIDDEN = ('encoder.hidden', 'decoder.hidden')


@pytest.mark.parametrize(
  ('changes', 'names'),
  [
    ([{}], ['study']),
    (
      [dict.fromkeys(HIDDEN, (64, 32)), {'encoder.hidden': (8,)}],
      ['encoder.hidden-64x32_decoder.hidden-64x32', 'encoder.hidden-8'],
    ),
    ([dict.fromkeys(HIDDEN, (n,)) for n in (8, 16)], ['hidden-8', 'hidden-16']),
    ([{'encoder.name': n} for n in ('my.nets:Own', 'mlp')], ['encoder-Own', 'encoder-mlp']),
    ([{'likelihood': {'name': 'gaussian', 'scale': 0.1}}], ['likelihood-gaussian-0.1']),
    ([{'name': 'Big_1.5', 'train.steps': 2}, {'train.steps': 3}], ['Big_1.5', 'steps-3']),
  ],
)
def test_names_say_what_is_own(changes, names):
  assert launches.names_of(changes) == names


def test_names_are_those_of_directories_and_differ():
  """Also where values differ in what no name of a file can say, or in capitals alone."""
  wild = [{'data.path': path} for path in ('a/b', 'a b', 'A b', '../../x', 'y' * 300)]
  names = launches.names_of(wild)
  assert len({name.lower() for name in names}) == len(wild)
  assert all(len(name) <= 80 and '/' not in name and not name.startswith('.') for name in names)
  assert launches.names_of(wild) == names


def test_a_name_of_its_own_stays_as_it_is():
  """What would be called so by its keys has another name."""
  names = launches.names_of([{'name': 'steps-3', 'train.steps': 2}, {'train.steps': 3}])
  assert names[0] == 'steps-3'
  assert names[1].startswith('steps-3-')
  wild = ['a b', '../x', '.x', '', 5, 'y' * 81]
  with pytest.raises(errors.InputError) as raised:
    launches.names_of([{'name': name} for name in wild])
  nearest = ['a-b', '-x', 'x', 'none', '5', 'y' * 80]
  for problem, name, near in zip(raised.value.problems, wild, nearest, strict=True):
    assert problem.startswith(f'launches() yields name={errors.shown(name)}, which is no name')
    assert problem.endswith(f'set {near!r}')
  # What is said to be the nearest valid value is one.
  assert launches.names_of([{'name': near} for near in nearest]) == nearest


def a_launch(name, lanes=2):
  config = {'train': {'steps': 8}, 'encoder': {'hidden': (4, 2)}}
  return launches.Launch(name, {'encoder.hidden': (4, 2)}, lanes, config)


@pytest.fixture
def study(tmp_path):
  found = launches.Study('mine', '01234567', ('here',), [a_launch(n) for n in 'abc'])
  launches.write(tmp_path, found)
  return found


def test_a_study_is_read_as_it_was_written(tmp_path, study):
  assert launches.read(tmp_path) == study
  assert study.keys == ['encoder.hidden']
  assert study.values(study.launches[0]) == {'encoder.hidden': (4, 2)}
  with pytest.raises(errors.InputError, match='holds no study'):
    launches.read(tmp_path / 'none')


class History:
  """What happens to one launch, done to its files, and where it stands by a model of its own."""

  def __init__(self, directory, name):
    self.directory, self.name = directory, name
    self.run, self.jobs = launches.run_of(directory, name), launches.jobs_of(directory, name)
    self.lock = contextlib.ExitStack()
    self.runs = self.begun = self.finished = self.is_failed = self.submitted = False
    self.step, self.in_a_row = 0, 0

  def possible(self):
    if self.runs:
      return ['checkpoint', 'kill', 'stop', 'fail', 'finish']
    return ['begin', 'submit', *(['forgive'] if self.is_failed else [])]

  def begin(self):
    self.lock.enter_context(launches.attempt(self.directory, self.name))
    self.runs, self.begun, self.is_failed = True, True, False
    self.in_a_row += 1

  def checkpoint(self):
    self.step += 1
    (self.run / 'checkpoints' / str(self.step)).mkdir(parents=True)
    self.in_a_row = 0

  def kill(self):
    self.lock.close()
    self.runs = False
    self.is_failed = self.in_a_row >= launches.MOST_KILLED and not self.finished

  def stop(self):
    with contextlib.suppress(errors.Stopped), self.lock:
      raise errors.Stopped(15, 'asked')
    self.kill()

  def fail(self):
    with contextlib.suppress(errors.InputError), self.lock:
      raise errors.InputError('train.steps=x is none')
    self.runs, self.is_failed = False, not self.finished

  def finish(self):
    self.run.mkdir(parents=True, exist_ok=True)
    (self.run / 'provenance.json').write_text(json.dumps({'finished': True}))
    rows = [f'{lane},b{lane},done,8,1.0,8.0' for lane in range(2)]
    table = ['lane,name,status,step,seconds,steps_per_second', *rows]
    (self.run / 'results.csv').write_text('\n'.join(table) + '\n')
    self.finished = True
    self.kill()

  def submit(self):
    launches.note_submitted(self.directory, self.name, 'slurm', '7_1')
    self.submitted = True

  def forgive(self):
    launches.forgive(self.directory, self.name)
    self.is_failed, self.in_a_row = False, 0

  @property
  def state(self):
    if self.runs:
      return 'running'
    if self.finished:
      return 'done'
    if self.is_failed:
      return 'failed'
    if self.begun:
      return 'interrupted'
    return 'submitted' if self.submitted else 'queued'


@pytest.mark.parametrize('seed', range(20))
def test_every_launch_stands_somewhere_at_every_moment(tmp_path, study, seed):
  """Over random histories: each state is that of the model, and all counts are of all launches."""
  rng = random.Random(seed)
  histories = [History(tmp_path, launch.name) for launch in study.launches]
  for _ in range(25):
    history = rng.choice(histories)
    getattr(history, rng.choice(history.possible()))()
    states = [history.state for history in histories]
    assert [each.state for each in launches.standings_of(tmp_path)] == states
    status = standing.status_of(tmp_path, 0.0)
    assert status.launches == {state: states.count(state) for state in launches.STATES}
    assert [part.state for part in status.shares] == states
    assert status.num_lanes == sum(launch.lanes for launch in study.launches)
  for history in histories:
    history.lock.close()


def test_why_a_launch_failed_is_known(tmp_path, study):
  del study
  with pytest.raises(errors.DamagedError), launches.attempt(tmp_path, 'a'):
    raise errors.DamagedError('checkpoints/8 fails its sha256')
  found = launches.standing_of(tmp_path, 'a')
  assert found.state == 'failed'
  assert found.reason.startswith('exit code 4 on ')
  assert found.reason.endswith('checkpoints/8 fails its sha256')
  with pytest.raises(ZeroDivisionError), launches.attempt(tmp_path, 'b'):
    1 / 0  # noqa: B018
  ended = json.loads((launches.jobs_of(tmp_path, 'b') / 'ended.json').read_text())
  assert ended['code'] == 1
  assert ended['lines'][-1] == 'ZeroDivisionError: division by zero'


def test_what_another_process_has_is_no_failure(tmp_path, study):
  del study
  with launches.attempt(tmp_path, 'a'):
    with pytest.raises(errors.InUseError), launches.attempt(tmp_path, 'a'):
      pass
    assert launches.standing_of(tmp_path, 'a').state == 'running'
    assert launches.standing_of(tmp_path, 'a').attempts == 1
  # A person may train it, too.
  run = launches.run_of(tmp_path, 'b')
  run.mkdir(parents=True)
  with files.directory_lock(run):
    assert launches.standing_of(tmp_path, 'b').state == 'running'
  with pytest.raises(errors.InUseError), launches.attempt(tmp_path, 'b'):
    raise errors.InUseError('runs/b is in use')
  assert launches.standing_of(tmp_path, 'b').state == 'interrupted'


def test_what_killed_and_is_forgiven_may_kill_as_often_again(tmp_path, study):
  del study
  states = []
  for _ in range(2):
    for _ in range(launches.MOST_KILLED):
      with launches.attempt(tmp_path, 'a'):
        pass
      states.append(launches.standing_of(tmp_path, 'a').state)
    launches.forgive(tmp_path, 'a')
    assert launches.standing_of(tmp_path, 'a').state == 'interrupted'
  assert states == 2 * ['interrupted', 'interrupted', 'interrupted', 'failed']


def test_a_torn_line_is_no_attempt(tmp_path, study):
  del study
  with launches.attempt(tmp_path, 'a'):
    pass
  with open(launches.jobs_of(tmp_path, 'a') / 'attempts.jsonl', 'ab') as file:
    file.write(b'{"time": 17')
  with launches.attempt(tmp_path, 'a'):
    pass
  assert launches.standing_of(tmp_path, 'a').attempts == 2


def test_parts_of_an_evaluation_are_progress(tmp_path, study):
  """Or a launch that is stopped again and again in its last hour would pass for one that kills."""
  del study
  partial = launches.run_of(tmp_path, 'a') / 'evaluation.partial'
  partial.parent.mkdir(parents=True)
  for size in range(2 * launches.MOST_KILLED):
    with launches.attempt(tmp_path, 'a'):
      partial.write_bytes(b'x' * size)
  assert launches.standing_of(tmp_path, 'a').state == 'interrupted'
  assert ledger.progress_of(partial.parent) == [-1, 7]
