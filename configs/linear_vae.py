"""The linear VAE of grey MNIST with one learned variance: 2, 10, 20 and 50 latents as four lanes.

  python -m experiments.probabilistic_pca --workdir=runs/probabilistic_pca   # with exact answers
  python -m launch.train --config=configs/linear_vae.py --workdir=runs/linear_vae

The data set is TFDS `mnist`, its pixels in [0, 1]. The optimum is probabilistic PCA. Cost: 8 CPU
minutes, on two cores 5 min. Test ELBO 14.36, 185.95, 306.42 and 517.26 nats (exact: 14.36, 186.02,
306.55 and 517.60), higher is better. Adam's eps refers to a mean over the batch.
"""

from ml_collections import config_dict


def get_config() -> config_dict.ConfigDict:
  """Returns every setting of the study; no value is defaulted elsewhere."""
  config = config_dict.ConfigDict()
  config.study = 'linear_vae'

  # What you sweep: data to the one program, so that a new value costs no compilation.
  config.lanes = dict(
    combine='zip',  # the axes stand side by side; an axis of one value is repeated
    beta=(1.0,),
    latent_size=(2, 10, 20, 50),  # padded to the largest, then masked
    seed=(0,),
    learning_rate=(5e-3,),
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
    binarize='none',  # grey pixels
    seed=0,
  )
  config.likelihood = dict(
    name='gaussian',
    scale='shared',
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
    name='mlp',
    channels=(),
    kernels=(),
    strides=(),
    padding='same',
    hidden=(),
    activation='relu',
    kernel_init='lecun',
    output_bias='train_mean',  # or 'zeros'
  )
  config.bound = dict(
    name='elbo',  # or 'iwae', 'miwae', 'ciwae', 'beta_tcvae', 'dip_vae_i', 'dip_vae_ii'
    num_samples=1,  # L
    noise='independent',  # or 'antithetic', in pairs e and -e
    num_groups=1,  # of the MIWAE
    elbo_weight=0.0,  # of the CIWAE
    kl='sampled',  # or 'analytic'
    gradient='reparameterized',  # or 'sticking_the_landing', 'doubly_reparameterized'
    free_bits_per='latent',  # or 'layer'
    diagonal_ratio=10.0,  # of the DIP-VAE
  )
  config.optimizer = dict(name='adam', b1=0.9, b2=0.99, eps=1e-8)
  config.schedule = dict(name='cosine', warmup_steps=500, decay_steps=15500, factor=0.0)
  config.train = dict(
    steps=16000,
    batch_size=256,
    log_every=100,
    log_powers_of_two=False,
    evaluate_every=4000,
    checkpoint_every=4000,
  )
  config.program = dict(
    width=0,  # lanes in one program; 0 for as many as are fastest and fit, the rest in turn
    memory_gib=0.0,  # 0 for four fifths of what is free
    resident_gib=2.0,  # a larger training set stays on the host and is fed from there
    compute_dtype='float32',  # of the networks; or 'bfloat16', for a GPU or TPU
  )
  config.evaluation = dict(
    train_images=60000,
    test_images=10000,
    batch_size=1000,
    nll_samples=50,
    nll_images=10000,
    aggregate_images=1000,  # that share one aggregate posterior q(z)
    factor_images=1000,  # whose codes are scored, where factors are known
  )
  config.wandb = dict(mode='disabled', entity='', project='vae_jax', tags=())
  return config
