"""A headless Chromium for tests: its own protocol over a pipe, no driver and no package.

  with chromium.browser() as page:
    page.open(path, width=1400, height=900)
    page.value('document.title')

https://chromedevtools.github.io/devtools-protocol
"""

import base64
import collections
import contextlib
import json
import os
import pathlib
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any

NAME = shutil.which('chromium')
_SECONDS = 30.0  # that the slowest answer may take on a busy machine

_FLAGS = (
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-dev-shm-usage',
  '--no-first-run',
  '--hide-scrollbars',
  '--remote-debugging-pipe',
)


# The browser reads from descriptor 3 and writes to 4.
_START = """
import fcntl, os, sys
numbers = [fcntl.fcntl(int(word), fcntl.F_DUPFD, 10) for word in sys.argv[1:3]]
os.dup2(numbers[0], 3)
os.dup2(numbers[1], 4)
os.execv(sys.argv[3], sys.argv[3:])
"""


class Page:
  """One page of a browser, and what went wrong or left it.

  Attributes:
    errors: uncaught errors, errors of the console, what the content-security policy stopped.
    requests: the addresses that were asked for, but those of data in the page itself.
  """

  def __init__(self, write: int, read: int):
    self._write, self._read, self._bytes, self._count = write, read, b'', 0
    self._events = collections.deque()
    self.errors, self.requests = [], []
    target = self._call('Target.createTarget', url='about:blank')['targetId']
    attached = self._call('Target.attachToTarget', targetId=target, flatten=True)
    self._session = attached['sessionId']
    for domain in ('Page', 'Runtime', 'Log', 'Network'):
      self.send(f'{domain}.enable')

  _session = None

  def send(self, method: str, **parameters: Any) -> dict[str, Any]:
    """Calls a method of the protocol for this page."""
    return self._call(method, **parameters)

  def open(self, path: pathlib.Path, width: int, height: int, dark: bool = False) -> None:
    """Loads a file from the disk and waits until its scripts have run."""
    self.resize(width, height)
    scheme = {'name': 'prefers-color-scheme', 'value': 'dark' if dark else 'light'}
    self.send('Emulation.setEmulatedMedia', features=[scheme])
    self.errors.clear()
    self.requests.clear()
    self.send('Page.navigate', url=path.resolve().as_uri())
    self.wait('document.readyState === "complete"')

  def resize(self, width: int, height: int) -> None:
    """Gives the window a size in CSS pixels."""
    size = dict(width=width, height=height, deviceScaleFactor=1, mobile=False)
    self.send('Emulation.setDeviceMetricsOverride', **size)

  def value(self, expression: str) -> Any:
    """Returns the value of an expression of JavaScript, or of the promise that it is."""
    found = self.send(
      'Runtime.evaluate', expression=expression, returnByValue=True, awaitPromise=True
    )
    if 'exceptionDetails' in found:
      raise AssertionError(f'{expression}: {found["exceptionDetails"]}')
    return found['result'].get('value')

  def wait(self, condition: str) -> None:
    """Waits until an expression is true."""
    end = time.monotonic() + _SECONDS
    while not self.value(condition):
      if time.monotonic() > end:
        raise AssertionError(f'never true: {condition}')
      time.sleep(0.02)

  def press(self, key: str, code: int) -> None:
    """Presses and releases a key, as a person does."""
    text = {'Enter': '\r', ' ': ' '}.get(key, '')
    about = dict(key=key, windowsVirtualKeyCode=code, text=text)
    for kind in ('keyDown', 'keyUp'):
      self.send('Input.dispatchKeyEvent', type=kind, **about)

  def picture(self, path: pathlib.Path, whole: bool = False) -> None:
    """Writes what is seen, or the whole page, as PNG."""
    found = self.send('Page.captureScreenshot', captureBeyondViewport=whole)
    path.write_bytes(base64.b64decode(found['data']))

  def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
    self._count += 1
    message = {'id': self._count, 'method': method, 'params': parameters}
    if self._session is not None:
      message['sessionId'] = self._session
    os.write(self._write, json.dumps(message).encode() + b'\0')
    while True:
      answer = self._next()
      if answer.get('id') == self._count:
        if 'error' in answer:
          raise AssertionError(f'{method}: {answer["error"]}')
        return answer['result']
      self._note(answer.get('method'), answer.get('params', {}))

  def _next(self) -> dict[str, Any]:
    while b'\0' not in self._bytes:
      if not select.select([self._read], [], [], _SECONDS)[0]:
        raise AssertionError('Chromium does not answer')
      self._bytes += os.read(self._read, 2**20)
    message, _, self._bytes = self._bytes.partition(b'\0')
    return json.loads(message)

  def _note(self, method: str | None, about: dict[str, Any]) -> None:
    if method == 'Runtime.exceptionThrown':
      self.errors.append(str(about['exceptionDetails']))
    elif method == 'Runtime.consoleAPICalled' and about['type'] in ('error', 'warning'):
      self.errors.append(str(about['args']))
    elif method == 'Log.entryAdded' and about['entry']['level'] in ('error', 'warning'):
      self.errors.append(str(about['entry']))
    elif method == 'Network.requestWillBeSent':
      self.requests.append(about['request']['url'])


@contextlib.contextmanager
def browser() -> Iterator[Page]:
  """Starts a Chromium with an empty profile, and ends it."""
  to_browser, our_write = os.pipe()
  our_read, from_browser = os.pipe()
  with tempfile.TemporaryDirectory() as profile:
    ends = map(str, (to_browser, from_browser))
    process = subprocess.Popen(
      [sys.executable, '-IS', '-c', _START, *ends, NAME, *_FLAGS, f'--user-data-dir={profile}'],
      pass_fds=(to_browser, from_browser),
      stdout=subprocess.DEVNULL,
      stderr=subprocess.DEVNULL,
    )
    os.close(to_browser)
    os.close(from_browser)
    try:
      yield Page(our_write, our_read)
    finally:
      os.close(our_write)  # at which it ends by itself
      os.close(our_read)
      try:
        process.wait(10)
      except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
