"""verdict.json, what the commands print of it, and two runs compared by their files alone."""

import json
import shutil

import numpy as np
import pytest
from conftest import small_config

import vae_jax
from vae_jax import config as settings
from vae_jax import errors, lane_fields, lanes, records, verdict
from vae_jax.commands import command, compare, terminal
from vae_jax.records import manifest, schemas
from vae_jax.runs import comparing, outcome, workdir

pytestmark = pytest.mark.run

BETAS, SEEDS = (0.5, 1.0, 4.0), (0, 1)
EVENT = [8, 8, 1]


def images(rng, n=80):
  return 90 + 20 * rng.standard_normal(n)


def make_run(directory, rng, shift=0.0, hard=None, split='validation', sha256='one', **of_data):
  """Writes the files of a finished run of three betas and two seeds that are read here."""
  config = small_config()
  config['lanes'] |= dict(beta=BETAS, latent_size=(4,), seed=SEEDS)
  config['data'] |= of_data
  directory.mkdir(parents=True)
  (directory / 'config.json').write_text(json.dumps(workdir.plain(settings.complete(config))))
  facts = {'data_sha256': str(of_data or 'digits'), 'event': EVENT, 'finished': True}
  (directory / 'provenance.json').write_text(json.dumps(facts))
  points = [lanes.point(beta, 4, seed) for beta in BETAS for seed in SEEDS]
  hard = images(rng) if hard is None else hard
  nll = hard + shift + rng.standard_normal((len(points), len(hard)))
  nll[:2] += 5  # beta 0.5
  rows = []
  for i, (point, name) in enumerate(zip(points, lanes.names(points), strict=True)):
    rate = 20 / (1 + point['beta']) + 0.1 * rng.standard_normal()
    terms = {'rate': rate, 'distortion': 90 - 2 * rate + shift, 'elbo': -90 + rate - shift}
    terms |= {'nll': nll[i].mean(), 'active_units': 4}
    of_splits = {f'{s}/{k}': v for s in {split, 'test'} for k, v in terms.items()}
    rows.append(dict(lane=i, name=name, status='done', step=9, seconds=1.0, **point, **of_splits))
  records.write_results(directory / 'results.csv', rows, lane_fields.NAMES)
  rates = np.array([[row['test/rate']] for row in rows]) + 0.3 * rng.standard_normal(nll.shape)
  distortions = np.array([[row['test/distortion']] for row in rows]) + 0.1 * hard
  found = records.PerImage(nll, -rates - distortions, distortions, np.arange(len(hard)), sha256)
  records.write_per_image(directory / 'per_image.npz', {s: found for s in {split, 'test'}})
  manifest.begin(directory, workdir.FILES)
  return directory


@pytest.fixture
def run(tmp_path):
  return make_run(tmp_path / 'run', np.random.default_rng(0))


def rows_of(directory):
  return records.read_results(directory / 'results.csv')


def test_the_verdict_is_written_and_printed_last(run, capsys):
  outcome.write_verdict(run, rows_of(run), EVENT)
  result = outcome.read(run, 'analytic')
  found = outcome.read_verdict(run)
  assert found['chosen_on'] == 'validation'
  assert found['best'] in found['set']
  assert found['set'] == sorted(found['set'], key=lambda name: name != found['best'])
  assert 'beta 0.5' not in ' '.join(found['set'])
  terminal.show(result)
  printed = capsys.readouterr().out.splitlines()
  assert printed[-len(result.verdict) :] == result.verdict == found['sentences']
  assert result.verdict[0].startswith('Best by NLL on the validation set: beta ')


EXAMPLES = {'images': EVENT, 'signals': [64, 2], 'rows': [9], 'of an older run': None}


def with_event(run, event):
  facts = json.loads((run / 'provenance.json').read_text()) | {'event': event}
  text = json.dumps({name: value for name, value in facts.items() if value is not None})
  manifest.write_text(run / 'provenance.json', text)


@pytest.mark.parametrize(('named', 'event'), EXAMPLES.items())
def test_examples_are_called_what_the_data_are_of(run, tmp_path, named, event):
  with_event(run, event)
  word = named if event else 'images'
  outcome.write_verdict(run, rows_of(run), event or EVENT)
  assert (
    f'one standard error, of 80 {word} and 2 seeds' in outcome.read_verdict(run)['sentences'][0]
  )
  other = make_run(tmp_path / 'other', np.random.default_rng(3))
  with_event(other, event)
  assert f'paired on the same 80 {word}' in ' '.join(vae_jax.compare(run, other)['sentences'])
  (other / 'per_image.npz').unlink()
  assert f'for want of per-{word[:-1]} values' in ' '.join(vae_jax.compare(run, other)['sentences'])


def test_every_key_of_the_verdict_is_in_the_schema(run):
  outcome.write_verdict(run, rows_of(run), EVENT)
  found = outcome.read_verdict(run)
  keys = set()
  for name, value in found.items():
    below = value[0] if name in ('points', 'collapse', 'growth') and value else None
    keys |= {f'{name}/{key}' for key in below} if below else {name}
  told = set(schemas.names(schemas.VERDICT))
  assert keys <= told | {'growth'}
  assert {key for key in told if not key.startswith('growth/')} <= keys


def test_without_a_validation_split_it_is_chosen_on_the_test_set(tmp_path):
  directory = make_run(tmp_path / 'run', np.random.default_rng(1), split='test')
  outcome.write_verdict(directory, rows_of(directory), EVENT)
  assert any('Chosen on the test set' in line for line in outcome.read(directory, '').verdict)


def test_a_run_without_values_of_each_image_has_no_verdict(run):
  (run / 'per_image.npz').unlink()
  outcome.write_verdict(run, rows_of(run), EVENT)
  assert not (run / 'verdict.json').exists()
  assert outcome.read_verdict(run) == {}
  assert outcome.read(run, 'analytic').verdict == []


def test_a_changed_verdict_is_damage(run):
  outcome.write_verdict(run, rows_of(run), EVENT)
  (run / 'verdict.json').write_text('{}')
  with pytest.raises(errors.DamagedError, match=r'verdict\.json'):
    outcome.read(run, 'analytic')


def test_the_verdict_is_that_of_the_arrays(run):
  nll = records.read_per_image(run / 'per_image.npz')['validation'].nll
  outcome.write_verdict(run, rows_of(run), EVENT)
  judged = verdict.as_record(verdict.judge(rows_of(run), nll, 'validation'))
  assert outcome.read_verdict(run) == json.loads(json.dumps(judged))


def compare_by_command(*words, capsys):
  code = command.exit_code_of(compare.make(), words)
  out, err = capsys.readouterr()
  return code, out, err


@pytest.fixture
def two(tmp_path):
  rng = np.random.default_rng(2)
  hard = images(rng)
  return [
    make_run(tmp_path / name, rng, shift, hard) for name, shift in (('before', 0), ('after', -1))
  ]


def test_two_runs_on_the_same_images(two, tmp_path, capsys):
  words = [f'--workdir={directory}' for directory in two]
  code, out, _ = compare_by_command(*words, f'--out={tmp_path}/it.png', capsys=capsys)
  assert code == 0
  assert 'NLL: B is better, B less A is -' in out
  assert 'paired on the same 80 images' in out
  assert 'At equal rate: B has less distortion, -' in out
  assert out.count('nats; paired') == 1
  assert (tmp_path / 'it.png').read_bytes().startswith(b'\x89PNG')
  found = vae_jax.compare(*two)
  assert found['paired']
  assert found['overall']['mean'] == pytest.approx(-1, abs=5 * found['overall']['stderr'])
  assert found['sentences'] == out.splitlines()[:-1]


def test_two_runs_on_other_images_are_not_paired(tmp_path, two):
  other = make_run(tmp_path / 'third', np.random.default_rng(3), sha256='other')
  found = vae_jax.compare(two[0], other)
  assert not found['paired']
  assert found['overall']['stderr'] > 1
  assert any('not paired: other images, 80 and 80' in line for line in found['sentences'])


def test_a_run_that_chose_on_the_test_set_is_compared_on_it(tmp_path, two):
  other = make_run(tmp_path / 'third', np.random.default_rng(3), split='test')
  assert vae_jax.compare(two[0], other)['split'] == 'test'
  assert vae_jax.compare(*two)['split'] == 'validation'


def test_a_run_that_is_older_than_values_of_each_image(two, capsys):
  (two[1] / 'per_image.npz').unlink()
  words = [f'--workdir={directory}' for directory in two]
  code, out, _ = compare_by_command(*words, capsys=capsys)
  assert code == 0
  assert 'for want of per-image values' in out


@pytest.mark.parametrize(
  ('of_data', 'message'),
  (
    (dict(name='shapes'), "data.name is 'digits' in --workdir="),
    (dict(binarize='none'), "data.binarize is 'dynamic' in --workdir="),
  ),
)
def test_other_data_are_refused(tmp_path, two, of_data, message, capsys):
  other = make_run(tmp_path / 'third', np.random.default_rng(3), **of_data)
  code, out, err = compare_by_command(f'--workdir={two[0]}', f'--workdir={other}', capsys=capsys)
  assert (code, out) == (2, '')
  assert message in err
  assert len(err.splitlines()) == 1


def test_what_is_refused_is_a_line_and_writes_nothing(two, tmp_path, capsys):
  words = [f'--workdir={directory}' for directory in two]
  empty = tmp_path / 'empty'
  unfinished = shutil.copytree(two[0], tmp_path / 'unfinished')
  (unfinished / 'results.csv').unlink()
  manifest.forget(unfinished, 'results.csv')
  for given, message in (
    (words[:1], '--workdir is given 1 times; give it twice'),
    (words + words[:1], '--workdir is given 3 times'),
    ([words[0], f'--workdir={empty}'], 'holds no run (no config.json)'),
    ([words[0], f'--workdir={unfinished}'], 'has no NLL: let vae-jax train finish it'),
    ([*words, f'--out={tmp_path}/it.pdf'], f'is no .png; give --out={tmp_path}/it.png'),
    ([*words, f'--out={tmp_path}/no/it.png'], 'there is no directory'),
    ([*words, '--outs=1'], '--outs: no such flag; did you mean --out?'),
  ):
    before = sorted(tmp_path.rglob('*'))
    code, out, err = compare_by_command(*given, capsys=capsys)
    assert (code, out) == (2, '')
    assert message in err
    assert len(err.splitlines()) == 1
    assert sorted(tmp_path.rglob('*')) == before


def test_a_damaged_table_is_exit_code_4(two, capsys):
  with open(two[0] / 'results.csv', 'a') as file:
    file.write('1')
  code, _, err = compare_by_command(*(f'--workdir={each}' for each in two), capsys=capsys)
  assert code == 4
  assert 'results.csv' in err


def test_nothing_to_draw_is_said(two, tmp_path):
  found = comparing.compare(*two)._replace(curves={})
  with pytest.raises(errors.InputError, match='no curve in common'):
    comparing.draw(found, tmp_path / 'it.png')
