"""Published figures and laws on real MNIST: minutes long, and only where the data are prepared.

./launch/test slow tests/test_published.py
"""

import numpy as np
import pytest

from configs import mnist_beta_latent, mnist_static
from vae_jax import data, errors, records
from vae_jax.runs import training

pytestmark = [pytest.mark.run, pytest.mark.slow]


@pytest.fixture(autouse=True)
def own_cache(monkeypatch):
  """These read the user's cache: to decode MNIST anew for each run of the suite is a waste."""
  monkeypatch.delenv('VAE_JAX_CACHE')


def skip_without_data(config):
  try:
    data.load(**config['data'])
  except errors.InputError as error:
    pytest.skip(str(error))


def test_static_mnist_meets_the_flax_example(tmp_path):
  """784-500-20, 10 epochs, batch 128, Adam 1e-3: test -ELBO about 104 (Flax examples/vae)."""
  config = mnist_static.get_config().to_dict()
  skip_without_data(config)
  (row,) = training.run(config, tmp_path / 'run').rows
  print(row)
  assert 102.5 <= -row['test/elbo'] <= 105.5
  assert row['test/nll'] < -row['test/elbo']


def test_rate_falls_and_distortion_rises_with_beta_for_each_latent_size(tmp_path):
  """Two seeds, 70 lanes as one program, a few steps; the means over the seeds are ordered."""
  config = mnist_beta_latent.get_config().to_dict()
  config['lanes'] |= dict(seed=(0, 1))
  config['train'] |= dict(steps=201, evaluate_every=201, checkpoint_every=201)
  config['evaluation'] |= dict(
    train_images=500, validation_images=500, test_images=500, nll_samples=5, nll_images=50
  )
  skip_without_data(config)
  training.run(config, tmp_path / 'run')
  rows = records.read_results(tmp_path / 'run' / 'results.csv')
  assert len(rows) == 70
  for latent_size in config['lanes']['latent_size']:
    means = {
      term: [
        np.mean([row[term] for row in rows if (row['latent_size'], row['beta']) == key])
        for key in [(latent_size, beta) for beta in config['lanes']['beta']]
      ]
      for term in ('test/rate', 'test/distortion')
    }
    assert np.all(np.diff(means['test/rate']) < 0), latent_size
    # Of betas nearer than that, so short a training has the distortions in order of chance.
    assert np.all(np.diff(means['test/distortion'][::2]) > 0), latent_size
