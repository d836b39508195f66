"""The keys of what `vae-jax status --json` prints of a run."""

from vae_jax.records.schemas.columns import NATS, STEPS, Column

STATUS = (
  Column('workdir', 'as it was given', 'text'),
  Column(
    'state',
    'running: its lock is held; done; interrupted: the same command goes on; not begun; unknown: '
    'it was locked by another host, where alone it can be told; of a launch also failed, submitted '
    '(a batch system knows it), queued',
    'text',
  ),
  Column('step', 'of the newest row of `metrics.jsonl`; of several processes, of the last', STEPS),
  Column('steps', 'of the config', STEPS),
  Column(
    'lanes',
    '`total`, and how many have which `status` in `results.csv`, as of the newest evaluation; '
    '`waiting` before the first row',
  ),
  Column(
    'elbo',
    '`split` by which choosing goes (`batch` before the first evaluation), `best`, `median` of the '
    'lanes that did not diverge, `name` of the best',
    NATS,
    'higher',
  ),
  Column('seconds', 'of all attempts so far, but for what a kill has cost', 's'),
  Column('steps_per_second', 'as in `results.csv`', '1/s'),
  Column(
    'seconds_left', 'of training, while it runs, at the pace so far, compilation included', 's'
  ),
  Column('checkpoint', 'the newest', STEPS),
  Column('row_age', 'since `metrics.jsonl` was written', 's'),
  Column('holder', '`process` and `host` of who holds it'),
  Column('report', 'where `report.html` is', 'text'),
  Column('notes', 'what of its files is damaged'),
  Column('extension', 'the same of lanes that `--extend` takes in'),
  Column('shares', 'the same of each of several processes, or of each launch of a study'),
  Column('launches', 'of a study of launches: how many are in which state'),
)
