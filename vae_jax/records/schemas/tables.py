"""The columns of the other tables: of latents, numbers of samples, betas and scores."""

from vae_jax.records.schemas.columns import LANE, NATS, TERMS, Column

# Masked latents are left out.
LATENTS = (
  *LANE,
  Column('layer', '1, or 2 for the upper of two layers'),
  Column('latent', 'its number, from 0'),
  Column('rate', 'mean over the test set; empty where the rate does not split', NATS, 'lower'),
  Column('mean_variance', 'the variance of its posterior mean over the test set'),
  Column('active', '1 where that is above 0.01, else 0'),
)

NLL_CURVE = (
  *LANE,
  Column('samples', 'k'),
  Column('bound', 'L_k', NATS, 'higher'),
  Column('stderr', 'its standard error over the images', NATS),
  Column('images', 'how many'),
)

# Where the likelihood is Bernoulli or Gaussian, the prior N(0, I) and the objective -D - beta R.
FORECAST = (
  Column('latent', 'its rank, from 0'),
  Column('beta', 'from which on it is collapsed, by a linear forecast from the training data'),
)

CURVE = (
  *LANE,
  Column('beta', 'at which the lane is evaluated'),
  *(
    column._replace(name=f'{split}/{column.name}')
    for split in ('train', 'validation', 'test')
    for column in (*TERMS, Column('active_units', 'see `results.csv`'))
  ),
)

DISENTANGLEMENT = (
  *LANE,
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
  *LANE,
  Column('images', 'how many were coded, of the split by which choosing goes'),
  Column('others', 'seeds of the same point that it is compared with, 30 at most'),
  Column('informative', 'latents with a rate above 0.01 nats, or active where it does not split'),
  Column('udr', 'how far the others found the same latents, by rank correlation', '', 'higher'),
  Column('udr_lasso', 'the same by Lasso (Duan et al. 2020); 0.9 of a perfect match', '', 'higher'),
)
