"""How many files W&B runs need open at once."""

try:
  import resource
except ImportError:  # Windows, which has no such limit
  resource = None

# Of wandb-core, the larger user: 3 for a run and 1 for its connection, and those of its own.
_PER_RUN = 5
_BESIDES = 100


def raise_limit(runs: int) -> None:
  """Lets this process, and wandb-core as its child, open enough files for the runs.

  Raises:
    RuntimeError: it may not open as many.
  """
  if resource is None:
    return
  needed = runs * _PER_RUN + _BESIDES
  soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
  if soft == resource.RLIM_INFINITY or soft >= needed:
    return
  if hard != resource.RLIM_INFINITY and hard < needed:
    raise RuntimeError(f'{runs} runs need {needed} open files, the limit is {hard} (ulimit -n)')
  resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
