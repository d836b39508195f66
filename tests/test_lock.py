"""What the two commands for a newcomer install: the versions that were tested, file by file."""

import re

import pytest
from conftest import ROOT

pytestmark = pytest.mark.math

PIN = re.compile(r'^([\w.-]+)==([\w.+]+)', re.MULTILINE)


def pins(text: str) -> set[tuple[str, str]]:
  """Returns (name, version) of every pin, names as pip compares them."""
  return {(re.sub(r'[-_.]+', '-', name).lower(), version) for name, version in PIN.findall(text)}


def test_the_lock_has_the_tested_versions_and_a_sha256_for_each():
  lock = (ROOT / 'requirements.lock').read_text()
  locked, tested = pins(lock), pins((ROOT / 'constraints.txt').read_text())
  assert len(locked) > 100
  # What a package needs on other systems alone was not tested here, and is locked all the same.
  names = {name for name, _ in tested}
  assert {pin for pin in locked if pin[0] in names} <= tested
  assert tested <= locked
  entries = re.split(r'\n(?=\S)', lock.strip())
  assert len(entries) == len(PIN.findall(lock))
  assert all(re.search(r'--hash=sha256:[0-9a-f]{64}(\s|$)', entry) for entry in entries)


def test_the_lock_holds_what_the_project_asks_for():
  required = re.findall(r"'([\w-]+)[^']*>=", (ROOT / 'setup.py').read_text())
  locked = {name for name, _ in pins((ROOT / 'requirements.lock').read_text())}
  assert len(required) > 15
  assert {name.lower().replace('_', '-') for name in required} - {'python-requires'} <= locked
