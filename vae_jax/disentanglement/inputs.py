"""What every score takes: codes and factors that fit each other."""

import numpy as np

from vae_jax import errors


def is_finite(codes: np.ndarray) -> bool:
  """Returns whether all codes are finite as float32, in which the trees of scikit-learn compute."""
  with np.errstate(over='ignore'):
    return bool(np.isfinite(np.asarray(codes, np.float32)).all())


def checked(codes: np.ndarray, factors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Returns codes [n, Z] as float64, and the factors that vary, [n, F], as indices from 0.

  Args:
    codes: [n, Z], real.
    factors: [n, F], integer; the values need not be consecutive.

  Raises:
    InputError: other shapes or types, codes that are not finite, or no factor that varies.
  """
  codes, factors = np.asarray(codes), np.asarray(factors)
  fits = codes.ndim == factors.ndim == 2 and len(codes) == len(factors)
  if not fits or not codes.size or not factors.size:
    raise errors.InputError(
      f'codes={list(codes.shape)} and factors={list(factors.shape)} do not fit; '
      'valid are [n, Z] and [n, F], at least 1 each'
    )
  if codes.dtype.kind not in 'fiu' or factors.dtype.kind not in 'iu':
    raise errors.InputError(
      f'codes are {codes.dtype} and factors {factors.dtype}; valid are floats and integers'
    )
  if not is_finite(codes):
    raise errors.InputError('codes hold NaN or infinite values; leave out lanes that diverged')
  varying = [column for column in factors.T if np.ptp(column)]
  if not varying:
    raise errors.InputError(
      f'factors={list(factors.shape)} have one value each; at least one must have two'
    )
  indices = [np.unique(column, return_inverse=True)[1] for column in varying]
  return codes.astype(np.float64), np.stack(indices, axis=1)
