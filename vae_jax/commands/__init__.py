"""The commands: flags end here.

`early` comes before the heavy imports; `command` is what all share, `train` and `evaluate` are one
each; `words` and `usage` are the command line, `streams` and `terminal` what is printed.
"""
