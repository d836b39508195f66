"""Commands: absl flags end here."""

import gc
import sys

if sys.argv[0] == '-m':  # `python -m launch.NAME` has got this far
  # What it imports are 200,000 objects that live to its end: to look through them again and again
  # for garbage takes a third of a start. `command.start` turns the collector on.
  gc.disable()
