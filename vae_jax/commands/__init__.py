"""The commands: flags end here.

`early` comes before the heavy imports; `command` is what all share, `train`, `evaluate`, `compare`,
`report`, `status`, `upload`, `dashboard` and `wandb_sweep` are one each; `usage`, `reference` and
`printing` are what --help and --print_config say, `parsing`, `words`, `overrides` and `argv` the
command line and what it may hold, `run_ids` a name for a training, `streams` and `terminal` what is
printed.
"""
