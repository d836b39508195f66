"""What compilers say of a study: by hand, of this CPU; and of TPUs, where their compiler is."""

import importlib.util
import os
import subprocess
import sys

import pytest
from conftest import ENVIRONMENT_OF_USERS, ROOT, small_config

from vae_jax import ahead, errors, placement, study
from vae_jax.ahead import compiling, topologies

pytestmark = pytest.mark.run


@pytest.fixture(scope='module')
def rows():
  """Of two lanes, 64 pixels - 16 - 5 latents - 16 - 64, on one core."""
  config = small_config()
  config['lanes'] |= dict(beta=(1.0,), latent_size=(2, 5))
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(placement, 'free_bytes', lambda: 10**9)
    return {row.program: row for row in ahead.compiled_for(study.from_config(config), 'cpu:1')}


def test_operations_are_those_of_the_layers(rows):
  """Two for each weight forward, four backward, but two where no input has a gradient."""
  encoder, heads, decoder = 64 * 16, 16 * 2 * 5, 5 * 16 + 16 * 64
  expected = {
    'training': 32 * (4 * encoder + 6 * (heads + decoder)),
    'evaluation': 50 * 2 * (encoder + heads + decoder),
    'NLL': 20 * 2 * (encoder + heads + 20 * decoder),  # twenty images with as many samples each
  }
  found = {name: rows[name].operations / 2 for name in expected}  # of one lane
  assert found == pytest.approx(expected, rel=0.02)  # sums by products are none of them


def test_bytes_are_those_of_the_compiler(rows):
  weights = 64 * 16 + 16 + 2 * (16 * 5 + 5) + 5 * 16 + 16 + 16 * 64 + 64
  assert list(rows) == ['init', 'training', 'evaluation', 'NLL']
  for row in rows.values():
    assert (row.width, row.lanes, row.collectives, row.seconds) == (2, 2, {}, None)
    assert row.program == 'init' or abs(row.padding) < 0.01  # a CPU pads nothing
    assert row.bytes == row.arguments + row.outputs + row.temporaries - row.aliases
    assert row.fits and row.memory == 10**9
  # Weights, and two moments of each.
  assert rows['init'].outputs == pytest.approx(2 * 3 * 4 * weights, rel=0.01)
  assert rows['training'].aliases == pytest.approx(rows['init'].outputs, rel=0.01)
  assert rows['training'].flops > rows['training'].operations
  assert not rows['training']._replace(memory=rows['training'].bytes - 1).fits
  assert not rows['training']._replace(arguments=None).fits


def test_collectives_are_counted_by_kind():
  text = """
    %a.1 = f32[8]{0} all-reduce(%x), channel_id=1
    %b = (f32[8], f32[8]) all-reduce-start(%a.1), channel_id=2
    %c = f32[8] all-reduce-done(%b)
    ROOT %d = f32[16] all-gather(%c), metadata={op_name="all-to-all(x)"}
  """
  assert compiling.collectives_of(text) == {'all-reduce': 2, 'all-gather': 1}


@pytest.mark.parametrize(
  ('name', 'said'),
  [
    ('v5:2x4', "did you mean 'v5p'?"),
    ('v5e', "'' is no shape of v5e; set it as in v5e:2x4"),
    ('v5e:8', "'8' is no shape of v5e"),
    ('v5e:0x4', "'0x4' is no shape of v5e"),
    ('h100:2x4', "'2x4' is no shape of h100"),
    ('cpu:4096', 'JAX has 1 devices; set JAX_NUM_CPU_DEVICES=4096'),
  ],
)
def test_a_topology_that_there_is_not_is_one_line(name, said):
  with pytest.raises(errors.InputError, match='topology=') as caught:
    ahead.topology(name)
  (line,) = caught.value.problems
  assert said in line


@pytest.mark.parametrize(('name', 'extra'), [('v5e:2x4', 'plan-tpu'), ('h100:8', 'plan-cuda')])
def test_a_missing_package_is_named(name, extra, monkeypatch):
  def missing(*args, **keywords):
    raise RuntimeError('JAX TPU support not installed')

  monkeypatch.setattr(topologies.topologies, 'get_topology_desc', missing)
  with pytest.raises(errors.InputError, match=rf"pip install 'vae_jax\[{extra}\]'"):
    ahead.topology(name)


_FOR_A_TPU = """
from configs import digits
from vae_jax import ahead, study
ahead.prepare('v5e:2x4')
config = digits.get_config().to_dict()
config['lanes'] |= dict(beta=(1.0,), latent_size=(5,), seed=tuple(range(16)))
rows = ahead.compiled_for(study.from_config(config), 'v5e:2x4')
print([(row.program, row.lanes, row.fits, row.collectives, row.padding != 0) for row in rows])
config['decoder'] |= dict(hidden=(40_000, 40_000))
print([row.fits for row in ahead.compiled_for(study.from_config(config), 'v5e:2x4')][:2])
"""


_AS_MANY_CHANNELS_AS_EXAMPLES = """
from configs import digits
from vae_jax import ahead, study
from vae_jax.ahead import compiling
from vae_jax.ahead.parts import parts_of
ahead.prepare('v5e:2x4')
config = digits.get_config().to_dict()
config['lanes'] |= dict(beta=(0.5, 1.0), latent_size=(64,), seed=(0,))
config['train'] |= dict(batch_size=64)
config['encoder'] = config['decoder'] = dict(name='resnet', widths=(64,))
built = study.placed(study.from_config(config), ahead.topology('v5e:2x4').devices)
(training,) = [part for part in parts_of(built) if part.name == 'training']
print(sorted(compiling.collectives_of(training.lower().compile().as_text())))
"""

for_a_tpu = pytest.mark.skipif(importlib.util.find_spec('libtpu') is None, reason='extra plan-tpu')


def printed_by(code):
  """What some lines of Python print, in a process of their own."""
  process = subprocess.run(
    [sys.executable, '-c', code],
    cwd=ROOT,
    env=os.environ | ENVIRONMENT_OF_USERS,
    capture_output=True,
    text=True,
    timeout=900,
  )
  assert process.returncode == 0, process.stderr
  return process.stdout.splitlines()


@pytest.mark.slow
@for_a_tpu
def test_parameters_are_not_cut_where_there_are_as_many_channels_as_examples():
  """Gradients are summed over the devices of a lane, and drawing noise passes a few numbers on."""
  assert printed_by(_AS_MANY_CHANNELS_AS_EXAMPLES)[-1] == "['all-reduce', 'collective-permute']"


@pytest.mark.slow
@for_a_tpu
def test_digits_on_eight_tpus_need_nothing_of_each_other_and_an_absurd_net_does_not_fit():
  digits, absurd = printed_by(_FOR_A_TPU)[-2:]
  names = ('init', 'training', 'evaluation', 'NLL')
  assert digits == str([(name, 2, True, {}, True) for name in names])
  assert absurd == str([False, False])
