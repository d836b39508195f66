"""The file of own parts in docs/parts.md is a study, as it stands there."""

import re
import sys

import pytest
from conftest import ROOT

from vae_jax import study

pytestmark = pytest.mark.run


@pytest.fixture
def mine(tmp_path, monkeypatch):
  page = (ROOT / 'docs/parts.md').read_text()
  (source, test) = re.findall(r'```python\n(.*?)```', page, re.DOTALL)
  (tmp_path / 'mine.py').write_text(source)
  monkeypatch.syspath_prepend(tmp_path)
  import mine

  yield mine, test
  del sys.modules['mine']


def test_the_study_is_built_and_its_parts_obey_the_laws(mine):
  module, test = mine
  built = study.from_config(module.get_config())  # which holds every part to its laws
  assert built.dataset.support == 'count'
  assert built.names[0] == 'b0.5-z2-s0'
  names = {}
  exec(test, names)  # what the page offers to a user's own tests
  names['test_residual']()
