"""The columns of results.csv: one row a lane."""

from collections.abc import Sequence

from vae_jax.records.schemas.columns import BITS, LANE, NATS, STEPS, TERMS, Column, names

STATUSES = ('done', 'running', 'stopped', 'diverged', 'failed')

RESULTS_FIRST = (  # of every version
  *LANE,
  Column('status', f'{", ".join(STATUSES)}', 'text'),
  Column('step', 'of the figures; where it stopped or diverged, that step', STEPS),
)
RESULTS_BEFORE = (
  *RESULTS_FIRST,
  Column(
    'best_step',
    'of the best objective on the split that is chosen on, of the evaluations that are due and '
    "behind the warm-up; with `train.keep='best'` all figures are of the parameters there",
    STEPS,
  ),
)

# Of the validation and of the test set.
_NLL = (
  Column('nll', '−log p(x) by importance samples', NATS, 'lower'),
  Column('nll_stderr', 'its standard error over the images', NATS),
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
  *(column for split in ('train', 'validation', 'test') for column in _of(split, *TERMS)),
  *_of('validation', *_NLL, *_TRUST, _ACTIVE),
  *_of('test', *_NLL),
  Column(
    'test/bits_per_dim_8bit',
    "on the grid of 256 levels: a density's value plus log2 255 where bytes were scaled; empty "
    'where the data were binarised or no bytes',
    BITS,
    'lower',
  ),
  Column(
    'test/bits_per_dim_density',
    '−log2 p / D of whatever density or mass the model has',
    BITS,
    'lower',
  ),
  *_of('test', *_TRUST, _ACTIVE),
  Column('test/mutual_information', 'I(x; z) over `evaluation.aggregate_images`', NATS),
  Column('test/mutual_information_stderr', 'its standard error', NATS),
  Column('test/mutual_information_ceiling', 'log n, above which it cannot be', NATS),
  Column('test/marginal_kl', 'KL(q(z) ‖ p(z)), the sum of the next two', NATS),
  Column('test/total_correlation', 'how far q(z) is from the product of its marginals', NATS),
  Column('test/dimension_wise_kl', 'how far these are from those of the prior', NATS),
  Column(
    'test/mixture_gain',
    'E log m(z) − log p(z) of a mixture m fitted to the codes of training images: what of the '
    'marginal KL prior samples miss and samples of the mixture do not',
    NATS,
  ),
  Column(
    'collapsed_at',
    'the evaluation since which no unit is active though the decoder is within 0.1 nats a '
    'dimension of the best one that ignores z; before, it has not learned yet',
    STEPS,
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

# A lane that is named 1e5 keeps its name.
TEXT_COLUMNS = frozenset(
  column.name for column in (*RESULTS_BEFORE, *RESULTS) if column.unit == 'text'
)


def result_columns(field_names: Sequence[str]) -> list[str]:
  """Returns the columns of results.csv in order, for lanes with these fields (beta, seed ...)."""
  return [*names(RESULTS_BEFORE), *field_names, *names(RESULTS)]
