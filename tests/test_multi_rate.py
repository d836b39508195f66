"""One network for every beta: its gates, its objective, and what it comes to in a linear model."""

import math

import jax
import jax.numpy as jnp
import latent_kinds as kinds
import numpy as np
import optax
import own_parts
import pytest
import scipy.signal
import scipy.special
import scipy.stats
from flax import linen as nn

from experiments import closed_form, multi_rate
from vae_jax import (
  bounds,
  config,
  densities,
  errors,
  lanes,
  learner,
  networks,
  objectives,
  study,
  testing,
  validation,
)
from vae_jax.networks import gates
from vae_jax.study import lawful

pytestmark = pytest.mark.math

RANGE = (0.01, 10.0)
BETAS = (0.01, 0.1, 1.1, 3.0, 10.0)  # at 1 a unit would be just not active, by its last digit


def eta_of(beta):
  """By hand: log beta less its mean, over its standard deviation, of a uniform log beta."""
  log_beta = scipy.stats.uniform(math.log(RANGE[0]), math.log(RANGE[1] / RANGE[0]))
  return (math.log(beta) - log_beta.mean()) / log_beta.std()


@jax.jit
def standardised(beta):
  return gates.standardised(beta, RANGE)


def test_eta_is_the_logarithm_with_mean_0_and_variance_1():
  found = standardised(np.float32(BETAS))
  np.testing.assert_allclose(found, [eta_of(beta) for beta in BETAS], rtol=1e-5, atol=1e-6)


def test_the_gates_are_numpys_and_no_slope_is_infinite():
  """The root, but for the straight line at its end; beyond 0 nothing, however far."""
  a = np.concatenate([-np.geomspace(1e-9, 90, 300)[::-1], [0.0], np.geomspace(1e-9, 1e4, 30)])
  a = a.astype('f')
  values = np.asarray(jax.jit(jax.vmap(gates.vanishing))(a))
  exact = np.sqrt(np.maximum(0, -np.expm1(np.minimum(a, 0).astype(float))))
  root = -np.expm1(np.minimum(a, 0)) > 1e-3
  np.testing.assert_allclose(values[root], exact[root], rtol=1e-4)
  assert np.all(values <= exact + 1e-6) and np.all(exact - values < 0.0082)
  assert np.all(values[a >= 0] == 0)
  slopes = np.asarray(jax.jit(jax.vmap(jax.grad(gates.vanishing)))(a))
  assert np.isfinite(slopes).all() and np.abs(slopes).max() < 1e-3**-0.5 + 0.1
  inside = root & (a < -1e-3)
  expected = -np.exp(a[inside]) / (2 * exact[inside])
  np.testing.assert_allclose(slopes[inside], expected, rtol=1e-3, atol=1e-7)


def gate_by_hand(params, eta, kind):
  a = np.asarray(params['slope'], float) * eta + np.asarray(params['offset'], float)
  return scipy.special.expit(a) if kind == 'opening' else np.sqrt(np.maximum(0, -np.expm1(a)))


def randomized(net, *args):
  return kinds.randomized(jax.eval_shape(net.init, jax.random.key(0), *args), 3)['params']


@pytest.mark.parametrize('activation', ['gated', 'identity'])
def test_every_layer_of_an_encoder_is_gated_before_its_activation(activation):
  net, x, eta = kinds.encoder(hidden=(4, 3), activation=activation), kinds.normal(0, 5), 0.7
  params, h = randomized(net, x, jnp.float32(eta)), x
  for i in (0, 1):
    h = kinds.dense(params['mlp'][f'hidden_{i}'], h)
    h = gate_by_hand(params['mlp'][f'gate_{i}'], eta, 'opening') * h
    h = np.asarray(jax.jit(networks.ACTIVATIONS[activation])(h))
  assert h.shape == (3,)
  np.testing.assert_allclose(
    kinds.apply(net, {'params': params}, x, np.float32(eta)), h, rtol=1e-5, atol=1e-6
  )


def test_the_hidden_layers_of_a_decoder_are_gated_and_its_output_is_not():
  net, z, mask = kinds.decoder((2, 3), activation='tanh'), kinds.normal(0, 3), kinds.mask_of(2, 3)
  eta = np.float32(-0.4)
  params = randomized(net, z, mask, eta)
  assert sorted(params) == ['mlp', 'output'] and sorted(params['mlp']) == ['gate_0', 'hidden_0']
  params['mlp']['gate_0']['offset'] -= 1.0
  h = kinds.dense(params['mlp']['hidden_0'], mask * z)
  h = np.tanh(gate_by_hand(params['mlp']['gate_0'], -0.4, 'closing') * h)
  expected = kinds.dense(params['output'], h).reshape(1, 2, 3)
  found = kinds.apply(net, {'params': params}, z, mask, eta)
  np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_the_channels_of_a_convolution_are_gated():
  """And what is dense behind it, by SciPy; a decoder has a gate before each of its layers."""
  x, eta = kinds.normal(0, 7, 5), 0.9
  net = networks.ConvEncoder((2,), (3,), (2,), 'valid', (4,), 'tanh', 'lecun')
  params = randomized(net, x[..., None], jnp.float32(eta))
  kernel, bias = (params['conv_0'][key] for key in ('kernel', 'bias'))
  gate = gate_by_hand(params['gate_0'], eta, 'opening')
  maps = [scipy.signal.correlate2d(x, kernel[:, :, 0, c], 'valid')[::2, ::2] for c in (0, 1)]
  h = np.tanh(gate * (np.stack(maps, axis=-1) + bias)).ravel()
  dense = params['dense']['mlp']
  expected = np.tanh(
    gate_by_hand(dense['gate_0'], eta, 'opening') * kinds.dense(dense['hidden_0'], h)
  )
  found = kinds.apply(net, {'params': params}, x[..., None], np.float32(eta))
  np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
  decoder, mask = kinds.decoder((8, 8, 1), conv=True), kinds.mask_of(2, 3)
  shapes = jax.eval_shape(decoder.init, jax.random.key(0), mask, mask, jnp.float32(0))['params']
  assert {name for name in shapes if 'gate' in name} == {'gate_0', 'gate_1'}
  assert shapes['gate_1']['slope'].shape == (6,)  # of the layer below the last


def test_without_eta_there_are_no_gates():
  for net in (kinds.encoder(), kinds.encoder(conv=True)):
    shapes = jax.eval_shape(net.init, jax.random.key(0), np.ones((8, 8, 1), 'f'))
    assert 'gate' not in str(jax.tree.structure(shapes))


@pytest.mark.slow
@pytest.mark.parametrize('conv', [False, True])
def test_the_built_in_networks_obey_the_laws_over_all_betas(conv):
  image = (4, 4, 1)
  sizes = dict(channels=(2, 2), kernels=(3, 3), strides=(2, 2)) if conv else dict(hidden=(3,))
  encoder = networks.ConvEncoder if conv else networks.MlpEncoder
  decoder = networks.ConvDecoder if conv else networks.MlpDecoder
  testing.check_encoder(encoder(**sizes), image, sees_beta=True)
  testing.check_decoder(decoder(image, 1, **sizes), image, 1, sees_beta=True)


class Steep(nn.Module):
  """An encoder whose gate closes, with an infinite slope, at the highest beta."""

  @nn.compact
  def __call__(self, x, eta):
    slope = self.param('slope', nn.initializers.constant(1.0), ())
    gate = jnp.sqrt(jnp.maximum(0, 1 - jnp.exp(slope * (eta - np.float32(math.sqrt(3))))))
    return gate * nn.Dense(2)(jnp.ravel(x))


@pytest.mark.parametrize(
  ('encoder', 'words'),
  [
    (Steep(), 'finite'),
    (networks.MlpEncoder(), 'it sees beta, so eta .* changes what it makes'),  # no layer to gate
    (own_parts.ResidualEncoder(depth=1), 'raises TypeError'),
  ],
)
def test_an_encoder_that_does_not_obey_at_some_beta(encoder, words):
  with pytest.raises(testing.LawError, match=f'^mine:Part .*{words}'):
    testing.check_encoder(encoder, (2, 3), what='mine:Part', sees_beta=True)


def test_the_objective_obeys_and_weighs_each_example_by_its_beta():
  testing.check_objective(objectives.multi_rate())
  found = objectives.multi_rate().combine({'distortion': 2.0, 'weighed_rate': 0.5}, None, 0)
  assert found == -2.5


# A linear model of known eigenvalues: beta from end to end leaves 3, 3, 2, 1 and 0 latents of it.
EIGENVALUES, VARIANCE = np.array([6.0, 2.4, 0.7, 0.2, 0.1]), 0.7
LATENTS = 3


def linear_model(hidden):
  """A linear MR-VAE of Gaussian observations."""
  event = EIGENVALUES.shape
  style = dict(activation='identity')
  return networks.make_model(
    networks.MlpEncoder(hidden, **style),
    networks.diagonal('lecun'),
    networks.standard_normal(),
    networks.MlpDecoder(event, 1, (LATENTS,), **style),
    densities.gaussian(scale='fixed', initial_scale=VARIANCE**0.5),
    event,
    beta_range=RANGE,
  )


def optimum(beta):
  return closed_form.optimum(EIGENVALUES, EIGENVALUES, LATENTS, VARIANCE, beta)


@pytest.mark.parametrize('beta', BETAS)
def test_the_gates_of_a_linear_decoder_are_exact_at_every_beta(beta):
  """Latent i of the best decoder is (l_i - beta s^2)^1/2 u_i: one slope, one offset of it each."""
  net = networks.MlpDecoder(EIGENVALUES.shape, 1, (LATENTS,), activation='identity')
  kept = EIGENVALUES[:LATENTS]
  log_beta = scipy.stats.uniform(math.log(RANGE[0]), math.log(RANGE[1] / RANGE[0]))
  gate = {
    'slope': np.full(LATENTS, log_beta.std()),
    'offset': log_beta.mean() - np.log(kept / VARIANCE),
  }
  hidden = {'kernel': np.diag(np.sqrt(kept)), 'bias': np.zeros(LATENTS)}
  output = {'kernel': np.eye(LATENTS, len(EIGENVALUES)), 'bias': np.zeros(len(EIGENVALUES))}
  params = {'mlp': {'hidden_0': hidden, 'gate_0': gate}, 'output': output}
  params = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), params)
  eta = gates.standardised(jnp.float32(beta), RANGE)
  decode = lambda z: net.apply({'params': params}, z, jnp.ones(LATENTS), eta)[0]  # noqa: E731
  weights = np.stack([decode(z) for z in np.eye(LATENTS, dtype='f')])
  exact = np.sqrt(np.maximum(0, kept - beta * VARIANCE))
  np.testing.assert_allclose(weights[:, :LATENTS], np.diag(exact), atol=1e-4)
  assert np.sum(np.diag(weights) > 0) == optimum(beta).active_units


@pytest.mark.parametrize('beta', BETAS)
def test_the_gates_of_a_linear_encoder_are_exact_where_the_decoder_stands_still(beta):
  """w / (w^2 + beta s^2) is sigmoid(log(w^2 / s^2) - log beta) / w."""
  weight = np.array([2.0, 0.8, 0.3])
  net = networks.MlpEncoder((3,), activation='identity')
  log_beta = scipy.stats.uniform(math.log(RANGE[0]), math.log(RANGE[1] / RANGE[0]))
  gate = {
    'slope': np.full(3, -log_beta.std()),
    'offset': np.log(weight**2 / VARIANCE) - log_beta.mean(),
  }
  hidden = {'kernel': np.diag(1 / weight), 'bias': np.zeros(3)}
  params = {'mlp': {'hidden_0': hidden, 'gate_0': gate}}
  params, eta = jax.tree.map(np.float32, params), standardised(np.float32(beta))
  found = kinds.apply(net, {'params': params}, np.ones(3, 'f'), eta)
  np.testing.assert_allclose(found, weight / (weight**2 + beta * VARIANCE), rtol=1e-4)


def linear_data():
  """64 points whose covariance is diagonal, of these very eigenvalues."""
  x = np.random.default_rng(0).normal(size=(64, len(EIGENVALUES)))
  x, _ = np.linalg.qr(x - x.mean(axis=0))
  return jnp.asarray(x * np.sqrt(64 * EIGENVALUES), jnp.float32)


def lane_of(beta=1.0, latent_size=LATENTS):
  stacked = lanes.stack([lanes.point(beta, latent_size, 0, 1e-2)], latent_size)
  return jax.tree.map(lambda leaf: leaf[0], stacked)


def learner_of(model, steps, num_samples=1):
  estimator = learner.Estimator(
    model, objectives.multi_rate(*RANGE), bounds.analytic_kl, bounds.reparameterized
  )
  decay = optax.cosine_decay_schedule(1.0, steps)
  optimizer = lambda rate: optax.adam(lambda count: rate * decay(count))  # noqa: E731
  return learner.make_learner(estimator, num_samples, optimizer)


@pytest.fixture(scope='module')
def trained():
  """(hidden widths of the encoder, steps) -> rate and distortion of one training at any beta."""

  def train(hidden, steps):
    one, lane, x = learner_of(linear_model(hidden), steps), lane_of(), linear_data()

    @jax.jit
    def params():
      def step(count, state):
        return one.step(state, lane, x, one.draw(lane, len(x), count), count)[0]

      return jax.lax.fori_loop(0, steps, step, one.init(lane)).params

    @jax.jit
    def terms(params, beta):
      noise = learner.draw_noise(jax.random.key(1), len(x), 200, LATENTS)
      betas = learner.lane_betas(lane._replace(beta=beta), len(x))
      weights = jnp.ones(len(x))
      found, _ = learner.batch_averages(one.estimator, params, lane, x, noise, weights, betas)
      return found['rates'].sum(), found['distortion']

    final = params()
    return lambda beta: tuple(map(float, terms(final, jnp.float32(beta))))

  return train


def check_trained(terms, tolerance):
  """-D - beta R at five betas: the best is missed by so much a nat of the larger weight at most."""
  for beta in BETAS:
    (rate, distortion), exact = terms(beta), optimum(beta)
    missed = distortion + beta * rate - exact.distortion - beta * exact.rate
    assert -0.02 < missed < tolerance * max(beta, 1.0), (beta, rate, distortion, exact)


def test_one_training_comes_to_the_best_linear_model_at_five_betas(trained):
  check_trained(trained((16,), 2000), 0.1)


@pytest.mark.slow
def test_a_long_training_has_the_rates_and_distortions_of_the_best_linear_models(trained):
  """Where all latents are off the encoder's gates only approach 0: there R is looser."""
  terms = trained((32,), 20_000)
  check_trained(terms, 0.02)
  for beta in BETAS[:-1]:
    (rate, distortion), exact = terms(beta), optimum(beta)
    assert rate == pytest.approx(exact.rate, abs=0.1)
    assert distortion == pytest.approx(exact.distortion, abs=0.1)


def test_every_example_of_a_step_has_a_beta_of_its_own():
  """Log-uniform, by Kolmogorov and Smirnov; a function of seed and step; beside the noise."""
  lane, size = lane_of(), 4000
  draw = jax.jit(lambda lane, count: learner.drawn_betas(RANGE, lane, size, count))
  betas = np.asarray(draw(lane, 7), float)
  assert RANGE[0] <= betas.min() and betas.max() <= RANGE[1]
  law = scipy.stats.loguniform(*RANGE)
  assert scipy.stats.kstest(betas, law.cdf).pvalue > 1e-3
  np.testing.assert_array_equal(draw(lane, 7), draw(lane_of(beta=0.5), 7))
  others = [draw(lane, 8), draw(lane._replace(seed=jnp.uint32(1)), 7), draw(lane, 2**31 - 1)]
  for other in others:
    correlation = np.corrcoef(np.log(betas), np.log(np.asarray(other, float)))[0, 1]
    assert abs(correlation) < 5 / size**0.5
  # Not of a key that the noise of some step has.
  key = learner.lane_keys(lane).noise
  folded = jax.random.fold_in(key, np.uint32(2**31 + 7))
  low, high = map(math.log, RANGE)
  expected = np.exp(jax.random.uniform(folded, (size,), minval=low, maxval=high))
  np.testing.assert_allclose(betas, expected, rtol=1e-5)


def test_every_example_is_as_it_is_alone_at_its_beta():
  """Posterior, samples and likelihood of a batch of three betas; and the mean of beta R."""
  model = linear_model((4,))
  estimator = learner_of(model, 1, num_samples=2).estimator
  lane, x = lane_of(), kinds.normal(0, 3, 5)
  params = kinds.randomized(jax.eval_shape(model.init, jax.random.key(0), lane.mask), 4)
  noise, betas = kinds.normal(1, 3, 2, LATENTS), np.array([0.02, 1.0, 8.0], 'f')

  @jax.jit
  def averages(x, noise, betas):
    weights = jnp.ones(len(x))
    found, _ = learner.batch_averages(estimator, params, lane, x, noise, weights, betas)
    return found

  @jax.jit
  def by_hand(x, noise, beta):
    of_beta = model.at_beta(params, beta)
    q = model.encode(of_beta, x, lane.mask)
    decode = lambda z: model.decode(of_beta, z, lane.mask).log_prob(x)  # noqa: E731
    distortion = -jnp.mean(jax.vmap(decode)(q.loc + q.scale * noise))
    return q.kl_to_standard_normal().sum(), distortion

  together = averages(x, noise, betas)
  rates, distortions = np.array([by_hand(*each) for each in zip(x, noise, betas, strict=True)]).T
  assert together['rates'].sum() == pytest.approx(rates.mean(), rel=1e-4)
  assert together['distortion'] == pytest.approx(distortions.mean(), rel=1e-4)
  assert together['weighed_rate'] == pytest.approx(np.mean(betas * rates), rel=1e-4)
  swapped = averages(x, noise, betas[::-1])
  assert abs(swapped['distortion'] - together['distortion']) > 1e-3


def study_config(**sections):
  page = config.base().to_dict()
  page |= dict(study='many betas', bound={'name': 'multi_rate'})
  page['data'] |= dict(name='digits', binarize='dynamic')
  page['encoder'] |= dict(hidden=(4,))
  page['decoder'] |= dict(hidden=(4,))
  for section, keys in sections.items():
    page[section] = page[section] | keys
  return config.complete(page)


@pytest.mark.parametrize(
  ('sections', 'words'),
  [
    ({'encoder': {'hidden': ()}}, r"encoder\.hidden=\(\): bound\.name='multi_rate' has no layer"),
    ({'decoder': {'hidden': ()}}, r'decoder\.hidden=\(\): .* set decoder\.hidden'),
    (
      {'encoder': {'name': 'own_parts:ResidualEncoder', 'depth': 1}},
      r"encoder\.name='own_parts:ResidualEncoder' does not see beta",
    ),
    ({'bound': {'lowest': 10.0, 'highest': 0.1}}, r'bound\.lowest=10 is not below'),
    ({'bound': {'lowest': 0.0}}, r'bound\.lowest=0\.0 is not valid: the nearest'),
    (
      {'likelihood': {'name': 'gaussian', 'scale': 'optimal'}},
      r"likelihood\.scale='optimal' is the best for one beta",
    ),
    ({'evaluation': {'betas': (0.1, 20.0)}}, r'evaluation\.betas=\(0\.1, 20\.0\).*\(0\.1, 10\.0\)'),
    ({'evaluation': {'betas': (0.001, 1.0)}}, r'betas=\(0\.001, 1\.0\).*\(0\.01, 1\.0\)'),
    (
      {'bound': {'name': 'elbo'}, 'evaluation': {'betas': (0.1,)}},
      r"evaluation\.betas=\(0\.1,\) is not valid: bound\.name='elbo' trains each lane for one",
    ),
    ({'lanes': {'beta': (20.0,)}}, r'lanes\.beta=20: .* the nearest valid value is 10'),
    ({'lanes': {'beta': (0.0,)}}, r'lanes\.beta=0: .* the nearest valid value is 0\.01'),
    ({'lanes': {'beta': (0.1, 1.0), 'seed': (0, 1)}}, 'two lanes differ in their beta alone'),
    (
      {'lanes': {'warmup': ('linear',), 'warmup_steps': (10,)}},
      r"lanes\.warmup: bound\.name='multi_rate' has none",
    ),
    ({'lanes': {'free_bits': (0.1,)}}, r"lanes\.free_bits: bound\.name='multi_rate' has none"),
    ({'lanes': {'target_rate': (5.0,)}}, r"lanes\.target_rate: bound\.name='multi_rate' has none"),
    ({'lanes': {'capacity': (5.0,)}}, r"lanes\.capacity: bound\.name='multi_rate' has none"),
  ],
)
def test_what_does_not_go_together_is_one_line(sections, words):
  page = study_config(**sections)
  with pytest.raises(errors.InputError, match=words) as caught:
    validation.check(page)
    study.points_of(page)
  assert all('\n' not in line for line in caught.value.problems)


class Eager(nn.Module):
  """An own encoder that cannot do without eta."""

  @nn.compact
  def __call__(self, x, eta):
    return eta * nn.Dense(2)(jnp.ravel(x))


def test_an_own_network_that_needs_beta_is_refused_by_a_bound_of_one_beta(monkeypatch):
  monkeypatch.setattr(own_parts, 'Eager', Eager, raising=False)
  page = study_config(bound={'name': 'elbo'}, encoder={'name': 'own_parts:Eager'})
  built = validation.Built(page, event=(2, 3), support='unit')
  with pytest.raises(errors.InputError, match=r"encoder\.name='own_parts:Eager' raises TypeError"):
    lawful.check_part('encoder', built, (2, 3), ())


def test_a_model_of_one_beta_ignores_it():
  model = networks.Model(*[None] * 6)
  assert model.at_beta('params', 3.0) == 'params'


def test_the_experiment_compares_distortions_at_equal_rate():
  """Two curves at other rates, one 1.5 nats above the other, and 0.1 more from seed to seed."""

  def curve(rates, above):
    return np.array([rates, 50 * np.exp(-rates / 10) + above])

  plain = {seed: curve(np.linspace(0, 45, 40), 0) for seed in multi_rate.SEEDS}
  found = {seed: curve(np.linspace(0.5, 25, 60), 1.5 + 0.1 * seed) for seed in multi_rate.SEEDS}
  rows = list(multi_rate._gap_rows('here', plain, found))
  stderr = 0.1 * np.std(multi_rate.SEEDS, ddof=1) / len(multi_rate.SEEDS) ** 0.5
  assert rows[-1].quantity == f'mean D, R from 0.50 to 25.0, +- {stderr:.2f} of 3 seeds'
  for row, rate in zip(rows, (*multi_rate.RATES, 0), strict=True):
    assert row.ours == pytest.approx(np.nan if rate > 25 else 1.6, abs=0.01, nan_ok=True)
  lines = [
    {'seed': s, 'test/rate': 1.0, 'test/distortion': d} for s, d in ((0, 2.0), (0, None), (1, 3))
  ]
  np.testing.assert_array_equal(multi_rate.points(lines, 0), [[1.0], [2.0]])
