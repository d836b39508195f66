"""The tour and the lines of Python in README.md and docs/python.md run as they stand there."""

import json
import re
import shutil

import jax
import pytest
from conftest import ROOT
from matplotlib import pyplot as plt

import vae_jax

TOUR = ROOT / 'experiments' / 'tour.ipynb'


@pytest.fixture
def folder(tmp_path, monkeypatch):
  """An empty folder to work in; programs are compiled quickly, figures are closed unseen."""
  monkeypatch.chdir(tmp_path)
  monkeypatch.setattr(plt, 'show', lambda: plt.close('all'))
  jax.config.update('jax_disable_most_optimizations', True)
  yield tmp_path
  jax.config.update('jax_disable_most_optimizations', False)


def cells():
  return json.loads(TOUR.read_text(encoding='utf-8'))['cells']


def test_the_tour_runs_from_its_first_cell_to_its_last(folder, capsys):
  space = {}
  for cell in cells():
    if cell['cell_type'] == 'code':
      source = ''.join(cell['source']).replace('1500', '100').replace('500', '100')  # steps
      exec(compile(source, TOUR.name, 'exec'), space)
  said, run = capsys.readouterr().out, space['run']
  (nll, in_table) = re.search(r'NLL (\S+) nats, and (\S+) in the table', said).groups()
  assert nll == in_table
  assert vae_jax.load('runs/tour').names == run.names  # by a relative path, in another call
  assert space['codes'].shape == (359, space['lane'].latent_size)


def test_the_tour_is_short_and_saved_with_what_it_shows():
  assert len(cells()) == 15
  assert TOUR.stat().st_size < 200_000
  pictures = [
    output
    for cell in cells()
    for output in cell.get('outputs', ())
    if 'image/png' in output.get('data', ())
  ]
  assert len(pictures) == 6
  assert not any(
    output['output_type'] == 'error' for c in cells() for output in c.get('outputs', ())
  )


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
  """A run of the digits, of two lanes and few steps."""
  directory = tmp_path_factory.mktemp('lines')
  (directory / 'configs').mkdir()
  shutil.copy(ROOT / 'configs' / 'digits.py', directory / 'configs' / 'whole.py')
  (directory / 'configs' / 'digits.py').write_text(
    'import pathlib, runpy\n'
    "WHOLE = pathlib.Path(__file__).with_name('whole.py')\n\n\n"
    'def get_config():\n'
    "  config = runpy.run_path(str(WHOLE))['get_config']()\n"
    '  config.lanes.update(beta=(1.0,), latent_size=(8, 10), seed=(0,))\n'
    '  config.encoder.hidden = config.decoder.hidden = (16,)\n'
    '  config.train.update(steps=20, log_every=20, evaluate_every=20, checkpoint_every=20)\n'
    '  config.evaluation.update(nll_samples=10)\n'
    '  return config\n'
  )
  return directory


@pytest.mark.parametrize('page', ['README.md', 'docs/python.md'])
def test_the_lines_of_python_run(page, trained, folder, monkeypatch):
  blocks = re.findall(r'```python\n(.*?)```', (ROOT / page).read_text(encoding='utf-8'), re.DOTALL)
  lines = [block for block in blocks if 'vae_jax.train(' in block]
  assert lines, page
  monkeypatch.chdir(trained)
  space = {}
  for block in lines:
    exec(compile(block, page, 'exec'), space)
  # A comment at the end of a line says the shape.
  for name, shape in re.findall(r'^(\w+) = .*# \[(\d[\d, ]*)\]', '\n'.join(lines), re.MULTILINE):
    assert list(space[name].shape) == [int(size) for size in shape.split(',')], name


def test_the_page_has_every_method():
  page = (ROOT / 'docs' / 'python.md').read_text(encoding='utf-8')
  for owner, prefix in ((vae_jax.Run, 'run'), (vae_jax.Lane, 'lane')):
    names = [name for name in vars(owner) if not name.startswith('_')]
    names += list(owner.__dataclass_fields__)
    for name in names:
      inner = name in ('params', 'shared', 'arrays', 'facts', 'seeded')
      assert inner or f'{prefix}.{name}' in page, f'{prefix}.{name}'
