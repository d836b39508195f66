"""Two studies beside each other: closed forms, SciPy and simulations as oracles."""

import json

import numpy as np
import pytest
import scipy.integrate
import scipy.interpolate
import scipy.special
import scipy.stats

from vae_jax import comparison, errors
from vae_jax.comparison import contrasts, curves, pairs

pytestmark = pytest.mark.math

BETAS = (0.5, 1.0, 2.0, 4.0, 8.0)


def before(rate):
  return 80 * np.exp(-rate / 10) + 40


def after(rate):
  return before(rate) + 0.5 - 0.02 * rate


def rows_of(betas=BETAS, sizes=(8,), seeds=(0,), **more):
  points = [(beta, size, seed) for size in sizes for beta in betas for seed in seeds]
  return [
    dict(name=f'b{b:g}-z{z}-s{s}', status='done', beta=b, latent_size=z, seed=s, **more)
    for b, z, s in points
  ]


def side(rng, rates, distortion, seeds=1, n=100, of_seeds=0.1, images=None, name='A', sha='same'):
  """A study of one latent size; `images` [n] is how hard each image is."""
  images = rng.standard_normal(n) if images is None else images
  shape = (len(rates), seeds, n)
  seed = of_seeds * rng.standard_normal((len(rates), seeds, 1))
  own = 0.4 * rng.standard_normal((len(rates), 1, n))
  rate = np.asarray(rates)[:, None, None] + 0.5 * images + seed + 0.2 * rng.standard_normal(shape)
  dist = distortion(np.asarray(rates))[:, None, None] + 3 * images + own - 0.8 * seed
  dist = dist + 0.2 * rng.standard_normal(shape) + 0.5 * of_seeds * rng.standard_normal(seed.shape)
  flat = (len(rates) * seeds, n)
  rate, dist = rate.reshape(flat), dist.reshape(flat)
  betas = BETAS[: len(rates)]
  rows = rows_of(betas, seeds=range(seeds))
  return comparison.Side(name, rows, rate + dist - 5, rate, dist, sha, sha)


@pytest.mark.parametrize(
  ('a', 'b', 'worse'), [(100, 5, 'B'), (5, 100, 'A'), (100, 100, ''), (None, 5, '')]
)
def test_nlls_of_other_numbers_of_samples_are_said_to_be_uneven(a, b, worse):
  """With fewer importance samples the bound is looser, Burda et al. 2016, theorem 1."""
  rates = np.linspace(5, 30, 3)
  sides = [side(np.random.default_rng(0), rates, before) for _ in range(2)]
  for each, samples in zip(sides, (a, b), strict=True):
    for row in each.rows:
      row['nll_samples'] = samples
  found = comparison.compare(*sides, 'test')
  said = [line for line in comparison.sentences(found) if 'importance sample' in line]
  assert found.samples == (a, b)
  assert [
    f'disadvantage of {worse}; let vae-jax evaluate --num_samples=100' in line for line in said
  ] == ([True] if worse else [])


def test_delta_of_two_curves_in_closed_form():
  """D_B - D_A = 0.5 - 0.02 R: its mean over the overlap is its value in the middle of that."""
  a, b = np.linspace(2, 30, 25), np.linspace(5, 35, 22)
  found = curves.delta(np.array([a, before(a)]), np.array([b, after(b)]))
  assert found == pytest.approx(0.5 - 0.02 * (5 + 30) / 2, abs=2e-3)
  assert curves.overlap(np.array([a, a]), np.array([b, b])) == (5, 30)


def test_delta_of_straight_lines_is_exact_and_changes_its_sign():
  one = np.array([[1.0, 4.0, 9.0], [20.0, 17.0, 12.0]])  # D = 21 - R
  other = np.array([[2.0, 5.0, 12.0], [21.0, 18.0, 11.0]])  # D = 23 - R
  assert curves.delta(one, other) == pytest.approx(2.0)
  assert curves.delta(other, one) == pytest.approx(-2.0)
  assert curves.delta(one[:, ::-1], other) == pytest.approx(2.0)  # in any order


def test_a_curve_at_a_rate_is_on_its_line_and_unknown_beyond_its_ends():
  line = np.array([[1.0, 2.0, 4.0], [10.0, 8.0, 4.0]])
  assert curves.at(line, 2.5) == pytest.approx(7.0)
  assert curves.at(line, 4.0) == pytest.approx(4.0)
  assert np.isnan(curves.at(line, 4.5)) and np.isnan(curves.at(line, 0.5))


def test_points_of_one_rate_are_their_mean():
  one = np.array([[0.0, 0.0, 4.0], [11.0, 13.0, 8.0]])
  other = np.array([[0.0, 4.0], [12.0, 8.0]])
  assert curves.delta(one, other) == pytest.approx(0.0)


def test_the_integral_against_quadrature():
  a, b = np.array([1.0, 3, 7, 12]), np.array([2.0, 4, 9, 15])
  one, other = np.array([a, before(a)]), np.array([b, after(b)])
  gap = lambda r: scipy.interpolate.pchip(*other)(r) - scipy.interpolate.pchip(*one)(r)  # noqa: E731
  oracle = scipy.integrate.quad(gap, 2, 12, points=[3, 4, 7, 9])[0] / 10
  assert curves.delta(one, other) == pytest.approx(oracle, rel=1e-6)


def test_curves_that_do_not_overlap_are_refused():
  one, other = np.array([[1.0, 2.0], [9, 8]]), np.array([[3.0, 5.0], [7, 6]])
  with pytest.raises(errors.InputError, match=r'do not overlap: 1 to 2 and 3 to 5 nats'):
    curves.delta(one, other)
  with pytest.raises(errors.InputError, match='do not overlap: 1 to 2 and 2 to 2'):
    curves.delta(one, np.array([[2.0], [8.0]]))


@pytest.mark.slow
@pytest.mark.parametrize(
  ('seeds', 'of_seeds', 'paired'), ((1, 0.0, True), (3, 0.1, True), (3, 0.1, False))
)
def test_the_error_of_delta_covers(seeds, of_seeds, paired, draws=1000):
  rng, rates, held = np.random.default_rng(0), np.array([2.0, 8, 15, 25]), []
  truth = curves.delta(
    np.array([rates, before(rates)]), np.array([rates + 0.5, after(rates + 0.5)])
  )
  for _ in range(draws):
    images = rng.standard_normal(100)
    keywords = dict(seeds=seeds, of_seeds=of_seeds, images=images if paired else None)
    one = side(rng, rates, before, **keywords)
    other = side(rng, rates + 0.5, after, sha='same' if paired else 'other', **keywords)
    found = comparison.compare(one, other, 'validation')
    assert found.curves_paired == paired
    low, high = found.gap.interval()
    held.append(low <= truth <= high)
  assert np.mean(held) == pytest.approx(0.95, abs=5 * np.sqrt(0.05 * 0.95 / draws))


def test_what_all_points_share_is_the_error_of_delta():
  """A shift of all distortions of B by e_i is a shift of delta D by its mean."""
  rates, shift = np.array([2.0, 8, 15, 25]), np.random.default_rng(10).standard_normal(50)
  flat = [np.full((1, 50), rate) for rate in rates]
  one = curves.Curve(flat, [np.full((1, 50), before(rate)) for rate in rates])
  other = curves.Curve(flat, [before(rate) + shift[None] for rate in rates])
  found, _ = curves.gaps([one], [other], paired=True)
  assert found.mean == pytest.approx(shift.mean())
  assert found.stderr == pytest.approx(scipy.stats.sem(shift), rel=1e-3)
  # Along a common curve a shift of the rate is one of the distortion, times its slope.
  moved = curves.Curve([flat[i] + shift for i in range(4)], [a + shift for a in one.distortions])
  falling = curves.gaps([one], [moved], paired=True)[0].stderr
  assert falling > scipy.stats.sem(shift)  # D + R/slope: both go up


def test_one_point_is_the_paired_t_test_and_the_unpaired_one():
  rng = np.random.default_rng(1)
  images = rng.standard_normal(60)
  one, other = (side(rng, [9.0], before, n=60, images=images, of_seeds=0.0) for _ in range(2))
  found = comparison.compare(one, other, 'test')
  oracle = scipy.stats.ttest_rel(other.nll[0], one.nll[0])
  assert found.overall.p_value == pytest.approx(oracle.pvalue, rel=1e-6)
  assert found.overall.mean == pytest.approx(np.mean(other.nll - one.nll))
  apart = comparison.compare(one, other._replace(images='others'), 'test')
  sem = np.hypot(*(scipy.stats.sem(each.nll[0]) for each in (one, other)))
  assert apart.overall.stderr == pytest.approx(sem, rel=1e-9)
  assert sem > 5 * found.overall.stderr  # what pairing is for


def test_the_overall_change_is_a_mean_over_points_on_the_same_images():
  rng = np.random.default_rng(2)
  images = rng.standard_normal(100)
  rates = np.array([2.0, 8, 15])
  one = side(rng, rates, before, images=images, of_seeds=0.0)
  other = side(rng, rates, after, images=images, of_seeds=0.0)
  found = comparison.compare(one, other, 'test')
  per_image = (other.nll - one.nll).mean(axis=0)
  assert found.overall.mean == pytest.approx(per_image.mean())
  assert found.overall.stderr == pytest.approx(scipy.stats.sem(per_image))
  each = [scipy.stats.ttest_rel(b, a).pvalue for a, b in zip(one.nll, other.nll, strict=True)]
  np.testing.assert_allclose(
    [change.p_value for change in found.changes.values()], pairs.holm(each), rtol=1e-6
  )


def test_holm_by_hand():
  np.testing.assert_allclose(pairs.holm([0.03, 0.01, 0.4, 0.025]), [0.075, 0.04, 0.4, 0.075])
  np.testing.assert_array_equal(pairs.holm([0.9, np.nan]), [1.0, np.nan])


@pytest.mark.parametrize(('seeds', 'of_seeds'), ((1, 0.0), (3, 1.0)))
def test_type_one_error_of_the_overall_change(seeds, of_seeds):
  rng, rejected = np.random.default_rng(3), []
  weights = np.array([[-0.5, -0.5, 0.5, 0.5]])
  for _ in range(1000):
    images = rng.standard_normal(40)
    values = images + 0.3 * rng.standard_normal((4, seeds, 40))
    values = values + of_seeds * rng.standard_normal((4, seeds, 1))
    mean = (weights @ values.mean(axis=(1, 2)))[0]
    stderr, degrees = contrasts.errors_of(values[:2], values[2:], True, weights)
    rejected.append(2 * scipy.special.stdtr(degrees, -abs(mean / stderr[0])) < 0.05)
  assert (0.03 if seeds == 1 else 0.0) <= np.mean(rejected) <= 0.07


def test_a_study_beside_itself():
  one = side(np.random.default_rng(4), [2.0, 8, 15], before)
  found = comparison.compare(one, one._replace(name='B'), 'test')
  assert (found.overall.mean, found.overall.stderr, found.overall.p_value) == (0.0, 0.0, 1.0)
  assert found.gap.mean == pytest.approx(0.0, abs=1e-12)
  assert found.gap.stderr == pytest.approx(0.0, abs=1e-6)
  assert any('no difference is seen' in line for line in comparison.sentences(found))


def test_points_of_one_study_alone_and_diverged_lanes():
  rng = np.random.default_rng(5)
  images = rng.standard_normal(100)
  one = side(rng, [2.0, 8, 15], before, seeds=2, images=images)
  other = side(rng, [2.0, 8, 15], after, seeds=2, images=images, name='B')
  other.rows[0]['beta'] = other.rows[1]['beta'] = 64.0
  other.rows[2]['status'] = 'diverged'
  other.nll[2] = other.rates[2] = np.nan
  one.nll[3, 7] = np.inf
  found = comparison.compare(one, other, 'validation')
  assert found.only == (['beta 0.5, latent size 8'], ['beta 64, latent size 8'])
  assert found.left_out == ({}, {'b1-z8-s0': 'diverged'})
  assert list(found.changes) == ['beta 1, latent size 8', 'beta 2, latent size 8']
  assert found.num_images == (99, 99)
  said = comparison.sentences(found)
  assert 'Left out of B: b1-z8-s0 (diverged).' in said
  json.dumps(comparison.as_record(found), allow_nan=False)


def test_without_values_of_each_image_the_seeds_are_the_error():
  rng = np.random.default_rng(6)
  sides = [side(rng, [2.0, 8, 15], curve, seeds=3) for curve in (before, after)]
  sides = [
    each._replace(
      images='',
      averaged='',
      **{
        name: getattr(each, name).mean(axis=1)[:, None] for name in ('nll', 'rates', 'distortions')
      },
    )
    for each in sides
  ]
  found = comparison.compare(*sides, 'test')
  assert not found.paired
  assert 0 < found.overall.stderr < 1
  assert any('for want of per-image values' in line for line in comparison.sentences(found))
  lone = [
    each._replace(
      rows=each.rows[::3],
      nll=each.nll[::3],
      rates=each.rates[::3],
      distortions=each.distortions[::3],
    )
    for each in sides
  ]
  found = comparison.compare(*lone, 'test')
  assert np.isnan(found.overall.stderr)
  said = ' '.join(comparison.sentences(found))
  assert said.count('its error is not known') == 2
  json.dumps(comparison.as_record(found), allow_nan=False)


def test_a_field_that_an_older_run_lacks_is_at_its_default():
  rng = np.random.default_rng(7)
  one, other = (side(rng, [2.0, 8], before) for _ in range(2))
  for row in other.rows:
    row |= dict(learning_rate=1e-3, warmup='constant')
  assert len(comparison.compare(one, other, 'test').changes) == 2
  for row in other.rows:
    row['learning_rate'] = 1e-2
  found = comparison.compare(one, other, 'test')
  assert found.overall is None
  assert found.only[1] == [f'beta {b:g}, latent size 8, learning rate 0.01' for b in BETAS[:2]]
  assert 'NLL: not compared, as no point is in both.' in comparison.sentences(found)


def test_nothing_to_compare_is_refused():
  one = side(np.random.default_rng(8), [2.0, 8], before)
  rows = [row | {'status': 'diverged'} for row in one.rows]
  with pytest.raises(errors.InputError, match='B has no lane to compare: diverged'):
    comparison.compare(one, one._replace(name='B', rows=rows), 'test')


def test_what_is_said_of_a_better_study():
  rng = np.random.default_rng(9)
  images = rng.standard_normal(400)
  rates = np.array([2.0, 8, 15, 25])
  one = side(rng, rates, before, n=400, images=images, of_seeds=0.0)
  other = side(rng, rates, lambda r: before(r) - 1, n=400, images=images, of_seeds=0.0, name='B')
  said = comparison.sentences(comparison.compare(one, other, 'validation'))
  assert any(line.startswith('NLL: B is better, B less A is -') for line in said)
  assert any(line.startswith('B is better at 4 points: ') for line in said)
  assert any(line.startswith('At equal rate: B has less distortion,') for line in said)
