"""Which beta, which latent size, and how sure: what per-image values of a study decide.

  verdict = judge(rows, nll, chosen_on='validation')     # rows of results.csv [G], NLL [G, n]
  print('\n'.join(sentences(verdict)))
  as_record(verdict)                                     # what verdict.json holds

Points (lanes that differ by nothing but the seed) are compared on the same images: `differences`
has the standard errors, `confidence` the set of those that cannot be told from the best, `units`
where collapse sets in, `advice` what would decide the rest. `still_rising` names the lanes that
were trained for too few steps. Values are in nats per example, lower is better.
"""

from vae_jax.verdict.judging import ALPHA, Standing, Verdict, judge
from vae_jax.verdict.record import as_record
from vae_jax.verdict.rising import slope_of, still_rising
from vae_jax.verdict.sentences import sentences

__all__ = [
  'ALPHA',
  'Standing',
  'Verdict',
  'as_record',
  'judge',
  'sentences',
  'slope_of',
  'still_rising',
]
