"""Signals [T, C] through the whole program: read, trained, drawn, and at the front door."""

import numpy as np
import pytest
from conftest import small_config

import vae_jax
from vae_jax import data, errors, records

pytestmark = [pytest.mark.run, pytest.mark.usefixtures('traced_once')]


def sines(count, channels, seed=0):
  rng = np.random.default_rng(seed)
  t = np.arange(30)[:, None]
  phase, period = rng.uniform(0, 6.3, (count, 1, 1)), rng.uniform(8, 15, (count, 1, channels))
  return np.sin(6.283 * t / period + phase) + 0.1 * rng.normal(size=(count, 30, channels))


def study(path, net='conv', **sections):
  config = small_config()
  config['data'] |= dict(name='npz', path=str(path), kind='signal', binarize='none', labels='')
  config['data'] |= dict(scale_to_unit=False, standardize='all')
  config['likelihood'] = dict(name='gaussian', scale='shared')
  convs = dict(channels=(4,), kernels=(5,), strides=(3,), hidden=(16,))
  nets = {'conv': (convs, convs), 'resnet': (dict(widths=(8, 8)), dict(widths=(8, 8)))}
  for part, settings in zip(('encoder', 'decoder'), nets[net], strict=True):
    config[part] = dict(name=net, **settings)
  config['lanes'] |= dict(beta=(1.0,), latent_size=(3,))
  return config | sections


@pytest.mark.slow  # nets, likelihood and pictures of signals have tests of their own
@pytest.mark.parametrize(('net', 'channels'), [('conv', 2), ('resnet', 1)])
def test_a_signal_is_trained_and_drawn_by_its_values(tmp_path, net, channels):
  x = sines(90, channels).astype(np.float32)
  given = x[..., 0] if channels == 1 else x
  np.savez(tmp_path / 'mine.npz', train=given[:60], test=given[60:])
  run = vae_jax.train(study(tmp_path / 'mine.npz', net), tmp_path / 'run')
  lane = run.best()
  assert run.event == (30, channels)
  assert lane.reconstruct(given[60:63]).shape == (3, 30, channels)
  assert np.isfinite(lane.log_likelihood(given[60:62], 10)).all()
  images = records.read_images(tmp_path / 'run' / 'images.npz', 1)
  assert images['reconstructions'].shape == (1, 8, 30, channels)
  chosen = data.subset(30, 8, run.config['data']['seed'])
  np.testing.assert_allclose(images['originals'], x[60:][chosen], rtol=1e-6)
  expected = lane.reconstruct(given[60:][chosen])
  np.testing.assert_allclose(images['reconstructions'][0], expected, rtol=1e-4, atol=1e-4)


def test_what_is_no_signal_is_said(tmp_path):
  np.savez(tmp_path / 'mine.npz', train=np.zeros((9, 4, 4, 3), np.float32))
  config = study(tmp_path / 'mine.npz')
  config['data'] |= dict(test_split='train')
  with pytest.raises(errors.InputError, match=r"data.kind='signal': .* a signal is \[T\] or"):
    vae_jax.train(config, tmp_path / 'run')
  np.savez(tmp_path / 'mine.npz', train=np.random.default_rng(0).normal(size=(9, 4)))
  config['data'] |= dict(kind='real')
  with pytest.raises(errors.InputError, match=r"encoder.name='conv' needs images \[H, W, C\], or"):
    vae_jax.train(config, tmp_path / 'run')
