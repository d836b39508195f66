"""The keys of metrics.jsonl, per_image.npz and provenance.json."""

from vae_jax.records.schemas.columns import NATS, STEPS, TERMS, Column

# `batch/` is the mean over the steps since the last row; `train/`, `validation/` and `test/` are
# evaluations on fixed images, where one was due: with a validation split, of `test/` at the end.
METRICS = (
  Column('lane', 'its number'),
  Column('step', 'after so many', STEPS),
  *(column._replace(name=f'SPLIT/{column.name}') for column in TERMS),
  Column('batch/multiplier', 'of a target rate; without one, in a study that has others, β'),
  Column('batch/clipped', 'of lanes with a `clip_norm`: the part of the steps that were clipped'),
  Column('SPLIT/active_units', 'of `train`, `validation` and `test`, see `results.csv`'),
  Column('SPLIT/NAME', "the objective's own terms, such as `test/bound` of the IWAE", NATS),
  Column('crc32', 'of what stands before it in the row', 'text'),
)

PER_IMAGE = (
  Column('SPLIT/nll', 'of lane and image: −L_K, from K importance samples', NATS, 'lower'),
  Column('SPLIT/elbo', 'of lane and image: L_1, a mean over the same K samples', NATS, 'higher'),
  Column(
    'SPLIT/distortion',
    'of lane and image: over the same; the rate is −elbo less it',
    NATS,
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
  Column('study_id', "random: what W&B's runs of this run are named after", 'text'),
  Column('evaluated_on', 'which images: seed, counts, sha256 of their indices'),
  Column('changes', 'what changed when the run went on: step, key, before, after'),
  Column('processes', 'how many shared the lanes, where several did'),
  Column('finished', 'whether nothing is left to do'),
  Column('step', 'where it is finished, the last', STEPS),
  Column('seconds', 'where it is finished, the wall time', 's'),
)
