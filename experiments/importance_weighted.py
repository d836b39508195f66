"""VAE and IWAE on MNIST, with and without the mean image as the initial output bias.

  python -m experiments.importance_weighted --workdir=runs/importance_weighted

Burda et al. 2016, tables 1 and 3, arxiv.org/abs/1509.00519, one stochastic layer: dynamically
binarised MNIST, and static MNIST (Larochelle's, 50,000 images). The short schedule is the first 40
passes of L = 1 and 5, one seed, where the published figures are of 3,280 passes: it shows what bias
and bound are worth early, not the published number. --schedule=full is all passes, L = 50 too,
and three seeds (days on a CPU).
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from configs import mnist_importance_weighted
from experiments import table


class Recipe(NamedTuple):
  """What sets one launch apart."""

  binarisation: str  # 'dynamic' or 'static'
  bound: str
  num_samples: int
  output_bias: str = 'train_mean'


# Recipe -> NLL of 5,000 samples in nats, active units (None: not published)
PUBLISHED = {
  Recipe('dynamic', 'elbo', 1): (86.76, 19),
  Recipe('dynamic', 'elbo', 5): (86.47, 20),
  Recipe('dynamic', 'elbo', 50): (86.35, 20),
  Recipe('dynamic', 'iwae', 5): (85.54, 22),
  Recipe('dynamic', 'iwae', 50): (84.78, 25),
  Recipe('static', 'elbo', 1): (88.71, None),
  Recipe('static', 'elbo', 5): (88.83, None),
  Recipe('static', 'elbo', 50): (89.05, None),
  Recipe('static', 'iwae', 5): (87.63, None),
  Recipe('static', 'iwae', 50): (87.10, None),
}

_PASSES = {'short': 40, 'full': 3280}
_SHORT = (
  Recipe('dynamic', 'elbo', 1),
  Recipe('dynamic', 'elbo', 1, 'zeros'),
  Recipe('dynamic', 'iwae', 5),
  Recipe('dynamic', 'iwae', 5, 'zeros'),
  Recipe('static', 'elbo', 1),
  Recipe('static', 'iwae', 5),
)
_FULL = tuple(
  recipe._replace(output_bias=bias) for recipe in PUBLISHED for bias in ('train_mean', 'zeros')
)


def configs(schedule: str) -> dict[str, dict[str, Any]]:
  """Returns a launch for each recipe: what differs from the config file stands here alone."""
  recipes = _FULL if schedule == 'full' else _SHORT
  return {_name(recipe): _config(schedule, recipe) for recipe in recipes}


def _name(recipe: Recipe) -> str:
  return '-'.join(map(str, recipe))


def _config(schedule: str, recipe: Recipe) -> dict[str, Any]:
  config = mnist_importance_weighted.get_config().to_dict()
  if recipe.binarisation == 'static':
    config['data'] |= dict(name='binarized_mnist', binarize='none')
  images = 50_000 if recipe.binarisation == 'static' else 60_000
  steps_a_pass = images // config['train']['batch_size']
  config['bound'] |= dict(
    name=recipe.bound,
    num_samples=recipe.num_samples,
    kl='sampled' if recipe.bound == 'iwae' else 'analytic',
  )
  config['decoder'] |= dict(output_bias=recipe.output_bias)
  config['schedule'] |= dict(decay_steps=steps_a_pass)
  every = 4 * steps_a_pass
  config['train'] |= dict(
    steps=_PASSES[schedule] * steps_a_pass,
    log_every=steps_a_pass // 2,
    evaluate_every=every,
    checkpoint_every=every,
  )
  if schedule == 'full':
    config['lanes'] |= dict(seed=(0, 1, 2))
    config['evaluation'] |= dict(nll_images=10_000)
  return config


def rows(launches: Mapping[str, table.Launch]) -> list[table.Row]:
  """Compares the NLL and the active units of every lane with the published ones."""
  result = []
  for recipe in _FULL:
    name = _name(recipe)
    nll, active_units = PUBLISHED[recipe._replace(output_bias='train_mean')]
    for lane in launches[name].rows if name in launches else ():
      result += [table.nll_row(name, lane, nll), table.units_row(name, lane, active_units)]
  return result


if __name__ == '__main__':
  table.start('importance_weighted', configs, rows, schedule='short')
