"""What W&B shows of an evaluation beside its figures."""

import numpy as np
import pytest

from vae_jax.runs import showing

pytestmark = pytest.mark.math


@pytest.mark.parametrize(
  ('rates', 'mask', 'shown'),
  [
    ([0.5, 1.5, 0.0, 0.0], [1, 1, 0, 0], [0.5, 1.5]),  # the latents that the lane has
    ([0.5, np.nan, 2.0, np.inf], [1, 1, 1, 1], [0.5, 2.0]),
    ([3.0], [1, 1, 0, 0], []),  # one part of the rate, which is no latent
  ],
)
def test_rates_are_of_the_latents_that_a_lane_has(rates, mask, shown):
  found = showing._known(np.array(rates), np.array(mask, np.float32))
  np.testing.assert_array_equal(found, shown)
