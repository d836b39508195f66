"""Every file and folder of a run, and of a study of launches."""

from typing import NamedTuple


class File(NamedTuple):
  """A file of a run, or several."""

  name: str
  meaning: str


FILES = (
  File('config.json', 'every setting'),
  File('provenance.json', 'what the run was made by: see below'),
  File('model.json', 'what a trained model must know of its data'),
  File('manifest.json', 'the sha256 of every file here but `report.html`, which can be made again'),
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
  File('report.html', 'the answer and all of the figures on one page: see docs/report.md'),
  File(
    'images.npz',
    'test images, and of each lane reconstructions, samples, walks along its latents and between '
    'images, and where test images lie along the two latents used most: pixels, or the values of '
    'signals and tables; see `records.images`',
  ),
  File(
    'mixtures.npz',
    'of each lane a mixture of Gaussians fitted to the codes of training images: `log_weights` '
    '[G, K], `means` [G, K, Z], `factors` [G, K, Z, Z] (Cholesky); see `evaluation.mixtures`',
  ),
  File(
    'figures/*.png',
    'rate–distortion, ELBO over β × latent size, active units over β with the forecast, learning '
    'curves, rate by latent, L_k over k, reconstructions, samples (also of the mixture, and by '
    'condition), traversals of the latents used most, and losses on log axes where they were '
    'logged at powers of two',
  ),
  File(
    'evaluation.partial', 'parts of an evaluation that was stopped; gone when the results are there'
  ),
  File('extension/', 'the training of lanes that `--extend` takes in; gone when they are in'),
  File('evaluations/', 'figures of other data than those of the run'),
  File(
    'wandb/',
    "W&B's own files, `fragments.json`: the ids of its runs, and what they have, and "
    '`dashboard.json`: the ids of what `vae-jax dashboard` has made',
  ),
)

OF_LAUNCHES = (
  File('study.json', 'the launches: name, keys that are their own, number of lanes, config'),
  File('launches/NAME/', 'the run of a launch, with all of the files above'),
  File('jobs/NAME/log.txt', 'what the launch said, over all attempts'),
  File('jobs/NAME/attempts.jsonl', 'a line for each attempt as it began: when, where, how far'),
  File('jobs/NAME/ended.json', 'why the last attempt failed: exit code, last lines, host'),
  File('jobs/NAME/submitted.json', 'its job in a batch system'),
  File(
    'results.csv',
    'the rows of all launches: `launch`, the keys that are their own, then the columns below',
  ),
  File('verdict.json', 'the verdict over all lanes that have an NLL of the same images'),
  File('report.html', 'all launches on one page'),
)
