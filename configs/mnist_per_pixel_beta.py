"""Beta, from 0, and latent size on grey MNIST, for a loss of means over pixels and latents.

  python -m launch.train --config=configs/mnist_per_pixel_beta.py --workdir=runs/per_pixel_beta

The original's loss is the cross-entropy averaged over 784 pixels plus w times the KL averaged over
Z latents; in nats beta = 784 w / Z, and results.csv has w as beta_normalised. Its own point is
w = 0.01 and Z = 10: beta 0.784. Here w varies at Z = 10 and Z varies at w = 0.01, as one program.
Adam's eps is 1e-8 of a loss that is 784 times smaller. Cost: 79 s on two
busy cores. Test D / R in nats (of a cross-entropy): 117.3 / 16.0 at its own point, 107.1 / 168 at
beta 0, 207.2 / 0.0 at w = 1, where all units collapse.
"""

from ml_collections import config_dict


def get_config() -> config_dict.ConfigDict:
  """Returns every setting of the study; no value is defaulted elsewhere."""
  config = config_dict.ConfigDict()
  config.study = 'mnist_per_pixel_beta'

  # What you sweep: data to the one program, so that a new value costs no compilation.
  config.lanes = dict(
    combine='list',  # or 'zip', or 'list' with `points`
    beta=(1.0,),
    latent_size=(10,),
    seed=(0,),
    learning_rate=(1e-3,),
    warmup=('constant',),  # of beta: or 'linear', 'cosine', 'cyclical', over warmup_steps
    warmup_steps=(0,),
    free_bits=(0.0,),  # nats below which a latent's rate costs nothing more
    capacity=(0.0,),  # nats: above 0 the rate is held at it, rising over capacity_steps
    capacity_steps=(0,),
    covariance_weight=(0.0,),  # of the DIP-VAE
    points=(  # (beta, latent_size, seed, learning_rate)
      (0.0, 10, 0, 1e-3),
      (0.0784, 10, 0, 1e-3),
      (0.784, 10, 0, 1e-3),
      (7.84, 10, 0, 1e-3),
      (78.4, 10, 0, 1e-3),
      (3.92, 2, 0, 1e-3),
      (1.568, 5, 0, 1e-3),
      (0.392, 20, 0, 1e-3),
      (0.1568, 50, 0, 1e-3),
    ),
  )

  # What you override: each value below makes another program.
  config.data = dict(
    name='mnist',
    path='',
    train_split='train+test',  # both, as the original does: see the test figures so
    test_split='test',
    crop=(),  # () or (height, width)
    pad=(),
    scale_to_unit=True,
    binarize='none',  # grey levels in [0, 1]
    seed=0,
  )
  config.likelihood = dict(
    name='cross_entropy',
    scale='fixed',  # the rest is for 'gaussian'
    initial_scale=1.0,
    min_scale=0.001,
    mean='identity',
    num_components=1,  # for 'discretized_logistic'
  )
  config.encoder = dict(
    name='mlp',  # or 'conv', with channels, kernels, strides and padding
    channels=(),
    kernels=(),
    strides=(),
    padding='same',
    hidden=(100, 100),
    activation='relu',  # one of networks.ACTIVATIONS, 'gated' among them
    kernel_init='lecun',  # or 'glorot', 'he'
  )
  config.posterior = dict(
    name='diagonal',  # or 'full_covariance', 'flow', 'two_layer'
    num_layers=4,  # of the flow
    hidden=(64,),  # of the networks of the flow, or between the two layers
    lower_size=100,  # of the lower of two layers; lanes.latent_size is the upper one's
  )
  config.prior = dict(
    name='standard_normal',  # or 'mixture', 'vamp', 'flow', 'two_layer'
    num_components=50,  # of the mixture, or pseudo-inputs of the VampPrior
    num_layers=4,  # of the flow
    hidden=(64,),  # of the networks of the flow, or between the two layers
  )
  config.decoder = dict(
    name='mlp',
    channels=(),
    kernels=(),
    strides=(),
    padding='same',
    hidden=(100, 100),
    activation='relu',
    kernel_init='lecun',
    output_bias='zeros',  # or 'train_mean'
  )
  config.bound = dict(
    name='elbo',  # or 'iwae', 'miwae', 'ciwae', 'beta_tcvae', 'dip_vae_i', 'dip_vae_ii'
    num_samples=1,  # L
    noise='independent',  # or 'antithetic', in pairs e and -e
    num_groups=1,  # of the MIWAE
    elbo_weight=0.0,  # of the CIWAE
    kl='analytic',  # or 'sampled'
    gradient='reparameterized',  # or 'sticking_the_landing', 'doubly_reparameterized'
    free_bits_per='latent',  # or 'layer'
    diagonal_ratio=10.0,  # of the DIP-VAE
  )
  config.optimizer = dict(name='adam', b1=0.9, b2=0.999, eps=7.84e-6)
  config.schedule = dict(name='constant', warmup_steps=0, decay_steps=1, factor=1.0)
  config.train = dict(
    steps=1024,  # 390 a pass over the 50,000 images
    batch_size=64,
    log_every=128,
    log_powers_of_two=True,
    evaluate_every=128,
    checkpoint_every=512,
  )
  config.program = dict(
    width=0,  # lanes in one program; 0 for as many as are fastest and fit, the rest in turn
    memory_gib=0.0,  # 0 for four fifths of what is free
    resident_gib=2.0,  # a larger training set stays on the host and is fed from there
    compute_dtype='float32',  # of the networks; or 'bfloat16', for a GPU or TPU
  )
  config.evaluation = dict(
    train_images=10000,
    test_images=10000,
    batch_size=1000,
    nll_samples=200,
    nll_images=10000,
    aggregate_images=1000,  # that share one aggregate posterior q(z)
    factor_images=1000,  # whose codes are scored, where factors are known
  )
  config.wandb = dict(mode='disabled', entity='', project='vae_jax', tags=())
  return config
