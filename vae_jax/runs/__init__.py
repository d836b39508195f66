"""One run from its start to its end: the loop, the checkpoints, the workdir, what came out."""
