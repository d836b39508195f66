"""What is on disk: files that are whole or absent, private and durable; faults; locks.

  with files.directory_lock(workdir):          # one process at a time
    with files.atomic_path(path) as temporary: # the old file or the new one, never a part
      ...
  with files.storage_errors(path):             # what the place refuses: StorageError, one line

Directories that are made here are 0700 and files 0600: a run can hold private pictures, and keys of
servers in its config.
"""

from vae_jax.files.faults import fault_of, storage_errors
from vae_jax.files.locks import Holder, directory_lock, holder_of
from vae_jax.files.whole import (
  atomic_path,
  cache_root,
  make_directory,
  private,
  read_tree,
  remove_abandoned,
  remove_temporaries,
  sha256_of_file,
  sync,
  sync_tree,
  write_text,
)

__all__ = [
  'Holder',
  'atomic_path',
  'cache_root',
  'directory_lock',
  'fault_of',
  'holder_of',
  'make_directory',
  'private',
  'read_tree',
  'remove_abandoned',
  'remove_temporaries',
  'sha256_of_file',
  'storage_errors',
  'sync',
  'sync_tree',
  'write_text',
]
