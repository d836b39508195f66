"""A folder of photographs trains by the config for it, with the settings that it says to change."""

import numpy as np
import pytest
from PIL import Image

from configs import own_rgb
from vae_jax import records
from vae_jax.runs import training

pytestmark = pytest.mark.run


@pytest.mark.slow
def test_photographs_of_two_classes_are_trained_on_in_their_colours(
  tmp_path, monkeypatch, no_pictures
):
  monkeypatch.setenv('VAE_JAX_CACHE', str(tmp_path / 'cache'))
  colours = {'sea': (10, 60, 200), 'sand': (220, 180, 90)}
  for name, colour in colours.items():
    (tmp_path / 'photos' / name).mkdir(parents=True)
    for i in range(20):
      image = np.full((12, 10 + i % 3, 3), colour, np.uint8)
      Image.fromarray(image).save(tmp_path / 'photos' / name / f'{i}.png')
  config = own_rgb.get_config()
  config.data.update(path=str(tmp_path / 'photos'), size=(8, 8))
  config.lanes.update(beta=(1.0,), latent_size=(2,), learning_rate=(0.01,))
  for part in (config.encoder, config.decoder):
    part.update(channels=(4,), kernels=(4,), strides=(2,))
  config.train.update(steps=60, batch_size=8, log_every=60, evaluate_every=60, checkpoint_every=60)
  config.evaluation.update(nll_samples=2, nll_images=2, aggregate_images=2)
  training.run(config, tmp_path / 'run')
  images = records.read_images(tmp_path / 'run' / 'images.npz', 1)
  found = {tuple(image.reshape(-1, 3)[0].tolist()) for image in images['originals']}
  assert found <= set(colours.values())
  for original, (image,) in zip(
    images['originals'], np.swapaxes(images['reconstructions'], 0, 1), strict=True
  ):
    far = np.abs(image.astype(int) - original).mean()
    assert far < np.abs(image.astype(int) - original[..., ::-1]).mean() and far < 60
