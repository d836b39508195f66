"""The tour and the lines of Python in README.md and docs/python.md run as they stand there."""

import contextlib
import io
import json
import re
import shutil

import pytest
from conftest import ROOT, without_images, without_parts
from matplotlib import pyplot as plt

import vae_jax
from vae_jax import config_files, figures
from vae_jax.runs import outcome

pytestmark = pytest.mark.process

TOUR = ROOT / 'experiments' / 'tour.ipynb'


@pytest.fixture(scope='module')
def toured(tmp_path_factory):
  """The folder in which the tour was run, what its cells have made, and what they said."""
  folder = tmp_path_factory.mktemp('tour')
  space, said = {}, io.StringIO()
  with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(said):
    patch.chdir(folder)
    patch.setattr(plt, 'show', lambda: plt.close('all'))
    # Of what the run leaves, nobody looks at its pictures, the parts of its rate, its mixtures.
    patch.setattr(figures, 'draw_all', lambda directory: None)
    without_images(patch)
    without_parts(patch)
    patch.setattr(outcome.estimates, '_mixtures', lambda *_: None)
    for cell in cells():
      if cell['cell_type'] == 'code':
        source = ''.join(cell['source']).replace('steps=1500', 'steps=20, log_every=20')
        source = source.replace('=500', '=20').replace('samples=100', 'samples=2')
        # As many images of each split are evaluated by one program.
        source = source.replace('test_images=359', 'test_images=359, train_images=359')
        exec(compile(source, TOUR.name, 'exec'), space)
  return folder, space, said.getvalue()


def cells():
  return json.loads(TOUR.read_text(encoding='utf-8'))['cells']


def test_the_tour_runs_from_its_first_cell_to_its_last(toured, monkeypatch):
  folder, space, said = toured
  nll, in_table = re.search(r'NLL (\S+) nats, and (\S+) in the table', said).groups()
  assert nll == in_table
  assert space['codes'].shape == (359, space['lane'].latent_size)
  monkeypatch.chdir(folder)
  assert vae_jax.load('runs/tour').names == space['run'].names  # by a relative path


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


@pytest.mark.parametrize('page', ['README.md', 'docs/python.md'])
def test_the_lines_of_python_run(page, toured, tmp_path, monkeypatch):
  """They train the study of the tour, under the names that they have: it is finished already."""
  folder, made, _ = toured
  shutil.copytree(folder / 'runs' / 'tour', tmp_path / 'runs' / 'digits')
  given = f'def get_config():\n  return {made["config"].to_dict()!r}\n'
  (tmp_path / 'digits.py').write_text(given)
  monkeypatch.setattr(config_files, '_studies', lambda: tmp_path)
  monkeypatch.chdir(tmp_path)
  blocks = re.findall(r'```python\n(.*?)```', (ROOT / page).read_text(encoding='utf-8'), re.DOTALL)
  (lines,) = [block for block in blocks if 'vae_jax.train(' in block]
  space = {}
  exec(compile(lines, page, 'exec'), space)
  assert space['codes'].shape == (359, space['lane'].latent_size)
  # A comment at the end of a line says the shape.
  for name, shape in re.findall(r'^(\w+) = .*# \[(\d[\d, ]*)\]', lines, re.MULTILINE):
    assert list(space[name].shape) == [int(size) for size in shape.split(',')], name


def test_the_page_has_every_method():
  page = (ROOT / 'docs' / 'python.md').read_text(encoding='utf-8')
  for owner, prefix in ((vae_jax.Run, 'run'), (vae_jax.Lane, 'lane')):
    names = [name for name in vars(owner) if not name.startswith('_')]
    names += list(owner.__dataclass_fields__)
    for name in names:
      inner = name in ('params', 'shared', 'arrays', 'facts', 'seeded')
      assert inner or f'{prefix}.{name}' in page, f'{prefix}.{name}'
