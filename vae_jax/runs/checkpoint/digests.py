"""The sha256 of every leaf of a checkpoint, and of the record beside them."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np


def flat(tree: Any) -> dict[str, Any]:
  """Returns the leaves of a tree by the names that they have on the disk."""
  leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
  return {jax.tree_util.keystr(path): leaf for path, leaf in leaves}


def digests_of(leaves: Mapping[str, Any], record: Mapping) -> dict[str, str]:
  """Returns the sha256 of every leaf by its name, and that of the record as `record`."""
  result = {name: digest(np.asarray(leaf)) for name, leaf in leaves.items()}
  text = json.dumps(record, sort_keys=True)
  return result | {'record': hashlib.sha256(text.encode()).hexdigest()}


def digest(value: np.ndarray) -> str:
  """Returns the sha256 of an array's type, shape and bytes."""
  value = np.ascontiguousarray(value)  # a scalar becomes [1]
  found = hashlib.sha256(f'{value.dtype}{value.shape}'.encode())
  found.update(value.reshape(-1).view(np.uint8))  # the array's own memory, not a copy
  return found.hexdigest()
