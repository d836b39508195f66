"""What every file of a run is, and every column and key: name, unit, sign and meaning, once.

The tables are written and read by these names, and docs/files.md shows them:

  python -m vae_jax.records docs/files.md

Figures are in nats per example where no other unit stands; `higher` or `lower` says which is
better.
"""

from collections.abc import Sequence
from typing import NamedTuple

from vae_jax import lane_fields

STATUSES = ('done', 'running', 'stopped', 'diverged', 'failed')


class Column(NamedTuple):
  """A column of a table, or a key of a JSON object."""

  name: str
  meaning: str
  unit: str = ''  # 'text' where it is no number
  better: str = ''  # 'higher' or 'lower' of a figure of merit


class File(NamedTuple):
  """A file of a run, or several."""

  name: str
  meaning: str


_NATS, _BITS, _STEPS = 'nats', 'bits a dimension', 'steps'
_LANE = (
  Column('lane', 'its number, from 0, in the order of the grid'),
  Column('name', 'of the lane, such as `b4-z10-s0`', 'text'),
)

FILES = (
  File('config.json', 'every setting'),
  File('provenance.json', 'what the run was made by: see below'),
  File('model.json', 'what a trained model must know of its data'),
  File('manifest.json', 'the sha256 of every file here'),
  File('metrics.jsonl', 'one row for each lane and log point, exactly once; NaN is `null`'),
  File('metrics.damaged', 'rows of `metrics.jsonl` that failed their check'),
  File('results.csv', 'one row a lane, replaced whole at every evaluation'),
  File('latents.csv', 'one row for each lane and latent of its own'),
  File('nll_curve.csv', 'L_1, L_10, L_100 … L_K of each lane'),
  File('forecast.csv', 'until which β the training data could hold each latent, the largest first'),
  File(
    'curve.csv',
    "one row for each lane and beta of `evaluation.betas`, where `bound.name='multi_rate'`",
  ),
  File('disentanglement.csv', 'scores of the codes, where the data has known factors'),
  File('udr.csv', 'whether the seeds of a point found the same latents; without seeds, none'),
  File(
    'per_image.npz',
    'NLL and ELBO of every lane on every image, the same images for all: see below; none where the '
    'likelihood is no density',
  ),
  File(
    'verdict.json',
    'the best point, which cannot be told from it, what would decide: see below; where there is an '
    'NLL',
  ),
  File('checkpoints/', 'the newest two, by orbax; a sha256 of every leaf is verified on restore'),
  File('images.npz', 'test images, and of each lane reconstructions, samples and a traversal'),
  File(
    'figures/*.png',
    'rate–distortion, ELBO over β × latent size, active units over β with the forecast, learning '
    'curves, rate by latent, L_k over k, reconstructions, samples, traversals of the two latents '
    'used most, and losses on log axes where they were logged at powers of two',
  ),
  File(
    'evaluation.partial', 'parts of an evaluation that was stopped; gone when the results are there'
  ),
  File('extension/', 'the training of lanes that `--extend` takes in; gone when they are in'),
  File('evaluations/', 'figures of other data than those of the run'),
  File('wandb/', "W&B's own files, and `fragments.json`: the ids of its runs, and what they have"),
)

RESULTS_FIRST = (  # of every version
  *_LANE,
  Column('status', f'{", ".join(STATUSES)}', 'text'),
  Column('step', 'of the figures; where it stopped or diverged, that step', _STEPS),
)
RESULTS_BEFORE = (
  *RESULTS_FIRST,
  Column(
    'best_step',
    'of the best objective on the split that is chosen on, of the evaluations that are due and '
    "behind the warm-up; with `train.keep='best'` all figures are of the parameters there",
    _STEPS,
  ),
)

_TERMS = (
  Column('elbo', '−D − R', _NATS, 'higher'),
  Column('rate', 'R = KL(q(z\\|x) ‖ p(z))', _NATS, 'lower'),
  Column('distortion', 'D = −E_q[log p(x\\|z)]', _NATS, 'lower'),
  Column('objective', 'what is trained on, as weighed at this step', _NATS, 'higher'),
)

# Of the validation and of the test set.
_NLL = (
  Column('nll', '−log p(x) by importance samples', _NATS, 'lower'),
  Column('nll_stderr', 'its standard error over the images', _NATS),
  Column('nll_samples', 'K'),
  Column('nll_images', 'how many'),
)
_TRUST = (
  Column('effective_samples', 'mean effective sample size, 1 to K', '', 'higher'),
  Column('largest_weight', 'mean largest normalised weight, 1/K to 1', '', 'lower'),
  Column(
    'low_effective_fraction',
    'images with an effective sample size below 2; a warning where more than a tenth',
    '',
    'lower',
  ),
)
_ACTIVE = Column(
  'active_units', 'latents whose posterior mean varies by more than 0.01 over the data'
)


def _of(split: str, *columns: Column) -> tuple[Column, ...]:
  return tuple(column._replace(name=f'{split}/{column.name}') for column in columns)


# Those of `validation/` are empty where there is no such split. With one, those of `test/` are
# empty until the end: the test set is evaluated once.
RESULTS = (
  Column('beta_normalised', 'β Z / D (Higgins et al. 2017); of the multiplier where there is one'),
  Column('multiplier', 'of a lane with a target rate: the β that this rate costs, −dD/dR'),
  *(column for split in ('train', 'validation', 'test') for column in _of(split, *_TERMS)),
  *_of('validation', *_NLL, *_TRUST, _ACTIVE),
  *_of('test', *_NLL),
  Column(
    'test/bits_per_dim_8bit',
    "on the grid of 256 levels: a density's value plus log2 255 where bytes were scaled; empty "
    'where the data were binarised or no bytes',
    _BITS,
    'lower',
  ),
  Column(
    'test/bits_per_dim_density',
    '−log2 p / D of whatever density or mass the model has',
    _BITS,
    'lower',
  ),
  *_of('test', *_TRUST, _ACTIVE),
  Column('test/mutual_information', 'I(x; z) over `evaluation.aggregate_images`', _NATS),
  Column('test/mutual_information_stderr', 'its standard error', _NATS),
  Column('test/mutual_information_ceiling', 'log n, above which it cannot be', _NATS),
  Column('test/marginal_kl', 'KL(q(z) ‖ p(z)), the sum of the next two', _NATS),
  Column('test/total_correlation', 'how far q(z) is from the product of its marginals', _NATS),
  Column('test/dimension_wise_kl', 'how far these are from those of the prior', _NATS),
  Column(
    'collapsed_at',
    'the evaluation since which no unit is active though the decoder is within 0.1 nats a '
    'dimension of the best one that ignores z; before, it has not learned yet',
    _STEPS,
  ),
  Column(
    'reason',
    'of a lane that diverged: what was not finite first, the largest \\|x\\| of that batch, one '
    'thing to try',
    'text',
  ),
  Column('seconds', 'wall time, compilation included', 's'),
  Column('steps_per_second', 'of the program, compilation and evaluation excluded', '1/s'),
)

# Masked latents are left out.
LATENTS = (
  *_LANE,
  Column('layer', '1, or 2 for the upper of two layers'),
  Column('latent', 'its number, from 0'),
  Column('rate', 'mean over the test set; empty where the rate does not split', _NATS, 'lower'),
  Column('mean_variance', 'the variance of its posterior mean over the test set'),
  Column('active', '1 where that is above 0.01, else 0'),
)

NLL_CURVE = (
  *_LANE,
  Column('samples', 'k'),
  Column('bound', 'L_k', _NATS, 'higher'),
  Column('stderr', 'its standard error over the images', _NATS),
  Column('images', 'how many'),
)

# Where the likelihood is Bernoulli or Gaussian, the prior N(0, I) and the objective -D - beta R.
FORECAST = (
  Column('latent', 'its rank, from 0'),
  Column('beta', 'from which on it is collapsed, by a linear forecast from the training data'),
)

CURVE = (
  *_LANE,
  Column('beta', 'at which the lane is evaluated'),
  *(
    column._replace(name=f'{split}/{column.name}')
    for split in ('train', 'validation', 'test')
    for column in (*_TERMS, Column('active_units', 'see `results.csv`'))
  ),
)

DISENTANGLEMENT = (
  *_LANE,
  Column('images', 'how many were coded'),
  Column('mig', 'mutual information gap (Chen et al. 2018)', '', 'higher'),
  Column('dci_disentanglement', 'of Eastwood & Williams 2018', '', 'higher'),
  Column('dci_completeness', 'of the same', '', 'higher'),
  Column('dci_informativeness', 'of the same', '', 'higher'),
  Column('sap', 'separated attribute predictability (Kumar et al. 2018)', '', 'higher'),
  Column('beta_vae_score', 'of Higgins et al. 2017', '', 'higher'),
  Column('factor_vae_score', 'of Kim & Mnih 2018', '', 'higher'),
)

UDR = (
  *_LANE,
  Column('images', 'how many were coded, of the split by which choosing goes'),
  Column('others', 'seeds of the same point that it is compared with'),
  Column('informative', 'latents with a rate above 0.01 nats, or active where it does not split'),
  Column('udr', 'how far the others found the same latents, by rank correlation', '', 'higher'),
  Column('udr_lasso', 'the same by Lasso (Duan et al. 2020); 0.9 of a perfect match', '', 'higher'),
)

# `batch/` is the mean over the steps since the last row; `train/`, `validation/` and `test/` are
# evaluations on fixed images, where one was due: with a validation split, of `test/` at the end.
METRICS = (
  Column('lane', 'its number'),
  Column('step', 'after so many', _STEPS),
  *(column._replace(name=f'SPLIT/{column.name}') for column in _TERMS),
  Column('batch/multiplier', 'of a target rate; without one, in a study that has others, β'),
  Column('SPLIT/active_units', 'of `train`, `validation` and `test`, see `results.csv`'),
  Column('SPLIT/NAME', "the objective's own terms, such as `test/bound` of the IWAE", _NATS),
  Column('crc32', 'of what stands before it in the row', 'text'),
)

PER_IMAGE = (
  Column('SPLIT/nll', 'of lane and image: −L_K, from K importance samples', _NATS, 'lower'),
  Column('SPLIT/elbo', 'of lane and image: L_1, a mean over the same K samples', _NATS, 'higher'),
  Column(
    'SPLIT/distortion',
    'of lane and image: over the same; the rate is −elbo less it',
    _NATS,
    'lower',
  ),
  Column('SPLIT/indices', 'of the images in their split: the same of all lanes'),
  Column('SPLIT/sha256', 'of the images as the likelihood sees them, in this order', 'text'),
)

PROVENANCE = (
  Column('versions', 'of the packages that compute'),
  Column('python', 'its version'),
  Column('platform', 'operating system and architecture'),
  Column('git', 'commit, and whether files differ from it'),
  Column('device', 'kind, platform and number'),
  Column('settings', 'switches of JAX and flags of XLA'),
  Column('parts', 'of those from outside: import path, file, sha256'),
  Column('data', 'name and version'),
  Column('data_sha256', 'of the arrays'),
  Column('data_seen', 'how the arrays were read: kind, range, standardisation'),
  Column('event', 'the shape of one example'),
  Column('width', 'lanes in one program, on which the last bits depend'),
  Column('evaluated_on', 'which images: seed, counts, sha256 of their indices'),
  Column('changes', 'what changed when the run went on: step, key, before, after'),
  Column('processes', 'how many shared the lanes, where several did'),
  Column('finished', 'whether nothing is left to do'),
  Column('step', 'where it is finished, the last', _STEPS),
  Column('seconds', 'where it is finished, the wall time', 's'),
)


VERDICT = (
  Column('sentences', 'all of it for a person', 'text'),
  Column('chosen_on', 'the split: `validation`, or `test` where there is none', 'text'),
  Column('level', 'the confidence set holds all best points with this probability'),
  Column('images', 'that all lanes have a value of'),
  Column('images_left_out', 'that a lane has no finite value of'),
  Column('best', 'the name of the point of the smallest mean', 'text'),
  Column('set', 'the points that cannot be told from the best one, the best one first', 'text'),
  Column('smallest_latent_size', 'in the set'),
  Column('points/name', 'beta, latent size and what else differs but the seed', 'text'),
  Column('points/fields', 'the same as values'),
  Column('points/lanes', 'the numbers of the lanes that count'),
  Column('points/mean', 'of the NLL, over seeds and images', _NATS, 'lower'),
  Column('points/mean_stderr', 'its standard error, of images and seeds', _NATS),
  Column('points/difference', 'to the best point, paired by image', _NATS, 'lower'),
  Column('points/stderr', 'its standard error, of images and seeds', _NATS),
  Column('points/of_images', 'the part of it from the images', _NATS),
  Column('points/of_seeds', 'the part from the seeds; 0 with one seed: not known', _NATS),
  Column('points/p_value', 'of the two-sided test of this difference by itself'),
  Column('points/set_p_value', 'the level at which the point leaves the set'),
  Column('points/inside', 'whether it is in the set'),
  Column('points/active_units', 'mean over its lanes'),
  Column('points/seeds', 'how many lanes count'),
  Column('points/images_needed', 'to tell it from the best at 80 % power, if it is in the set'),
  Column('points/seeds_needed', 'the same of seeds, where these are the larger part'),
  Column('left_out', 'lanes that do not count, and why'),
  Column('gone', 'points of which no lane counts', 'text'),
  Column('collapse/fields', 'what points have in common that differ by beta alone'),
  Column('collapse/first', 'their smallest beta'),
  Column('collapse/units', 'mean active units there'),
  Column(
    'collapse/fewer_from',
    'the first beta at which every seed has fewer active units than any has at the smallest',
  ),
  Column('collapse/none_from', 'the first beta from which on no seed has any'),
  Column('growth/fields', 'what points have in common that differ by latent size alone'),
  Column('growth/stops_at', 'the smallest latent size to which no larger one adds an active unit'),
  Column('growth/units', 'mean active units there'),
  Column('growth/largest', 'their largest latent size'),
  Column('edges', 'fields at whose edge the best point lies, and the value to add'),
  Column('few_samples', 'lanes of the set whose NLL is an upper bound, by few samples', 'text'),
)


def names(columns: Sequence[Column]) -> tuple[str, ...]:
  """Returns the names of columns in order."""
  return tuple(column.name for column in columns)


def result_columns(field_names: Sequence[str]) -> list[str]:
  """Returns the columns of results.csv in order, for lanes with these fields (beta, seed ...)."""
  return [*names(RESULTS_BEFORE), *field_names, *names(RESULTS)]


# A lane that is named 1e5 keeps its name.
TEXT_COLUMNS = frozenset(
  column.name for column in (*RESULTS_BEFORE, *RESULTS) if column.unit == 'text'
)


def markdown() -> str:
  """Returns the tables of all files, columns and keys."""
  fields = [Column(field.name, field.meaning) for field in lane_fields.FIELDS]
  tables = {
    'results.csv': (*RESULTS_BEFORE, *fields, *RESULTS),
    'latents.csv': LATENTS,
    'nll_curve.csv': NLL_CURVE,
    'forecast.csv': FORECAST,
    'curve.csv': CURVE,
    'disentanglement.csv': DISENTANGLEMENT,
    'udr.csv': UDR,
    'per_image.npz': PER_IMAGE,
    'metrics.jsonl': METRICS,
    'provenance.json': PROVENANCE,
    'verdict.json': VERDICT,
  }
  lines = ['| file | content |', '|---|---|']
  lines += [f'| `{file.name}` | {file.meaning} |' for file in FILES]
  for name, columns in tables.items():
    lines += ['', f'### `{name}`', '', '| name | meaning | unit | better |', '|---|---|---|---|']
    lines += [f'| `{c.name}` | {c.meaning} | {c.unit} | {c.better} |' for c in columns]
  return '\n'.join(lines) + '\n'
