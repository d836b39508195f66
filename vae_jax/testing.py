"""For the tests of own parts: the laws that `vae_jax` holds them to when a study starts.

A part is what a section of a config names by 'package.module:attribute'. There is no batch axis in
any of them: the caller maps over samples, batch and lanes. What stands in the signature is a key of
the config, less what the study hands in by name: see `vae_jax.parts.SECTIONS`.

An encoder is a Flax module, x [*event] -> features [H]; its attributes are its keys. One that has
`SEES_BETA = True` may be called with eta [] behind x, as a decoder of that kind behind its mask:
see `networks.gates`.

  class ResNet(nn.Module):
    depth: int = 3

    @nn.compact
    def __call__(self, x):
      h = nn.Dense(64)(jnp.ravel(x))
      for _ in range(self.depth):
        h = h + nn.Dense(64)(nn.relu(h))
      return h

  def test_resnet():
    testing.check_encoder(ResNet(depth=2), event=(28, 28, 1))

A decoder is one, z [Z] and mask [Z] -> outputs [num_heads, *event], and is given `event` and
`num_heads`. A lane of few latents is padded, so z is multiplied by the mask, and the first kernel
begins with the variance of the active latents alone:

  class Decoder(nn.Module):
    event: tuple[int, ...]
    num_heads: int
    width: int = 64

    @nn.compact
    def __call__(self, z, mask):
      init = networks.initializer('lecun', rows=mask)
      h = nn.relu(nn.Dense(self.width, kernel_init=init)(mask * z))
      h = nn.Dense(self.num_heads * math.prod(self.event))(h)
      return h.reshape(self.num_heads, *self.event)

It may ask for `pixel_bias` [D] or `channel_bias` [C], the first bias of the first output, () for 0;
then `decoder.output_bias='train_mean'` works.

A likelihood is a function that returns a `densities.Likelihood`; outputs come as [num_heads, D]:

  def poisson() -> densities.Likelihood:
    def make(outputs):
      return densities.per_example(tfp.distributions.Poisson(nn.softplus(outputs[0]) + 1e-3))

    return densities.Likelihood(supports=('count',), num_heads=1, make=make)

A posterior returns a `networks.PosteriorNetwork`, a prior a `networks.PriorNetwork`: `init` and
`make` of a pytree that samples from noise and knows its log density, and the class of it, which
says `by_latent`, `factorises` and, of a prior, `closed_form`: see `densities.posteriors`,
`densities.priors`, and `networks.latents` for two of each in a dozen lines.

A bound returns an `objectives.Objective`; `lane_fields` says which fields of a lane it reads:

  def tempered(temperature: float = 1.0) -> objectives.Objective:
    def combine(means, lane, step):
      return -temperature * means['distortion'] - lane.beta * means['rates'].sum()

    return objectives.Objective(objectives.no_terms, combine, lane_fields=('beta',))

An optimiser is a function of `learning_rate`, count -> rate, as any factory of optax is; a schedule
returns step -> fraction of the peak rate, in [0, 1]:

  def halving(every: int = 1000):
    return lambda step: 0.5 ** (step // every)

Each check raises LawError, an AssertionError of one line: the part, the law, what is seen and what
is wanted.
"""

from vae_jax.laws import (
  LawError,
  check_decoder,
  check_encoder,
  check_likelihood,
  check_objective,
  check_optimizer,
  check_posterior,
  check_prior,
  check_schedule,
)

__all__ = [
  'LawError',
  'check_decoder',
  'check_encoder',
  'check_likelihood',
  'check_objective',
  'check_optimizer',
  'check_posterior',
  'check_prior',
  'check_schedule',
]
