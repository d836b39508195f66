"""A convolutional VAE on Fashion-MNIST, padded to 32x32 and in [0, 1]; unit-variance Gaussian.

  python -m launch.train --config=configs/fashion_conv.py --workdir=runs/fashion_conv

The networks of the convolutional VAE of TensorFlow Probability's examples; more samples for each
image are one flag away: --config.bound.num_samples=5. Cost: 83 s on two CPU cores, ten passes.
Test ELBO -959.4 nats (rate 4.9, 6 of 16 units active), NLL 959.1 +- 0.2 (100 samples, 1,000
images).
"""

from ml_collections import config_dict


def get_config() -> config_dict.ConfigDict:
  """Returns every setting of the study; no value is defaulted elsewhere."""
  config = config_dict.ConfigDict()
  config.study = 'fashion_conv'

  # What you sweep: data to the one program, so that a new value costs no compilation.
  config.lanes = dict(
    combine='product',  # or 'zip', or 'list' with `points`
    beta=(1.0,),
    latent_size=(16,),
    seed=(0,),
    learning_rate=(1e-2,),
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
    name='fashion_mnist',
    path='',
    train_split='train',
    test_split='test',
    crop=(),  # () or (height, width)
    pad=(32, 32),
    scale_to_unit=True,
    binarize='none',
    seed=0,
  )
  config.likelihood = dict(
    name='gaussian',
    scale='fixed',  # of variance 1
    initial_scale=1.0,
    min_scale=0.001,
    mean='identity',
    num_components=1,  # for 'discretized_logistic'
  )
  config.encoder = dict(
    name='conv',
    channels=(4, 16),
    kernels=(3, 3),
    strides=(2, 2),
    padding='valid',  # 32 -> 15 -> 7
    hidden=(),
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
    name='conv',
    channels=(1, 16, 8),  # a dense layer to 8x8x1, then 17, 35, 32
    kernels=(3, 3, 4),
    strides=(2, 2, 1),  # two transposed convolutions and a plain one
    padding='valid',
    hidden=(),
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
    steps=4690,  # 469 a pass over the 60,000 images
    batch_size=128,
    log_every=67,
    log_powers_of_two=False,
    evaluate_every=469,
    checkpoint_every=938,
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
    nll_samples=100,
    nll_images=1000,
    aggregate_images=1000,  # that share one aggregate posterior q(z)
    factor_images=1000,  # whose codes are scored, where factors are known
  )
  config.wandb = dict(mode='disabled', entity='', project='vae_jax', tags=())
  return config
