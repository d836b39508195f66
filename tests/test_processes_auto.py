"""--processes=auto: what Slurm, MPI and a TPU slice say in the environment of a process."""

import http.server
import threading

import pytest

from vae_jax import errors, multihost
from vae_jax.commands import together, train
from vae_jax.multihost import environment

pytestmark = pytest.mark.run

SLURM = {'SLURM_STEP_ID': '0', 'SLURM_JOB_ID': '41', 'SLURM_STEP_NUM_TASKS': '4'}
SLURM |= {'SLURM_PROCID': '3', 'SLURM_STEP_NODELIST': 'gpu[08-11]'}


@pytest.fixture(autouse=True)
def no_metadata(monkeypatch):
  monkeypatch.setenv('GCE_METADATA_HOST', 'localhost:1')
  # What a compiler for TPUs is told where there is none is no slice.
  monkeypatch.setenv('TPU_WORKER_HOSTNAMES', 'localhost')


@pytest.mark.parametrize(
  ('nodes', 'first'),
  [
    ('gpu[08-11,17],cpu1', 'gpu08'),
    ('host0', 'host0'),
    ('a-1,a-2', 'a-1'),
    ('rack[2,4]n1', 'rack2n1'),
  ],
)
def test_the_first_host_of_a_list_of_slurm(nodes, first):
  assert environment.first_host(nodes) == first


def test_srun_says_all():
  here = multihost.found(SLURM)
  assert here == multihost.Found('Slurm', 'gpu08:20041', 4, 3)
  # All of one job meet at one port, those of another job elsewhere.
  assert multihost.found(SLURM | {'SLURM_PROCID': '0'}).coordinator == here.coordinator
  assert multihost.found(SLURM | {'SLURM_JOB_ID': '42'}).coordinator != here.coordinator


def test_the_port_of_a_job_is_none_that_linux_hands_out():
  """Those from 32,768 on may be another program's at any moment."""
  for job in (1, 11_999, 12_768, 19_999, 4_000_000):
    address = multihost.found(SLURM | {'SLURM_JOB_ID': str(job)}).coordinator
    assert 1024 <= int(address.rpartition(':')[2]) < 32_768


def test_a_batch_script_outside_of_srun_is_no_process_of_several():
  with pytest.raises(errors.InputError, match='neither Slurm'):
    multihost.found({name: value for name, value in SLURM.items() if name != 'SLURM_STEP_ID'})


def test_mpirun_says_the_numbers_alone():
  openmpi = {'OMPI_COMM_WORLD_SIZE': '2', 'OMPI_COMM_WORLD_RANK': '1'}
  assert multihost.found(openmpi) == multihost.Found('MPI', '', 2, 1)
  assert multihost.found({'PMI_SIZE': '8', 'PMI_RANK': '0'}) == multihost.Found('MPI', '', 8, 0)


def test_a_tpu_slice_says_all():
  gke = {'TPU_WORKER_HOSTNAMES': 'w-0.svc,w-1.svc', 'TPU_WORKER_ID': '1'}
  here = multihost.found(gke)
  assert (here.count, here.index) == (2, 1)
  assert here.coordinator.startswith('w-0.svc:')


def test_the_workers_of_a_slice_ask_the_server_of_their_metadata():
  told = {
    'agent-worker-number': '2',
    'worker-network-endpoints': 'a:b:10.0.0.5,a:b:10.0.0.6,a:b:10.0.0.7',
  }

  class Server(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
      assert self.headers['Metadata-Flavor'] == 'Google'
      self.send_response(200)
      self.end_headers()
      self.wfile.write(told[self.path.rpartition('/')[2]].encode())

    def log_message(self, *_):
      pass

  with http.server.ThreadingHTTPServer(('localhost', 0), Server) as server:
    threading.Thread(target=server.serve_forever, daemon=True).start()
    here = multihost.found({'GCE_METADATA_HOST': f'localhost:{server.server_port}'})
    server.shutdown()
  assert (here.coordinator.rpartition(':')[0], here.count, here.index) == ('10.0.0.5', 3, 2)


@pytest.mark.parametrize(
  ('change', 'line'),
  [
    ({'SLURM_PROCID': 'x'}, "SLURM_PROCID='x' is no number"),
    ({'SLURM_PROCID': '4'}, 'Slurm says process 4 of 4'),
    ({'SLURM_STEP_NODELIST': ''}, "SLURM_STEP_NODELIST='' names no host"),
  ],
)
def test_what_cannot_be_is_refused(change, line):
  with pytest.raises(errors.InputError, match=line):
    multihost.found(SLURM | change)


def flags_of(*words):
  own = train.make().flags
  own(['train', *words])
  return own


def test_flags_go_before_the_environment(monkeypatch):
  for name, value in SLURM.items():
    monkeypatch.setenv(name, value)
  assert together.process_of(flags_of()) is None  # not asked for
  here = together.process_of(flags_of('--processes=auto', '--coordinator=other:7'))
  assert here == multihost.Found('Slurm', 'other:7', 4, 3)
  given = flags_of('--processes=2', '--process=1', '--coordinator=host:9')
  assert together.process_of(given)[1:] == ('host:9', 2, 1)
  monkeypatch.setenv('SLURM_STEP_NUM_TASKS', '1')
  monkeypatch.setenv('SLURM_PROCID', '0')
  assert together.process_of(flags_of('--processes=auto')) is None  # one alone


@pytest.mark.parametrize(
  ('words', 'line'),
  [
    (('--processes=auto', '--process=1'), '--process=1: --processes=auto says it'),
    (('--processes=all', '--process=1', '--coordinator=a:1'), "--processes=all is no number"),
    (('--processes=0', '--process=0', '--coordinator=a:1'), 'the nearest valid value is 1'),
    (('--processes=auto',), 'neither Slurm'),
  ],
)  # fmt: skip
def test_flags_that_do_not_go_together(monkeypatch, words, line):
  for name in SLURM:
    monkeypatch.delenv(name, raising=False)
  with pytest.raises(errors.InputError, match=line):
    together.process_of(flags_of(*words))


def test_mpi_needs_the_coordinator(monkeypatch):
  monkeypatch.setenv('PMI_SIZE', '2')
  monkeypatch.setenv('PMI_RANK', '0')
  with pytest.raises(errors.InputError, match='MPI does not say where process 0 is'):
    together.process_of(flags_of('--processes=auto'))
