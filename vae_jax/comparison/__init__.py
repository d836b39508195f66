"""Did a change help? Two studies beside each other.

  found = compare(Side('runs/before', ...), Side('runs/after', ...), split='validation')
  print('\n'.join(sentences(found)))

`pairs` has the NLL of the points that both have, `curves` the distortion at equal rate, `contrasts`
the errors of both. B less A in nats everywhere: below 0 B is better.
"""

from vae_jax.comparison.comparing import Comparison, Side, compare
from vae_jax.comparison.curves import Curve, Gap, gaps
from vae_jax.comparison.words import as_record, sentences

__all__ = ['Comparison', 'Curve', 'Gap', 'Side', 'as_record', 'compare', 'gaps', 'sentences']
