"""The front door: a run trained, loaded and asked; its own figures are the oracle."""

import asyncio
import pathlib
import shutil
import subprocess
import sys
import threading

import jax
import numpy as np
import pytest
from conftest import ROOT, small_config, without_estimates, without_parts

import vae_jax
from vae_jax import data, errors, figures, multihost, programs, study
from vae_jax.runs import checkpoint, model_file, states, workdir
from vae_jax.runs.checkpoint import reading
from vae_jax.study import lawful

pytestmark = [pytest.mark.run, pytest.mark.usefixtures('traced_once')]


def tiny_config() -> dict:
  """Four lanes and four steps of the programs of the small study; one diverges at its second."""
  config = small_config()
  config['lanes'] |= dict(
    combine='list',
    points=((1.0, 5, 7, 2e-3), (4.0, 2, 0, 2e-3), (1.0, 2, 0, 1e30), (4.0, 2, 1, 2e-3)),
  )
  config['train'] |= dict(steps=4, log_every=2, evaluate_every=2, checkpoint_every=2)
  return config


def train(config, directory):
  """A run without pictures and the parts of the rate, which nobody here asks for."""
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(figures, 'draw_all', lambda directory: None)
    without_parts(patch)
    return vae_jax.train(config, directory)


@pytest.fixture(scope='module')
def trained(tmp_path_factory, traced_once):
  directory = tmp_path_factory.mktemp('front') / 'run'
  return train(tiny_config(), directory)


def checkpoints(directory: pathlib.Path) -> pathlib.Path:
  return directory / 'checkpoints'


def test_the_verdict_of_the_run(trained):
  found = trained.verdict
  assert found['best'] in found['set']
  counted = [trained.lanes[i].name for point in found['points'] for i in point['lanes']]
  assert sorted([*counted, *found['left_out']]) == sorted(trained.names)
  assert trained.verdict is not found  # read anew


def test_the_package_imports_no_jax():
  code = 'import sys, vae_jax; assert "jax" not in sys.modules; assert "load" in dir(vae_jax)'
  subprocess.run([sys.executable, '-c', code], check=True, cwd=ROOT)


@pytest.mark.parametrize('method', ['evaluated', 'given'])
def test_a_split_or_a_number_that_there_is_not_is_named(trained, method):
  ask = getattr(trained, method)
  with pytest.raises(errors.InputError, match=r"split='tst': valid are train, .*'test'"):
    ask('tst', 'nll_images')
  with pytest.raises(errors.InputError, match=r"count='nll_image': valid are .*'nll_images'"):
    ask('test', 'nll_image')


def test_the_figures_of_the_run_come_out_again(trained):
  settings = trained.config['evaluation']
  assert [row['name'] for row in trained.results] == trained.names
  for lane, row in list(zip(trained, trained.results, strict=True))[:2]:
    for split in ('train', 'test'):
      images = trained.evaluated(split, f'{split}_images')
      for term in ('elbo', 'rate', 'distortion'):
        value = getattr(lane, term)(images, num_samples=1)
        assert value.shape == (50,)
        np.testing.assert_allclose(value.mean(), row[f'{split}/{term}'], atol=1e-4)
    images = trained.evaluated('test', 'nll_images')
    value = lane.log_likelihood(images, settings['nll_samples'])
    assert value.shape == (30,)
    np.testing.assert_allclose(-value.mean(), row['test/nll'], atol=1e-4)


def test_pictures_are_those_of_images_npz(trained):
  with np.load(trained.directory / 'images.npz') as stored:
    kept = dict(stored)
  chosen = data.subset(len(trained.test), 8, trained.config['data']['seed'])
  for i, lane in list(enumerate(trained))[:2]:
    for images, name in (
      (lane.reconstruct(trained.test[chosen]), 'reconstructions'),
      (lane.sample(8), 'samples'),
    ):
      # A value that lies between two levels may be rounded to either.
      assert np.abs(np.round(255 * images) - kept[name][i]).max() <= 1
  assert np.abs(lane.sample(8, seed=1) - lane.sample(8)).max() > 0.01


def test_codes_are_those_of_the_run(trained):
  built = study.from_config(trained.config)
  state = states.restored(built, checkpoint.open_manager(checkpoints(trained.directory))).state
  codes = programs.encode(
    built.model, programs.params_of(state), built.lanes, built.dataset.test, 1.0, built.place
  )
  for i, lane in list(enumerate(trained))[:2]:
    own = lane.encode(trained.test)
    assert own.shape == (359, lane.latent_size)
    np.testing.assert_allclose(own, codes[i][:, : lane.latent_size], atol=1e-5)
    assert not np.any(codes[i][:, lane.latent_size :])


def test_the_ways_through_the_latents_meet(trained):
  lane, x = trained['b1-z5-s7-lr0.002'], trained.test[:2]
  codes, means = lane.encode(x), lane.reconstruct(x)
  np.testing.assert_allclose(lane.decode(codes), means, atol=1e-6)
  np.testing.assert_allclose(lane.posterior(x).mean, codes, atol=1e-6)
  line = lane.interpolate(*x, 3)
  np.testing.assert_allclose(line[[0, 2]], means, atol=1e-6)
  np.testing.assert_allclose(line[1:2], lane.decode(codes.mean(axis=0, keepdims=True)), atol=1e-6)
  moved = lane.traverse(x[1], 2, [codes[1, 2], 5.0])
  np.testing.assert_allclose(moved[0], means[1], atol=1e-6)
  there = codes[1:] * [1, 1, 0, 1, 1] + [0, 0, 5.0, 0, 0]
  np.testing.assert_allclose(moved[1:], lane.decode(there), atol=1e-6)


def test_a_number_of_images_and_another_lane_compile_nothing(trained):
  program = trained.lanes[0].shared.functions.encode
  for lane, count in zip(trained, (1, 7, 50, 100), strict=True):
    assert lane.encode(trained.test[:count]).shape == (count, lane.latent_size)
  assert program._cache_size() == 1
  whole, lane = trained.lanes[0].encode(trained.test[:100]), trained.lanes[0]
  np.testing.assert_array_equal(lane.encode(trained.test[65:66]), whole[65:66])


def test_a_lane_that_diverged_is_at_its_last_finite_state(trained):
  assert [lane.status for lane in trained] == ['done', 'done', 'diverged', 'done']
  assert [row['status'] for row in trained.results] == ['done', 'done', 'diverged', 'done']
  lane = trained.lanes[2]
  assert lane.step == trained.results[2]['step']
  assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(lane.params))
  assert trained.best().status == 'done'


def test_best_goes_by_the_sign_of_the_column(trained):
  rows = [row for row in trained.results if row['status'] == 'done']
  for by, choose in (('test/elbo', max), ('test/nll', min), ('train/distortion', min)):
    assert trained.best(by).name == choose(rows, key=lambda row, by=by: row[by])['name']
  with pytest.raises(errors.InputError, match=r"by='test/elb'.*'test/elbo'"):
    trained.best('test/elb')
  with pytest.raises(errors.InputError, match='seconds'):
    trained.best('seconds')


def test_an_unknown_lane_is_refused_with_the_nearest(trained):
  assert trained.names[0] in trained
  with pytest.raises(errors.InputError, match=r"'b1-z5-s7'.*nearest is 'b1-z5-s7-lr0.002'"):
    trained['b1-z5-s7']


@pytest.mark.parametrize(
  'ask, message',
  [
    (lambda lane, x: lane.encode(x[:, :7]), r'x has shape \[359, 7, 8, 1\].*\[N, 8, 8, 1\]'),
    (lambda lane, x: lane.encode(x[0]), r'one image is x\[None\]'),
    (lambda lane, x: lane.encode(255 * x), r'values from 0 to 255.*\[0, 1\]; give x / 255'),
    (lambda lane, x: lane.encode(x * np.nan), 'NaN'),
    (lambda lane, x: lane.encode(x.astype(str)), 'type <U'),
    (lambda lane, x: lane.decode(np.zeros((4, 2))), r'z has shape \[4, 2\].*\[N, 5\]'),
    (lambda lane, x: lane.sample(0), 'n=0'),
    (lambda lane, x: lane.sample(3, seed=-1), 'seed=-1'),
    (lambda lane, x: lane.elbo(x, num_samples=1.5), 'num_samples=1.5'),
    (lambda lane, x: lane.traverse(x[0], 5), 'latent=5.*nearest valid value is 4'),
    (lambda lane, x: lane.interpolate(x[0], x[:2]), 'x1 has shape'),
  ],
)
def test_bad_input_is_one_line(trained, ask, message):
  with pytest.raises(errors.InputError, match=message) as caught:
    ask(trained.lanes[0], trained.test.astype('f'))
  assert '\n' not in str(caught.value)


def test_loads_without_data_lock_or_moments_from_a_moved_directory_that_is_read_only(
  trained, tmp_path, monkeypatch
):
  x, codes = trained.test[:5], trained.lanes[0].encode(trained.test[:5])
  moved = tmp_path / 'elsewhere'
  shutil.copytree(trained.directory, moved)
  (moved / '.lock').unlink()
  before = sorted(moved.rglob('*'))
  for path in (moved, checkpoints(moved)):
    path.chmod(0o500)
  monkeypatch.setattr(data, 'read', lambda **settings: pytest.fail('the data were read'))
  monkeypatch.setattr(study, 'from_config', lambda config: pytest.fail('a study was built'))
  asked = []
  leaves = checkpoint.reading._leaves
  monkeypatch.setattr(
    checkpoint.reading, '_leaves', lambda path, names: asked.extend(names) or leaves(path, names)
  )
  run = vae_jax.load(moved)
  np.testing.assert_array_equal(run.lanes[0].encode(x), codes)
  assert not any('opt_state' in name for name in asked)
  assert sorted(moved.rglob('*')) == before


def test_loads_beside_the_training_of_the_same_directory(trained, tmp_path, monkeypatch):
  """The lock is held by the training; a checkpoint that vanishes while it is read is another's."""
  directory = tmp_path / 'run'
  shutil.copytree(trained.directory, directory)
  leaves = checkpoint.reading._leaves

  def vanishing(path, names):
    if path.name == '4':
      path.rename(path.with_name('6'))  # as if it had been replaced by a newer one
    return leaves(path, names)

  monkeypatch.setattr(checkpoint.reading, '_leaves', vanishing)
  with workdir.holding(directory):
    run = vae_jax.load(directory)
  assert run.step in (2, 6)
  np.testing.assert_array_equal(
    run.lanes[2].params['decoder']['params']['output']['bias'],
    trained.lanes[2].params['decoder']['params']['output']['bias'],
  )


def test_what_is_damaged_is_not_loaded(trained, tmp_path, monkeypatch):
  monkeypatch.setattr(reading, '_PAUSES', (0.0, 0.0))
  directory = tmp_path / 'run'
  shutil.copytree(trained.directory, directory)
  (directory / 'model.json').write_text('{}')
  with pytest.raises(errors.DamagedError, match=r'model\.json fails its sha256'):
    vae_jax.load(directory)
  shutil.copy(trained.directory / 'model.json', directory)
  for path in checkpoints(directory).glob('*/json/metadata'):
    path.write_text(path.read_text().replace('"seconds": ', '"seconds": 1'))
  with pytest.raises(errors.DamagedError, match='none of the steps'):
    vae_jax.load(directory)
  shutil.rmtree(checkpoints(directory))
  with pytest.raises(errors.InputError, match='no checkpoint yet'):
    vae_jax.load(directory)
  with pytest.raises(errors.InputError, match='holds no run'):
    vae_jax.load(tmp_path)
  with pytest.raises(errors.InputError, match='is no directory'):
    vae_jax.load(tmp_path / 'nowhere')


def test_a_run_that_is_older_than_model_json_is_loaded_by_its_data(trained, tmp_path):
  directory = tmp_path / 'run'
  shutil.copytree(trained.directory, directory)
  for name in ('model.json', 'manifest.json'):
    (directory / name).unlink()
  x = trained.test[:3]
  run = vae_jax.load(directory)
  np.testing.assert_array_equal(run.lanes[0].encode(x), trained.lanes[0].encode(x))


def test_the_shares_of_several_processes_are_one_run(trained, tmp_path):
  """Made of the states of the run: each share is padded to its own largest latent size."""
  whole = study.from_config(trained.config)
  found = states.restored(whole, checkpoint.open_manager(checkpoints(trained.directory)))
  for index, kept in enumerate((slice(0, 2), slice(2, 4))):
    share = tmp_path / f'process-{index}'
    shutil.copytree(trained.directory, share, ignore=shutil.ignore_patterns('checkpoints', 'm*'))
    config = multihost.cut(trained.config, index, 2)
    workdir.stored.write_json(share / 'config.json', workdir.plain(config))
    size = (5, 2)[index]
    state = jax.tree.map(lambda leaf, kept=kept: np.asarray(leaf)[kept], found.state)
    like = programs.state_shapes(
      study.from_config(config).training.learner, study.from_config(config).lanes
    )
    state = jax.tree.map(lambda leaf, shape: leaf[tuple(map(slice, shape.shape))], state, like)
    assert state.params['posterior']['params']['loc']['bias'].shape[1] == size
    with checkpoint.open_manager(checkpoints(share)) as manager:
      states.save(manager, found._replace(state=state))
    model_file.write(share, study.from_config(config))
  run = vae_jax.load(tmp_path)
  assert run.names == trained.names
  for name in run.names:
    x = trained.test[:4]
    np.testing.assert_allclose(run[name].encode(x), trained[name].encode(x), atol=1e-5)
  assert vae_jax.load(tmp_path / 'process-1').names == ['b1-z2-s0-lr1e+30', 'b4-z2-s1-lr0.002']


def test_trains_in_a_thread_with_an_event_loop_as_in_a_notebook(trained, tmp_path):
  """The same bits, from a file that leaves everything else as it is."""
  file = tmp_path / 'mine.py'
  file.write_text(f'def get_config():\n  return {tiny_config()!r}\n')
  done = []

  async def cell():
    done.append(train(file, tmp_path / 'run'))

  thread = threading.Thread(target=lambda: asyncio.run(cell()))
  thread.start()
  thread.join()
  (run,) = done
  for one, other in zip(run, trained, strict=True):
    jax.tree.map(np.testing.assert_array_equal, one.params, other.params)
  again = vae_jax.train(file, tmp_path / 'run')  # finished: it is only loaded
  assert again.names == run.names


def test_a_config_file_that_is_none_is_one_line(tmp_path):
  file = tmp_path / 'mine.py'
  for text, message in (('x = (', 'SyntaxError'), ('x = 1', 'get_config')):
    file.write_text(text)
    with pytest.raises(errors.InputError, match=message):
      vae_jax.train(file, tmp_path / 'run')
  with pytest.raises(errors.InputError, match='no such file'):
    vae_jax.train(tmp_path / 'no.py', tmp_path / 'run')
  with pytest.raises(errors.InputError, match='lanes'):
    vae_jax.train(tiny_config() | {'lane': {}}, tmp_path / 'run')
  assert not (tmp_path / 'run').exists()


@pytest.fixture(scope='module')
def counted(tmp_path_factory, traced_once):
  """A run of the user's own parts alone."""
  config = tiny_config()
  config['lanes'] |= dict(points=((1.0, 3, 7, 2e-3), (1.0, 2, 0, 2e-3)))
  # Batches, of which the last is filled up; as many images of each split: one program.
  config['evaluation'] |= dict(batch_size=50, train_images=30, test_images=30)
  config |= dict(
    encoder=dict(name='own_parts:ResidualEncoder', depth=1),
    decoder=dict(name='own_parts:Decoder'),
    likelihood=dict(name='own_parts:poisson'),
    posterior=dict(name='own_parts:logistic'),
    prior=dict(name='own_parts:laplace'),
    bound=dict(name='own_parts:tempered', num_samples=2, kl='sampled'),
    data=dict(name='own_parts:counts', scale_to_unit=False),
  )
  directory = tmp_path_factory.mktemp('own') / 'run'
  with pytest.MonkeyPatch.context() as patch:  # that they obey is in `test_laws`
    patch.setattr(lawful, 'check_part', lambda *arguments: None)
    patch.setattr(lawful, 'check_whole', lambda *arguments: None)
    without_estimates(patch)
    return train(config, directory)


def test_a_run_of_own_parts_says_its_own_figures(counted):
  for lane, row in zip(counted, counted.results, strict=True):
    images = counted.evaluated('test', 'test_images')
    # Some -2,500 nats in float32, whose sums are rounded otherwise in another program.
    np.testing.assert_allclose(lane.elbo(images, 2).mean(), row['test/elbo'], rtol=2e-6)
  counts = counted.test
  assert (lane.reconstruct(counts) > 0).all()
  assert lane.posterior(counts).scale.shape == (len(counts), 2)
  with pytest.raises(errors.InputError, match='whole numbers from 0'):
    lane.encode(counts + 0.5)


def test_other_data_than_those_of_the_run_are_refused(counted, tmp_path):
  whole = {'train': counted.train, 'test': counted.test}
  for name, arrays in (('moved', whole), ('other', whole | {'test': 1 + counted.test})):
    np.savez(tmp_path / f'{name}.npz', **{k: v.astype(np.int32) for k, v in arrays.items()})
  run = vae_jax.load(counted.directory, data_path=tmp_path / 'moved.npz')
  np.testing.assert_array_equal(run.test, counted.test)
  other = vae_jax.load(counted.directory, data_path=tmp_path / 'other.npz')
  with pytest.raises(errors.InputError, match=r'other\.npz.*has other data'):
    _ = other.test
  codes = counted.lanes[0].encode(run.test)
  np.testing.assert_array_equal(other.lanes[0].encode(run.test), codes)  # which needs no data


def test_a_run_can_be_a_table_of_pandas(trained):
  pd = pytest.importorskip('pandas')
  table = trained.to_pandas()
  assert isinstance(table, pd.DataFrame) and list(table.index) == trained.names
