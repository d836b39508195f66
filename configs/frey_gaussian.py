"""Frey Faces: a Gaussian with a learned variance for every pixel, L = 7 samples.

  python -m launch.train --config=configs/frey_gaussian.py --workdir=runs/frey_gaussian \
    --config.data.path=frey_faces.npz

One tanh layer of 200 on each side, means and log-scales from both. Any file of images does: name
its array in the splits. Neighbours in the video are near-duplicates: the last fifth is for testing.
108 s on two busy cores: batch ELBO 1,200, test ELBO 636 nats (a later part of the video, of which
the learned variances are too sure), NLL -717 +- 30 (1,000 samples, 393 images).
"""

from ml_collections import config_dict


def get_config() -> config_dict.ConfigDict:
  """Returns every setting of the study; no value is defaulted elsewhere."""
  config = config_dict.ConfigDict()
  config.study = 'frey_gaussian'

  # What you sweep: data to the one program, so that a new value costs no compilation.
  config.lanes = dict(
    combine='product',  # or 'zip', or 'list' with `points`
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
    points=(),  # for 'list': ((beta, latent_size, seed, learning_rate), ...)
  )

  # What you override: each value below makes another program.
  config.data = dict(
    name='npz',
    path='',  # of the file; its array is called `images`
    train_split='images[:80%]',
    test_split='images[80%:]',
    crop=(),  # () or (height, width)
    pad=(),
    scale_to_unit=True,
    binarize='none',
    seed=0,
  )
  config.likelihood = dict(
    name='gaussian',
    scale='per_pixel',
    initial_scale=0.2,
    min_scale=0.02,  # no pixel may run to a density without bound
    mean='sigmoid',
    num_components=1,  # for 'discretized_logistic'
  )
  config.encoder = dict(
    name='mlp',  # or 'conv', with channels, kernels, strides and padding
    channels=(),
    kernels=(),
    strides=(),
    padding='same',
    hidden=(200,),
    activation='tanh',  # one of networks.ACTIVATIONS, 'gated' among them
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
    hidden=(200,),
    activation='tanh',
    kernel_init='lecun',
    output_bias='train_mean',  # or 'zeros'
  )
  config.bound = dict(
    name='elbo',  # or 'iwae', 'miwae', 'ciwae', 'beta_tcvae', 'dip_vae_i', 'dip_vae_ii'
    num_samples=7,  # L
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
    steps=4900,  # 49 a pass over the 1,572 images
    batch_size=32,
    log_every=49,
    log_powers_of_two=False,
    evaluate_every=490,
    checkpoint_every=980,
  )
  config.program = dict(
    width=0,  # lanes in one program; 0 for as many as are fastest and fit, the rest in turn
    memory_gib=0.0,  # 0 for four fifths of what is free
    resident_gib=2.0,  # a larger training set stays on the host and is fed from there
    compute_dtype='float32',  # of the networks; or 'bfloat16', for a GPU or TPU
  )
  config.evaluation = dict(
    train_images=1000,
    test_images=393,
    batch_size=1000,
    nll_samples=1000,
    nll_images=393,
    aggregate_images=393,  # that share one aggregate posterior q(z)
    factor_images=1000,  # whose codes are scored, where factors are known
  )
  config.wandb = dict(mode='disabled', entity='', project='vae_jax', tags=())
  return config
