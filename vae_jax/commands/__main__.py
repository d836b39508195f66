"""The command `vae-jax`, also `python -m vae_jax.commands`."""

import difflib
import importlib
import sys

import vae_jax
from vae_jax.commands import early, streams

ABOUT = """Variational autoencoders in JAX: a beta x latent-size sweep trained as one program.

  vae-jax train --config=digits --workdir=runs/digits      train the study of that name
  vae-jax train --config=mine.py --workdir=runs/mine       or that of a file
  vae-jax plan --config=mine.py                            what it would run, and how large
  vae-jax sweep --config=mine.py --workdir=runs/mine       every launch of a study, on any engine
  vae-jax evaluate --workdir=runs/digits                   evaluate a run anew
  vae-jax compare --workdir=runs/a --workdir=runs/b        did a change help?
  vae-jax report --workdir=runs/digits                     report.html: the answer on one page
  vae-jax status --workdir=runs/digits                     where it stands, without disturbing it
  vae-jax upload --workdir=runs/digits                     to W&B: what its server lacks
  vae-jax dashboard --workdir=runs/digits                  there, a workspace and a report of it
  vae-jax wandb_sweep --config=digits --vary=KEY=V1,V2     a sweep over what makes another program

  vae-jax train --help              the flags of a command
  vae-jax train --helpfull          and every key of a config
  vae-jax train --config=digits --print_config             every key of a study with its value
"""

NAMES = (
  'train', 'plan', 'sweep', 'run', 'evaluate', 'compare', 'report', 'status', 'upload', 'dashboard',
  'wandb_sweep',
)  # fmt: skip


def main() -> None:
  """Runs the command of the first word by the words behind it, and ends the process."""
  early.begin()
  name, *line = sys.argv[1:] or ['--help']
  if name in ('-h', '--help', '--helpfull', 'help'):
    streams.make_patient()
    print(ABOUT, end='')
    streams.finish()
    sys.exit(0)
  if name == '--version':
    print(f'vae_jax {vae_jax.__version__}')
    sys.exit(0)
  if name not in NAMES:
    near = difflib.get_close_matches(name, NAMES, n=1, cutoff=0.5)
    hint = f'did you mean {near[0]}?' if near else f'there are {", ".join(NAMES)}'
    print(f'vae-jax {ascii(name)[1:-1]}: no such command; {hint}', file=sys.stderr)
    sys.exit(2)
  from vae_jax.commands import command

  module = importlib.import_module(f'vae_jax.commands.{name}')
  command.start(module.make(), line)


if __name__ == '__main__':
  main()
