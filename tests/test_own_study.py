"""A study of a user's own parts, in a folder of theirs: trained, continued, evaluated, refused."""

import hashlib
import logging
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT

import vae_jax
from vae_jax import parts
from vae_jax.commands import command, evaluate, train
from vae_jax.runs import workdir
from vae_jax.study import lawful

pytestmark = [pytest.mark.process, pytest.mark.usefixtures('traced_once', 'no_pictures')]

STUDY = """
from vae_jax import config as settings


def get_config():
  config = settings.base()
  config.study = 'own'
  config.lanes.update(beta=(1.0, 2.0), latent_size=(2,), learning_rate=(1e-2,))
  config.data = dict(name='{own}:counts', size=80)
  config.likelihood = dict(name='{own}:poisson')
  config.encoder = dict(name='{own}:ResidualEncoder', depth=1)
  config.decoder = dict(name='{own}:Decoder', width=6)
  config.posterior = dict(name='{own}:logistic')
  config.prior = dict(name='{own}:laplace')
  config.bound.update(name='{own}:tempered', kl='sampled')
  config.bound.temperature = 0.9
  config.optimizer = dict(name='optax:lion', weight_decay=1e-3)
  config.schedule = dict(name='{own}:halving', every=50)
  config.train.update(steps=8, batch_size=16, log_every=4, evaluate_every=8, checkpoint_every=4)
  config.evaluation.update(nll_samples=5, train_images=20, test_images=20)
  config.evaluation.mixture_components = 0
  return config
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
  """The user's folder, with a module of parts and a study; returns the name of the module."""
  name = f'own_{hashlib.sha256(str(tmp_path).encode()).hexdigest()[:12]}'
  shutil.copy(ROOT / 'tests' / 'own_parts.py', tmp_path / f'{name}.py')
  (tmp_path / 'study.py').write_text(STUDY.format(own=name))
  monkeypatch.setattr(sys, 'path', list(sys.path))
  monkeypatch.chdir(tmp_path)
  yield name
  sys.modules.pop(name, None)


def run(make, *line):
  return command.exit_code_of(make(), line)


def test_it_trains_by_the_command_goes_on_and_is_evaluated(
  own, capsys, caplog, monkeypatch, no_parts, no_images
):
  monkeypatch.setattr(lawful, 'check_part', lambda *arguments: None)  # as in `test_own_parts`
  monkeypatch.setattr(lawful, 'check_whole', lambda *arguments: None)
  caplog.set_level(logging.INFO)
  assert run(train.make, '--config=study.py', '--workdir=run', '--config.encoder.depth=2') == 0
  stored, recorded = workdir.read_config('run'), workdir.read_provenance('run')['parts']
  assert stored['encoder'] == dict(name=f'{own}:ResidualEncoder', depth=2, width=8)
  assert stored['optimizer'] == dict(
    name='optax:lion', b1=0.9, b2=0.99, mu_dtype=None, weight_decay=1e-3, mask=None
  )
  file = pathlib.Path(f'{own}.py').absolute()
  expected = dict(file=str(file), sha256=hashlib.sha256(file.read_bytes()).hexdigest())
  assert recorded['encoder'] == {'import': f'{own}:ResidualEncoder', **expected}
  assert recorded.keys() == parts.SECTIONS.keys()
  # A file that was touched since is said, and recorded from here on.
  file.write_text(file.read_text() + '# touched\n')
  longer = ('--config.train.steps=12', '--config.train.evaluate_every=4')
  again = ('--config=study.py', '--workdir=run', '--config.encoder.depth=2', *longer)
  assert run(train.make, *again) == 0
  assert 'continuing from step 8' in caplog.text
  assert 'the file of a part is another: what it computes may be, too' in caplog.text
  touched = workdir.read_provenance('run')
  assert touched['parts']['encoder']['sha256'] == hashlib.sha256(file.read_bytes()).hexdigest()
  assert [c for c in touched['changes'] if c['key'] == 'parts.encoder.sha256']
  assert run(evaluate.make, '--workdir=run', '--num_samples=7') == 0
  assert 'Best of 2 lanes' in capsys.readouterr().out
  assert [row['status'] for row in vae_jax.load('run').results] == ['done'] * 2
  # Without the module: one line for each part, with the file that it was.
  sys.modules.pop(own)
  file.unlink()
  capsys.readouterr()
  for make, line in ((evaluate.make, ['--workdir=run']), (train.make, again)):
    assert run(make, *line) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == len(recorded) - 1
    assert any(f"encoder.name='{own}:ResidualEncoder' cannot be imp" in line for line in lines)
    assert all(f'it was {file} with sha256 ' in line for line in lines)


MISTAKES = {
  'keys': {
    'encoder.dept=2': r'--config\.encoder\.dept: no such key; did you mean .*\.depth\?',
    'optimizer.decay=0.1': r'optimizer\.decay: no such key; .* weight_decay',
  },
  'values': {
    'encoder.depth=9': r'encoder\.depth=9 .* nearest valid value is 8',
    'optimizer.name=optax:lino': r"has no lino; did you mean 'lion'",
    'data.size=-3': r'counts\(seed=0, size=-3\) raises ValueError: .*line \d+',
  },
  'names': {
    'encoder.name={own}:ResidualEncodr': r"has no ResidualEncodr; did you mean 'Resi",
    'decoder.name=nowhere:Net': r"there is no module 'nowhere'",
  },
  'laws': {
    'encoder.name={own}:Batched': r'encoder.* breaks a law: ',
    'decoder.name={own}:OneHead': r'decoder.* breaks a law: ',
  },
  'mask': {'decoder.name={own}:Unmasked': r'decoder.* breaks a law: latents of mask 0'},
  'data': {'likelihood.name=bernoulli': r'values from 0 to .* they are counts'},
}


@pytest.mark.parametrize('mistakes', MISTAKES.values(), ids=MISTAKES)
def test_what_is_wrong_is_one_line_each_and_nothing_is_made(own, capsys, mistakes, monkeypatch):
  check_part, wrong = lawful.check_part, {flag.partition('.')[0] for flag in mistakes}
  monkeypatch.setattr(  # the other parts obey: `test_laws`
    lawful, 'check_part', lambda section, *known: section in wrong and check_part(section, *known)
  )
  flags = [f'--config.{flag}'.format(own=own) for flag in mistakes]
  before = set(pathlib.Path().iterdir())
  assert run(train.make, *flags, '--config=study.py', '--workdir=run') == 2
  lines = capsys.readouterr().err.splitlines()
  assert len(lines) == len(mistakes), lines
  for words in mistakes.values():
    assert any(re.search(words, line) for line in lines), (words, lines)
  assert set(pathlib.Path().iterdir()) - before <= {pathlib.Path('__pycache__')}


def test_a_mistake_beside_parts_of_tfp_is_one_line(tmp_path):
  (tmp_path / 'counts.py').write_text(
    'from own_parts import poisson\n'
    'import numpy as np\n'
    'from vae_jax import config as settings\n'
    'def load():\n'
    '  return {"train": np.arange(96).reshape(8, 12), "test": np.ones((4, 12), int)}\n'
    'def get_config():\n'
    '  config = settings.base()\n'
    '  config.study = "counts"\n'
    '  config.data = dict(name="counts:load", kind="count", scale_to_unit=False)\n'
    '  config.likelihood = dict(name="counts:poisson")\n'
    '  return config\n'
  )
  done = subprocess.run(
    [
      sys.executable,
      '-m',
      'vae_jax.commands',
      'train',
      '--config=counts.py',
      '--workdir=b',
      '--config.encoder.name=counts:Residual',
    ],
    cwd=tmp_path,
    env=os.environ | {'PYTHONPATH': f'{ROOT}{os.pathsep}{ROOT / "tests"}'},
    capture_output=True,
    text=True,
    timeout=300,
  )
  assert done.returncode == 2
  assert len(done.stderr.splitlines()) == 1, done.stderr
  assert 'has no Residual' in done.stderr
  assert not (tmp_path / 'b').exists()
