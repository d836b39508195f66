"""The page of settings: each key, what it may be, what it means; the documentation has the same."""

import pytest
from conftest import ROOT

from vae_jax import checks, parts, validation
from vae_jax.commands import command, reference, train

pytestmark = pytest.mark.run

SECTIONS = tuple(reference.sections())


def test_the_long_help_has_every_key_in_lines_that_fit(capsys):
  assert command.exit_code_of(train.make(), ['--helpfull']) == 0
  lines = capsys.readouterr().out.splitlines()
  assert max(map(len, lines)) <= 100
  for key in validation.keys.every():
    assert any(line.startswith(f'  {key}=') for line in lines), key
  assert any('weight of the rate' in line for line in lines)


def test_the_documentation_has_the_page_as_the_code_does():
  """`python -m vae_jax.commands.reference docs/settings.md` writes it anew."""
  page = (ROOT / 'docs/settings.md').read_text()
  assert reference.written_into(page) == page


@pytest.mark.parametrize('section', SECTIONS, ids=lambda section: section.name or 'study')
def test_every_part_says_what_it_is_and_every_key_what_it_means(section):
  for key in section.keys:
    of = [section.parts[name] for name in key.of]
    assert key.meaning or all(f'`{key.name}`' in what for what in of), f'{section.name}.{key.name}'
  assert all(section.parts.values())


def test_the_values_are_those_that_the_check_lets_pass():
  for check, words in {
    checks.choice('a', 'b'): 'one of a, b',
    checks.whole(1): 'a whole number of at least 1',
    checks.whole(2, 9): 'a whole number from 2 to 9',
    checks.real(0.5, 2.0): 'a number from 0.5 to 2',
    checks.flag: 'True or False',
    checks.tuple_of(checks.whole(1)): 'a tuple',
    checks.anything: '',
  }.items():
    assert reference._values(check) == words


def test_a_key_says_of_which_parts_it_is():
  (bound,) = [section for section in SECTIONS if section.name == 'bound']
  owners = {key.name: key.of for key in bound.keys}
  assert owners['num_samples'] == ()
  assert owners['num_groups'] == ('miwae',)
  assert owners['diagonal_ratio'] == ('dip_vae_i', 'dip_vae_ii')
  for section in SECTIONS:
    if section.name in parts.SECTIONS:
      of = {key for key in section.keys if key.of}
      found = {(key.name, name) for key in of for name in key.of}
      builtins = parts.SECTIONS[section.name].builtins
      assert found == {(k, n) for n in builtins for k in parts.parameters(section.name, n)}
