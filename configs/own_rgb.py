"""A folder of colour photographs, cropped to 64x64; a discretised logistic over their bytes.

  vae-jax train --config=own_rgb --workdir=runs/photos --config.data.path=PHOTOS

What depends on the photographs: `data.size`, which the strides halve four times; `data.channels`,
'grey' for those; the splits, which are 'train', 'validation' and 'test' where the folder has them;
and `likelihood.initial_scale`, in units of the range from black to white: the run says at its start
what would be better. With the biases at the mean colours it begins where a constant picture would.
A decoder of one channel at its narrowest, as that of `fashion_conv`, draws squares of one colour:
each place of that layer has one number for all that is to be said of brightness and colour, and the
colours of a picture lie on a line. Of `data.name='patches'` after 400 steps the means of 8x8 pixels
deviate by 90, 5 and 0.4 levels along their principal axes, and by 137, 39 and 9 in the images; no
unit of the layer was dead. Give it more channels than the images have.

Cost: 1.5 steps a second of both lanes on two busy CPU cores, an hour in all. On 1,620 patches of
two photographs the test ELBO after 300 steps is -56,761 nats at beta 0.25, and -59,363 at beta 1
(100 images): pictures are as bright as they should be by then, and few have their colours yet.
"""

from vae_jax import config as settings


def get_config():
  """Returns what differs from `vae_jax.config.base`."""
  config = settings.base()
  config.study = 'own_rgb'
  config.lanes.update(beta=(0.25, 1.0), latent_size=(64,), learning_rate=(1e-3,))
  config.data.update(
    name='folder',
    size=(64, 64),
    channels='rgb',
    train_split='images[:80%]',
    validation_split='images[80%:90%]',
    test_split='images[90%:]',
    split_order='shuffled',
    scale_to_unit=False,
  )
  config.likelihood.update(name='discretized_logistic', initial_scale=0.15)
  # 64 pixels, 32, 16, 8, 4, and back
  config.encoder = dict(
    name='conv', channels=(16, 32, 64, 128), kernels=(4, 4, 4, 4), strides=(2, 2, 2, 2)
  )
  config.decoder = dict(
    name='conv', channels=(128, 64, 32, 16), kernels=(4, 4, 4, 4), strides=(2, 2, 2, 2)
  )
  config.decoder.output_bias = 'train_mean'
  config.train.update(
    steps=5000, batch_size=64, log_every=100, evaluate_every=1000, checkpoint_every=1000
  )
  return config
