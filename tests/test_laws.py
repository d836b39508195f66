"""The laws of parts from outside: what obeys passes, and each way to break one is said."""

import flax.struct
import jax.numpy as jnp
import numpy as np
import optax
import own_parts
import pytest
from flax import linen as nn

from vae_jax import bounds, densities, errors, networks, objectives, optimizers, study, testing
from vae_jax.laws import broken
from vae_jax.runs import training
from vae_jax.study import lawful

pytestmark = [pytest.mark.run, pytest.mark.usefixtures('width_one')]

EVENT = (2, 3)


def refuses(check, *arguments, words, **settings):
  """The law is broken in one line, which names the part and has these words."""
  with pytest.raises(testing.LawError, match=words) as caught:
    check(*arguments, what='mine:Part', **settings)
  assert len(caught.value.problems) == 1
  assert str(caught.value).startswith('mine:Part ')
  assert isinstance(caught.value, errors.InputError) and isinstance(caught.value, AssertionError)


def test_own_networks_obey():
  testing.check_encoder(own_parts.ResidualEncoder(depth=2), EVENT)
  testing.check_decoder(own_parts.Decoder(EVENT, 2), EVENT, 2)


def test_the_built_in_networks_obey():
  image = (4, 4, 1)
  sizes = dict(channels=(2,), kernels=(3,), strides=(2,))
  testing.check_encoder(networks.ConvEncoder(**sizes), image)
  testing.check_decoder(networks.ConvDecoder(image, 1, **sizes), image, 1)
  testing.check_decoder(networks.MlpDecoder(image, 2), image, 2)


@pytest.mark.parametrize(
  'make',
  [own_parts.poisson, densities.discretized_logistic],
)
def test_likelihoods_obey(make):
  testing.check_likelihood(make(), EVENT)


def test_latents_obey():
  testing.check_posterior(own_parts.logistic())
  testing.check_posterior(networks.two_layer_posterior('lecun', 'relu', 3, (4,)))
  testing.check_prior(own_parts.laplace(), EVENT)
  testing.check_prior(networks.vamp(EVENT, 'real', 3), EVENT)


@pytest.mark.parametrize(
  'make',
  [
    lambda: own_parts.tempered(2.0),
    lambda: objectives.miwae(3),
    lambda: objectives.beta_tcvae(90),
  ],
)
def test_objectives_obey(make):
  testing.check_objective(make())


@pytest.mark.parametrize(
  'make', [own_parts.momentum, optimizers.adam, optax.lion, optax.adamw, optax.rmsprop]
)
def test_optimisers_obey(make):
  testing.check_optimizer(make)


def test_schedules_obey():
  for make in (own_parts.halving, optimizers.cosine, optimizers.tripling, optimizers.constant):
    testing.check_schedule(make())


class Encodes(nn.Module):
  """An encoder that is a function."""

  function: object

  @nn.compact
  def __call__(self, x):
    return self.function(x)


@pytest.mark.parametrize(
  ('encoder', 'words'),
  [
    (own_parts.Batched(), r'features \[H\]; seen shape \[2, 4\], wanted shape \[8\]'),
    (Encodes(lambda x: jnp.ravel(x).astype(int)), 'seen type int32, wanted floats'),
    (Encodes(lambda x: (x, x)), r'seen \(.*wanted an array'),
    (Encodes(lambda x: jnp.zeros(0)), 'seen no features'),
    (Encodes(lambda x: jnp.log(-1 - jnp.abs(x)).ravel()), 'finite; seen nan'),
    (Encodes(lambda x: x @ x), r'raises TypeError when .*\(.*test_laws\.py, line \d+\)'),
  ],
)
def test_an_encoder_that_breaks_a_law(encoder, words):
  refuses(testing.check_encoder, encoder, EVENT, words=words)


class Decodes(nn.Module):
  """A decoder of one dense layer, and what is done before and after it."""

  before: object = lambda z, mask: mask * z
  after: object = lambda h: h
  rows: bool = True

  @nn.compact
  def __call__(self, z, mask):
    init = networks.initializer('lecun', rows=mask if self.rows else None)
    h = nn.Dense(6, kernel_init=init)(self.before(z, mask))
    return self.after(h.reshape(1, *EVENT))


@pytest.mark.parametrize(
  ('decoder', 'words'),
  [
    (own_parts.OneHead(EVENT), r'seen shape \[2, 3\], wanted shape \[1, 2, 3\]'),
    (own_parts.Unmasked(EVENT, 1), 'mask 0 change neither .* nor the gradients'),
    (Decodes(before=lambda z, mask: z), 'mask 0 change neither'),
    (Decodes(before=lambda z, mask: 0 * z), 'mask 1 change the outputs; seen no change'),
    (Decodes(after=lambda h: h / 0), 'finite; seen'),
    (Decodes(rows=False), r'padding does not change .*rows=mask.*62 inert latents'),
  ],
)
def test_a_decoder_that_breaks_a_law(decoder, words):
  refuses(testing.check_decoder, decoder, EVENT, 1, words=words)


NORMAL = own_parts.student_t()
BERNOULLI = densities.bernoulli()


def unsummed(outputs):
  return own_parts.tfp.distributions.Normal(outputs[0], 1.0)


def two_of_one(outputs):
  """Of an array, JAX takes the last output for the second one, too."""
  scale = 1.0 + jnp.exp(outputs[1])
  return densities.per_example(own_parts.tfp.distributions.Normal(outputs[0], scale))


def steep(outputs):
  return densities.per_example(own_parts.tfp.distributions.Normal(jnp.log(outputs[0]), 1.0))


@pytest.mark.parametrize(
  ('likelihood', 'words'),
  [
    (own_parts.tfp.distributions.Normal(0.0, 1.0), 'a densities.Likelihood; seen Normal'),
    (NORMAL._replace(supports=('reel',)), 'supports are known'),
    (
      NORMAL._replace(make=unsummed),
      r'log_prob .*per_example.*seen shape \[6\], wanted shape \[\]',
    ),
    (NORMAL._replace(make=steep), r'finite on unit values'),
    (
      NORMAL._replace(make=two_of_one, num_heads=1, output_of_mean=None),
      'it reads num_heads = 1 outputs; seen one beyond them',
    ),
    (NORMAL._replace(output_of_mean=jnp.negative), 'the mean is m'),
    (BERNOULLI._replace(make=lambda o: BERNOULLI.make(o[:, :3])), 'raises|shape'),
    (NORMAL._replace(at_scale=lambda s: s), 'at_scale'),
  ],
)
def test_a_likelihood_that_breaks_a_law(likelihood, words):
  refuses(testing.check_likelihood, likelihood, EVENT, words=words)


LOGISTIC, LAPLACE = own_parts.logistic(), own_parts.laplace()


def posterior_with(**methods):
  """The logistic posterior with other methods of its density."""
  density = flax.struct.dataclass(type('Density', (own_parts.Logistic,), methods))

  def make(params, features, mask):
    q = LOGISTIC.make(params, features, mask)
    return density(q.loc, q.scale, q.mask)

  return LOGISTIC._replace(make=make, density=density)


def unmasked_sample(self, noise):
  z, log_q = own_parts.Logistic(self.loc, self.scale, 1 + 0 * self.mask).sample(noise)
  return z, self.mask * log_q


@pytest.mark.parametrize(
  ('posterior', 'words'),
  [
    (LAPLACE, 'a networks.PosteriorNetwork; seen PriorNetwork'),
    (LOGISTIC._replace(density=densities.DiagonalGaussian), 'seen Logistic, wanted Diagonal'),
    (LOGISTIC._replace(density=object), 'declares by_latent; seen none'),
    (posterior_with(by_latent=False), r'log_q is \[1\]; seen shape \[4\]'),
    (posterior_with(log_prob=lambda self, z: 2 * z), 'log q of `sample` is that of `log_prob`'),
    (posterior_with(sample=unmasked_sample), 'z is 0 where the mask is'),
  ],
)
def test_a_posterior_that_breaks_a_law(posterior, words):
  refuses(testing.check_posterior, posterior, words=words)


def prior_with(**methods):
  """The Laplace prior with other methods of its density."""
  density = flax.struct.dataclass(type('Density', (own_parts.Laplace,), methods))

  def make(params, mask, posterior_of):
    p = LAPLACE.make(params, mask, posterior_of)
    return density(p.scale, p.mask)

  return LAPLACE._replace(make=make, density=density)


@pytest.mark.parametrize(
  ('prior', 'words'),
  [
    (LOGISTIC, 'a networks.PriorNetwork'),
    (LAPLACE._replace(density=own_parts.Logistic), 'declares closed_form'),
    (prior_with(sample=lambda self, noise, uniform: noise), 'z is 0 where the mask is'),
    (prior_with(log_prob=lambda self, z: jnp.sum(z)), r'log_prob is \[Z\]; seen shape \[\]'),
    (prior_with(log_prob=lambda self, z: self.mask * jnp.log(-1 - self.scale)), 'finite'),
    (
      prior_with(sample=lambda self, noise, uniform: self.mask * jnp.sum(noise)),
      'noise of latents of mask 0 changes nothing',
    ),
  ],
)
def test_a_prior_that_breaks_a_law(prior, words):
  refuses(testing.check_prior, prior, EVENT, words=words)


TEMPERED = own_parts.tempered()


def objective_with(terms=objectives.no_terms, **changes):
  return TEMPERED._replace(terms=terms, **changes)


@pytest.mark.parametrize(
  ('objective', 'words'),
  [
    (bounds.iwae_bound, 'an objectives.Objective; seen function'),
    (objective_with(lane_fields=('beta', 'betta')), 'lane_fields .*seen betta'),
    (
      objective_with(lane_fields=('warmup', 'warmup_steps')),
      r'lanes\.beta, which lane_fields does not name, changes nothing',
    ),
    (objective_with(lambda t, q, w, m: {'mine': t.z}), r"'mine' is an average \[\]; seen shape"),
    (objective_with(lambda t, q, w, m: {'rate': jnp.sum(w)}), 'names of their own'),
    (objective_with(combine=lambda means, lane, step: means['rates']), r'the objective \[\]'),
    (objective_with(combine=lambda means, lane, step: means['distortion']), 'higher is better'),
    (
      objective_with(
        lambda t, q, w, m: {'mine': jnp.mean(q.loc)},
        combine=lambda means, lane, step: means['mine'] - means['distortion'],
        lane_fields=(),
      ),
      'weight 0, which only fills a batch up',
    ),
    (
      objective_with(
        combine=lambda means, lane, step: -means['distortion'] - lane.beta**2 * means['rates'][0],
        lane_fields=('beta', 'target_rate'),
      ),
      'target_rate among its lane_fields it falls by the rate',
    ),
    (objective_with(path_weights=jnp.sum), r'path_weights are \[L\]'),
    (
      objective_with(combine=lambda means, lane, step: jnp.nan * means['distortion']),
      'the objective and its gradient are finite; seen nan, wanted a finite number',
    ),
  ],
)
def test_an_objective_that_breaks_a_law(objective, words):
  refuses(testing.check_objective, objective, words=words)


def decayed_to_one(rate):
  return optax.chain(
    optax.add_decayed_weights(0.1),
    optax.stateless(lambda updates, params: {k: -rate(0) * (u + 1) for k, u in updates.items()}),
  )


@pytest.mark.parametrize(
  ('make', 'words'),
  [
    (lambda rate: optax.sgd(0.1), 'a learning rate of 0 nothing moves'),
    (lambda rate: optax.sgd(lambda count: -rate(count)), 'seen a step uphill'),
    (lambda rate: optax.sgd(float(rate(0))), 'raises ConcretizationTypeError'),
    (decayed_to_one, 'an inert weight, .* does not move'),
    (lambda rate: optax.adafactor(rate), 'inert weights do not change how the others move'),
  ],
)
def test_an_optimiser_that_breaks_a_law(make, words):
  refuses(testing.check_optimizer, make, words=words)


def test_without_padding_an_optimiser_may_look_at_a_whole_array():
  testing.check_optimizer(lambda rate: optax.adafactor(rate), padded=False)


@pytest.mark.parametrize(
  ('schedule', 'words'),
  [
    (0.5, r'to a fraction \[\]'),
    (lambda step: 1.0 + step, r'step 1 is in \[0, 1\]; seen 2'),
    (lambda step: jnp.ones(2), r'seen shape \[2\], wanted shape \[\]'),
    (lambda step: 1.0 if step < 3 else 0.5, 'raises TracerBoolConversionError'),
  ],
)
def test_a_schedule_that_breaks_a_law(schedule, words):
  refuses(testing.check_schedule, schedule, words=words)


def test_random_parameters_are_of_the_same_shapes():
  params = {'a': np.zeros((2, 3), 'f'), 'count': np.int32(3)}
  found = broken.randomized(params)
  assert found['a'].shape == (2, 3) and np.all(found['a'] != 0)
  assert found['count'] == 3


def test_a_study_holds_parts_from_outside_to_the_laws_each_in_a_line(config, tmp_path):
  config['encoder'] = dict(name='own_parts:Batched')
  config['decoder'] = dict(name='own_parts:Unmasked', output_bias='zeros')
  with pytest.raises(errors.InputError) as caught:
    training.run(config, tmp_path / 'run')
  encoder, decoder = caught.value.problems
  assert encoder.startswith("encoder.name='own_parts:Batched' breaks a law: it maps one example")
  assert decoder.startswith("decoder.name='own_parts:Unmasked' breaks a law: latents of mask 0")
  assert not list(tmp_path.iterdir())


def test_parts_that_obey_and_do_not_go_together_are_a_line(config):
  config['lanes'] |= dict(beta=(1.0,))
  config['bound'] = dict(name='own_parts:of_scales')
  study.from_config(config)
  config['posterior'] = dict(name='flow')
  config['bound'] |= dict(kl='sampled')
  words = r"AttributeError when .* put together: .*'scale' .*own_parts\.py, line \d+\)"
  with pytest.raises(errors.InputError, match=words) as caught:
    study.from_config(config)
  assert len(caught.value.problems) == 1


def test_a_decoder_that_takes_no_bias_begins_at_no_mean(config):
  config['decoder'] = dict(name='own_parts:OneHead', output_bias='train_mean')
  with pytest.raises(errors.InputError, match='takes neither pixel_bias nor channel_bias'):
    study.from_config(config)


def test_the_built_in_parts_pay_nothing_at_the_start(config, monkeypatch):
  monkeypatch.setattr(lawful, 'check_part', None)
  monkeypatch.setattr(lawful, 'check_whole', None)
  study.from_config(config)


def test_values_that_are_no_counts_are_told_how_to_be(config):
  config['likelihood'] = dict(name='own_parts:poisson')
  with pytest.raises(errors.InputError, match=r"no density on the binary .*data\.kind='count'"):
    study.from_config(config)
