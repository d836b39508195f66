"""The commands: flags end here.

`early` comes before the heavy imports; `command` is what all share, `train`, `evaluate` and
`compare` are one each; `words`, `overrides`, `usage` and `reference` are the command line and what
it may hold, `streams` and `terminal` what is printed.
"""
