"""What several tests need: a small study, and programs that keep their files to themselves."""

import contextlib
import gc
import importlib.metadata
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

# Matrices of a test are small: a second thread of BLAS would wait for them, at the cost of a core.
os.environ.setdefault('OPENBLAS_NUM_THREADS', '1')
# Of what a test runs a few times only, compiling well would take most of the time. The bits are
# others than those of a user's run; tests of bits by the full compiler say `full_compiler`.
os.environ['JAX_DISABLE_MOST_OPTIMIZATIONS'] = '1'
# No operation is told from which lines of Python it comes: nobody reads a program of a test.
os.environ['JAX_TRACEBACK_IN_LOCATIONS_LIMIT'] = '0'
# A program in one piece for LLVM, where XLA cuts it into 32 for as many cores, takes a sixth less.
# XLA's older emitter of loops takes half of the time of its successor to compile. jaxlib 0.11 has
# it no more, and a flag that XLA does not know ends the process.
os.environ['XLA_FLAGS'] = ' '.join(
  [
    os.environ.get('XLA_FLAGS', ''),
    '--xla_cpu_parallel_codegen_split_count=1',
    *(
      ['--xla_cpu_use_fusion_emitters=false']
      if importlib.metadata.version('jaxlib').startswith('0.10.')
      else []
    ),
  ]
)

# JAX also keeps what XLA tunes for a GPU, in a directory whose path becomes part of the key of each
# program that is kept: that of a suite is its own, so that no later suite would find any.
os.environ['JAX_PERSISTENT_CACHE_ENABLE_XLA_CACHES'] = 'none'
os.environ['JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS'] = '0.02'

import pytest

# The process that hands out the tests of `./launch/test` runs none: it need not wait for JAX.
_processes = ''.join(word for word in sys.argv if re.match('-n|--numproc', word))
RUNS_TESTS = (
  'PYTEST_XDIST_WORKER' in os.environ
  or re.fullmatch(r'--numprocesses=[1-9]\d*', _processes) is None
)
if RUNS_TESTS:
  import haste
  import jax
  import numpy as np
  from jax._src import compiler

  from configs import digits
  from vae_jax import figures, programs

gc.disable()  # until all is imported: `pytest_collection_finish`
ROOT = pathlib.Path(__file__).resolve().parent.parent

# Which test comes first must not say how many devices there are: `vae_jax.train` makes each core
# one where there are none yet. Tests of several have processes of their own, which say so.
if RUNS_TESTS and 'device_count' not in os.environ['XLA_FLAGS']:
  jax.config.update('jax_num_cpu_devices', 1)

ENVIRONMENT_OF_USERS = {  # of a program that a test starts, which inherits what is set above
  'JAX_DISABLE_MOST_OPTIMIZATIONS': '0',
  'XLA_FLAGS': os.environ['XLA_FLAGS']
  .replace('codegen_split_count=1', 'codegen_split_count=32')
  .replace('fusion_emitters=false', 'fusion_emitters=true'),
}

# A run of W&B reads what is said of each package that is installed, to list them.
os.environ['WANDB_X_SAVE_REQUIREMENTS'] = 'false'

# Nothing that a test leaves has to survive a power cut: waiting for the disk would be a tenth of a
# small run. Processes that tests start wait for it, and tests of the order of writes look at calls.
os.fsync = lambda descriptor: None

# A suite that runs in the background, under nohup or a profiler inherits ignored signals, and hands
# them on to the programs that it starts; what is ignored stays so in them.
for _number in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
  if signal.getsignal(_number) is signal.SIG_IGN:
    _is_ctrl_c = _number is signal.SIGINT
    signal.signal(_number, signal.default_int_handler if _is_ctrl_c else signal.SIG_DFL)


def pytest_addoption(parser):
  """Adds what `haste.py` says."""
  parser.addoption('--plain-jax', action='store_true', help='leave JAX as it is; slower')


def pytest_configure(config):
  """Drops what a killed process left half written of the programs that the last suite compiled."""
  if RUNS_TESTS and not config.option.plain_jax:
    haste.begin()
  if hasattr(config, 'workerinput'):
    return
  checked, now = config.cache.get('compiled/checked', 0.0), time.time()
  paths = config.cache.mkdir('compiled').iterdir()
  files = {path: path.stat() for path in paths if path.is_file()}
  too_large = sum(stat.st_size for stat in files.values()) > 2**30
  for path, stat in files.items():
    if too_large or (stat.st_mtime >= checked and is_torn(path)):
      path.unlink()
  config.cache.set('compiled/checked', now)


def is_torn(path: pathlib.Path) -> bool:
  """Whether a compiled program that is kept cannot be read."""
  from jax._src import compilation_cache

  try:
    compilation_cache.decompress_executable(path.read_bytes())
  except Exception:  # of whichever compression there is
    return True
  return False


def pytest_collection_modifyitems(items):
  """Puts first what waits, for a process or the network: beside it others have work to the end.

  Runs come next: what is left to the end goes to whichever worker is idle, away from what it shares
  with other tests of its file.
  """
  items.sort(
    key=lambda item: [item.get_closest_marker(name) is None for name in ('process', 'run')]
  )


def pytest_collection_finish(session):
  """What is imported now is no garbage: the collector need not walk through it again."""
  del session
  gc.freeze()
  gc.set_threshold(4_000_000, 20, 20)  # a twentieth of all time goes into it else
  gc.enable()


def pytest_sessionfinish(session, exitstatus):
  """Of a process that ends nothing is garbage, which pytest looks for five times."""
  gc.freeze()
  was_whole = exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
  if was_whole and not hasattr(session.config, 'workerinput'):  # all others have ended, too
    session.config.cache.set('compiled/checked', time.time())


@pytest.fixture(scope='session')
def suite_directory(tmp_path_factory, request):
  """A directory of this run of the suite, which all its workers share."""
  root = tmp_path_factory.getbasetemp()  # of a worker, in that of the run
  return root.parent if hasattr(request.config, 'workerinput') else root


@pytest.fixture(scope='session', autouse=True)
def cache(suite_directory, request):
  """One cache for the whole suite, away from the user's; compiled programs serve later ones too."""
  directory = suite_directory / 'cache'
  directory.mkdir(mode=0o700, exist_ok=True)
  with contextlib.suppress(FileExistsError):  # another worker was first
    (directory / 'xla').symlink_to(request.config.cache.mkdir('compiled'))
  previous = os.environ.get('VAE_JAX_CACHE')
  os.environ['VAE_JAX_CACHE'] = str(directory)
  jax.config.update('jax_compilation_cache_dir', str(directory / 'xla'))
  yield directory
  if previous is None:
    del os.environ['VAE_JAX_CACHE']
  else:
    os.environ['VAE_JAX_CACHE'] = previous


@pytest.fixture
def emitter_of_users(monkeypatch):
  """Compiles in haste, but loops as for a user: for equal bits of programs that are not the same.

  The older emitter rounds a value otherwise where it is fused with what is made of it.
  """
  if 'xla_cpu_use_fusion_emitters' not in os.environ['XLA_FLAGS']:
    return
  options = compiler.get_compile_options

  def as_for_a_user(*arguments, env_options_overrides=None, **keywords):
    overrides = {'xla_cpu_use_fusion_emitters': 'True', **(env_options_overrides or {})}
    return options(*arguments, env_options_overrides=overrides, **keywords)

  monkeypatch.setattr(compiler, 'get_compile_options', as_for_a_user)


@pytest.fixture
def full_compiler(emitter_of_users):
  """Compiles as for a user: where the bits of his programs, or their speed, are what is tested."""
  del emitter_of_users
  jax.config.update('jax_disable_most_optimizations', False)
  jax.config.update('jax_use_shardy_partitioner', True)
  yield
  jax.config.update('jax_use_shardy_partitioner', False)
  jax.config.update('jax_disable_most_optimizations', True)


def without_pictures(patch: pytest.MonkeyPatch):
  """Runs draw nothing: of a small run, its pictures take half of the time."""
  from vae_jax.runs import outcome

  patch.setattr(figures, 'draw_all', lambda directory: None)
  patch.setattr(outcome, 'write_page', lambda directory: None)


@pytest.fixture
def no_pictures(monkeypatch):
  """For a test; a fixture of a module has `without_pictures`."""
  without_pictures(monkeypatch)


@pytest.fixture(scope='module')
def traced_once():
  """For a module: a config is traced and compiled at its first run; see `traced_once.py`."""
  from traced_once import programs

  with programs():
    yield


def without_images(patch: pytest.MonkeyPatch):
  """Runs have no `images.npz`, which a program of its own makes."""
  from vae_jax.runs import outcome

  patch.setattr(outcome, 'save_images', lambda *arguments: None)


def without_estimates(patch: pytest.MonkeyPatch):
  """Runs end with their last evaluation: of what a run compiles, half is for what follows it."""
  from vae_jax.runs import outcome

  patch.setattr(outcome, 'estimate', lambda *arguments: outcome.Estimates({}, []))
  without_images(patch)


def without_parts(patch: pytest.MonkeyPatch):
  """Runs have no parts of the rate, which a program of its own estimates."""

  def none(model, params, lanes, *others, **keywords):
    return {'mutual_information': np.zeros(len(lanes.mask))}

  patch.setattr(programs, 'aggregate', none)


@pytest.fixture
def no_parts(monkeypatch):
  """For a test that reads nothing of the parts of the rate."""
  without_parts(monkeypatch)


@pytest.fixture
def width_one(config):
  """For a test that takes one lane of `config`: how many a program has best is not asked."""
  config['program'] |= dict(width=1)


@pytest.fixture
def no_images(monkeypatch):
  """For a test that reads none of `images.npz`."""
  without_images(monkeypatch)


@pytest.fixture
def no_estimates(monkeypatch, no_pictures):
  """For a test that reads nothing of what follows the last evaluation."""
  without_estimates(monkeypatch)


def small_config() -> dict:
  """The digits study, cut down to a few seconds: 2 betas x 2 latent sizes x 1 seed."""
  config = digits.get_config().to_dict()
  config['data'] |= dict(train_split='train', validation_split='')  # what most tests are about
  config['lanes'] |= dict(beta=(0.5, 4.0), latent_size=(2, 5), seed=(0,))
  config['encoder'] |= dict(hidden=(16,))
  config['decoder'] |= dict(hidden=(16,))
  config['train'] |= dict(
    steps=65, batch_size=32, log_every=10, evaluate_every=20, checkpoint_every=20
  )
  config['evaluation'] |= dict(
    train_images=50,
    test_images=50,
    nll_samples=20,
    nll_images=30,
    aggregate_images=25,
    factor_images=50,
    mixture_components=0,  # scikit-learn takes a second to import
  )
  return config


@pytest.fixture
def config():
  """A fresh copy of the small study."""
  return small_config()


@pytest.fixture
def launched():
  """Runs `python -m launch.NAME *arguments` as a user would; returns the finished process."""

  def run(name: str, *arguments: str, **keywords) -> subprocess.CompletedProcess:
    return subprocess.run(
      [sys.executable, '-m', f'launch.{name}', *arguments],
      cwd=keywords.pop('cwd', ROOT),
      env=os.environ | keywords.pop('env', {}),
      capture_output=True,
      text=True,
      timeout=300,
      **keywords,
    )

  return run
