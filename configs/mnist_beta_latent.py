"""Rate against distortion on MNIST: 7 betas x 5 latent sizes x 2 seeds = 70 lanes.

  python -m launch.train --config=configs/mnist_beta_latent.py --workdir=runs/mnist

The data set is TFDS `mnist`, binarised anew at each step. Cost: 7 min 33 s on two CPU cores (5
passes). For each latent size the rate falls and the distortion rises with beta; the best lanes have
beta 1 and 20 latents: test ELBO -105.0 nats twice, NLL 100.3 and 100.1 +- 0.8 (100 samples, 1,000
images).
"""

from ml_collections import config_dict


def get_config() -> config_dict.ConfigDict:
  """Returns every setting of the study; no value is defaulted elsewhere."""
  config = config_dict.ConfigDict()
  config.study = 'mnist_beta_latent'

  # What you sweep: data to the one program, so that a new value costs no compilation.
  config.lanes = dict(
    combine='product',  # or 'zip', or 'list' with `points`
    beta=(0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0),
    latent_size=(2, 5, 10, 20, 50),  # padded to the largest, then masked
    seed=(0, 1),
    learning_rate=(1e-3,),
    warmup=('constant',),  # of beta: or 'linear', 'cosine', 'cyclical', over warmup_steps
    warmup_steps=(0,),
    free_bits=(0.0,),  # nats below which a latent's rate costs nothing more
    capacity=(0.0,),  # nats: above 0 the rate is held at it, rising over capacity_steps
    capacity_steps=(0,),
    covariance_weight=(0.0,),  # of the DIP-VAE
    points=(),  # for 'list': ((beta, latent_size, seed, learning_rate), ...)
  )

  # What you override: each value below makes another program.
  config.data = dict(
    name='mnist',
    path='',
    train_split='train',
    test_split='test',
    crop=(),  # () or (height, width)
    pad=(),
    scale_to_unit=True,
    binarize='dynamic',  # pixels are drawn anew at each step; the test set is drawn once
    seed=0,
  )
  config.likelihood = dict(
    name='bernoulli',
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
    hidden=(500,),
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
    hidden=(500,),
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
  config.optimizer = dict(name='adam', b1=0.9, b2=0.999, eps=1e-8)
  config.schedule = dict(name='constant', warmup_steps=0, decay_steps=1, factor=1.0)
  config.train = dict(
    steps=2345,  # 5 passes over the 60,000 images
    batch_size=128,
    log_every=67,
    log_powers_of_two=False,
    evaluate_every=469,
    checkpoint_every=469,
  )
  config.program = dict(
    width=0,  # lanes in one program; 0 for as many as are fastest and fit, the rest in turn
    memory_gib=0.0,  # 0 for four fifths of what is free
    resident_gib=2.0,  # a larger training set stays on the host and is fed from there
    compute_dtype='float32',  # of the networks; or 'bfloat16', for a GPU or TPU
  )
  config.evaluation = dict(
    train_images=2000,
    test_images=10000,
    batch_size=500,
    nll_samples=100,
    nll_images=1000,
    aggregate_images=1000,  # that share one aggregate posterior q(z)
    factor_images=1000,  # whose codes are scored, where factors are known
  )
  config.wandb = dict(mode='disabled', entity='', project='vae_jax', tags=())
  return config
