"""report.html in a browser: what a person does with it, and that nothing fails or leaves it."""

import chromium
import numpy as np
import pytest
from report_run import make_run, rows_of

from vae_jax import report

pytestmark = pytest.mark.process

DRAWN = 'document.documentElement.dataset.drawn === "all"'
ENTER, TAB = 13, 9


@pytest.fixture(scope='module')
def path(tmp_path_factory):
  """A page of a study with an evil name, and a lane that diverged."""
  directory = tmp_path_factory.mktemp('report') / 'run'
  rows = rows_of()
  rows[3] |= {'status': 'diverged', 'test/nll': np.nan, 'test/elbo': np.nan, 'reason': 'NaN'}
  make_run(directory, rows, study='<script>document.title = "evil"</script>')
  report.write([report.read(directory)], directory / 'report.html')
  return directory / 'report.html'


@pytest.fixture(scope='module')
def browser():
  if chromium.NAME is None:
    pytest.skip('there is no chromium (apt install chromium)')
  with chromium.browser() as page:
    yield page


@pytest.fixture
def page(browser, path):
  """The page on a wide screen, all drawn; in the end nothing has failed or left."""
  browser.open(path, 1400, 900)
  browser.wait(DRAWN)
  yield browser
  assert browser.errors == []
  assert {url.partition(':')[0] for url in browser.requests} <= {'file', 'data'}
  assert sum(url.startswith('file:') for url in browser.requests) == 1


def column(page, name):
  """Returns the texts of a column of the table, of the rows that are shown."""
  return page.value(
    f"""(() => {{
      const heads = [...document.querySelectorAll('#lanes th')];
      const i = heads.findIndex((head) => head.textContent === '{name}');
      const rows = [...document.querySelectorAll('#lanes tbody tr')].filter((row) => !row.hidden);
      return rows.map((row) => row.cells[i].textContent);
    }})()"""
  )


def head(name):
  heads = "[...document.querySelectorAll('#lanes th')]"
  return f"{heads}.find((head) => head.textContent === '{name}')"


def choose(page, place, value, event='change'):
  """Gives a field a value, as a person does."""
  page.value(
    f"""(() => {{
      const field = document.getElementById('{place}');
      field.value = '{value}';
      field.dispatchEvent(new Event('{event}'));
    }})()"""
  )


def lines(page, place):
  return page.value(f"document.querySelectorAll('{place} svg .mark-line path').length")


def test_the_answer_is_seen_without_scrolling_and_the_page_fits_a_telephone(page):
  bottom = page.value(
    "Math.max(...[...document.querySelectorAll('header figure')].map(f => "
    'f.getBoundingClientRect().bottom))'
  )
  assert 0 < bottom <= 900
  assert page.value("document.querySelectorAll('header svg').length") == 2
  for width in (1400, 400):
    page.resize(width, 900)
    page.wait(f'document.documentElement.scrollWidth <= {width}')  # charts are drawn anew
  assert page.value('document.title') != 'evil'


def test_a_print_cuts_no_chart_off(page):
  page.send('Emulation.setEmulatedMedia', media='print')
  try:
    page.value("document.body.style.width = '800px'")  # no event tells the charts of it
    ends = page.value(
      "[...document.querySelectorAll('svg')].map(e => e.getBoundingClientRect().right)"
    )
  finally:
    page.send('Emulation.setEmulatedMedia', media='')
  assert len(ends) > 5 and max(ends) <= 800


def test_a_press_on_a_heading_sorts_and_a_second_one_the_other_way(page):
  names = column(page, 'lane')
  page.value(f'{head("NLL")}.firstChild.focus()')
  page.press('Enter', ENTER)
  assert page.value(f'{head("NLL")}.getAttribute("aria-sort")') == 'ascending'
  *known, unknown = column(page, 'NLL')
  assert list(map(float, known)) == sorted(map(float, known)) and unknown == ''
  page.press('Enter', ENTER)
  assert page.value(f'{head("NLL")}.getAttribute("aria-sort")') == 'descending'
  *known, unknown = column(page, 'NLL')
  assert list(map(float, known)) == sorted(map(float, known), reverse=True) and unknown == ''
  assert sorted(column(page, 'lane')) == sorted(names)


def test_words_and_a_status_filter_the_table(page):
  choose(page, 'filter', 'z8 s1', 'input')
  found = column(page, 'lane')
  assert len(found) == 3 and all('z8' in name and 's1' in name for name in found)
  choose(page, 'filter', '', 'input')
  choose(page, 'status', 'diverged')
  assert column(page, 'status') == ['diverged']
  assert page.value("document.getElementById('matching').textContent") == '1 of 12 lanes'


def test_a_lane_is_shown_from_the_table_by_keyboard(page):
  page.value("document.querySelector('#lanes tbody tr:nth-child(4) button').focus()")
  page.press('Enter', ENTER)
  shown = page.value("document.getElementById('lane').value")
  assert shown == column(page, 'lane')[3]
  assert 'diverged' in page.value("document.getElementById('warnings').textContent")
  alts = page.value("[...document.querySelectorAll('#pictures img')].map((image) => image.alt)")
  assert len(alts) == 4 and all(shown in alt for alt in alts)
  assert page.value('document.activeElement.id') == 'lane'


def test_lanes_leave_the_learning_curves_by_groups_and_one_by_one(page):
  assert lines(page, '#learning') == 11  # the twelfth has no finite ELBO
  page.value("document.querySelector('#groups input').click()")
  page.wait("document.querySelectorAll('#learning svg .mark-line path').length < 11")
  assert lines(page, '#learning') == 8
  page.value("document.querySelector('#singles input').click()")
  page.wait("document.querySelectorAll('#learning svg .mark-line path').length === 9")
  assert page.value("document.querySelector('#groups input').indeterminate")
  groups = []
  for by in ('latent size', 'seed'):
    choose(page, 'group', by)
    groups.append(
      page.value("[...document.querySelectorAll('#groups label')].map(l => l.textContent)")
    )
  assert groups == [['2', '8'], ['0', '1']]


def test_the_page_is_dark_where_the_system_is_and_where_the_button_says(browser, path):
  def colour():
    return browser.value('getComputedStyle(document.documentElement).backgroundColor')

  browser.open(path, 1400, 900, dark=True)
  dark = colour()
  browser.value("document.getElementById('theme').click()")
  light = colour()
  browser.open(path, 1400, 900)
  assert (colour(), dark) == (light, 'rgb(18, 20, 23)')
  browser.value("document.getElementById('theme').click()")
  assert colour() == dark
