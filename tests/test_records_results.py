"""results.csv: the columns of the contract, and the same numbers when it is read back."""

import os

import numpy as np
import pytest

from vae_jax import errors, records

pytestmark = pytest.mark.run

FIELDS = ('beta', 'latent_size', 'seed')

HEADER = (
  'lane,name,status,step,best_step,beta,latent_size,seed,beta_normalised,multiplier,'
  'train/elbo,train/rate,train/distortion,train/objective,'
  'validation/elbo,validation/rate,validation/distortion,validation/objective,'
  'test/elbo,test/rate,test/distortion,test/objective,'
  'validation/nll,validation/nll_stderr,validation/nll_samples,validation/nll_images,'
  'validation/effective_samples,validation/largest_weight,validation/low_effective_fraction,'
  'validation/active_units,'
  'test/nll,test/nll_stderr,test/nll_samples,test/nll_images,test/bits_per_dim_8bit,'
  'test/bits_per_dim_density,'
  'test/effective_samples,test/largest_weight,test/low_effective_fraction,test/active_units,'
  'test/mutual_information,test/mutual_information_stderr,test/mutual_information_ceiling,'
  'test/marginal_kl,test/total_correlation,test/dimension_wise_kl,test/mixture_gain,'
  'collapsed_at,reason,seconds,steps_per_second'
)


def row(lane=0, **values):
  fields = {'best_step': 4, 'beta': np.float32(0.1), 'latent_size': np.int32(10), 'seed': 0}
  return {
    'lane': lane,
    'name': f'lane-{lane}',
    'status': 'running',
    'step': 5,
    'best_step': 4,
    **fields,
    **values,
  }


def test_the_file_has_the_columns_of_the_contract(tmp_path):
  path = tmp_path / 'results.csv'
  last = row(1, **{'status': 'diverged', 'test/nll': float('nan'), 'seconds': 1.5})
  records.write_results(path, [row(), last], FIELDS)
  assert path.read_text().splitlines() == [
    HEADER,
    '0,lane-0,running,5,4,0.1,10,0' + ',' * 43,
    '1,lane-1,diverged,5,4,0.1,10,0' + ',' * 23 + 'nan' + ',' * 19 + '1.5,',
  ]
  assert HEADER.split(',') == records.result_columns(FIELDS)


def test_numbers_read_back_as_numbers(tmp_path):
  path = tmp_path / 'results.csv'
  values = np.random.default_rng(0).normal(size=50).astype(np.float32)
  written = [row(i, **{'test/nll': value, 'beta': 4.0}) for i, value in enumerate(values)]
  records.write_results(path, [*written, row(50, name='1e5')], FIELDS)
  *read, last = records.read_results(path)
  back = np.asarray([each['test/nll'] for each in read], np.float32)
  np.testing.assert_array_equal(back.view(np.uint32), values.view(np.uint32))
  assert read[3]['beta'] == 4.0 and type(read[3]['beta']) is float
  assert read[3]['latent_size'] == 10 and type(read[3]['latent_size']) is int
  assert last['name'] == '1e5'  # a name stays a name
  assert last['test/nll'] is None and 'test/nll' in last


def test_nan_and_infinity_are_values_and_not_gaps(tmp_path):
  path = tmp_path / 'results.csv'
  records.write_results(
    path, [row(**{'test/elbo': -np.inf, 'test/nll': np.float32('nan')})], FIELDS
  )
  (read,) = records.read_results(path)
  assert read['test/elbo'] == -np.inf and np.isnan(read['test/nll'])


@pytest.mark.parametrize(
  ('values', 'message'),
  [({'test/nl': 1.0}, 'test/nl'), ({'gamma': 1.0}, 'gamma'), ({'status': 'ok'}, "'ok'")],
)
def test_a_typo_does_not_pass_and_writes_nothing(tmp_path, values, message):
  path = tmp_path / 'results.csv'
  with pytest.raises(ValueError, match=message):
    records.write_results(path, [row(**values)], FIELDS)
  assert list(tmp_path.iterdir()) == []


def test_a_reader_sees_the_old_file_until_the_new_one_is_whole(tmp_path, monkeypatch):
  path = tmp_path / 'results.csv'
  records.write_results(path, [row()], FIELDS)
  before = path.read_text()

  def killed(*_):
    assert path.read_text() == before
    raise KeyboardInterrupt

  monkeypatch.setattr(os, 'fsync', killed)
  with pytest.raises(KeyboardInterrupt):
    records.write_results(path, [row(status='done')], FIELDS)
  assert path.read_text() == before
  assert [entry.name for entry in tmp_path.iterdir()] == ['results.csv']


def test_a_cut_row_is_damage(tmp_path):
  path = tmp_path / 'results.csv'
  records.write_results(path, [row(0), row(1)], FIELDS)
  path.write_text(path.read_text()[:-5])
  size = len(HEADER.split(','))
  words = rf'results\.csv, line 3: {size - 4} cells for {size} columns'
  with pytest.raises(errors.DamagedError, match=words):
    records.read_results(path)
