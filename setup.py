"""Packaging of vae_jax; the versions that were tested stand in constraints.txt."""

import pathlib
import re
import shutil

import setuptools
from setuptools.command import build_py

ROOT = pathlib.Path(__file__).parent
VERSION = re.search(r"__version__ = '(.*)'", (ROOT / 'vae_jax/__init__.py').read_text()).group(1)


class BuildWithStudies(build_py.build_py):
  """Puts the studies of configs/ into the wheel, where `vae_jax.paths` looks for them."""

  def run(self):
    super().run()
    if not self.editable_mode:
      studies = pathlib.Path(self.build_lib) / 'vae_jax/configs'
      studies.mkdir(parents=True, exist_ok=True)
      for file in (ROOT / 'configs').glob('*.py'):
        shutil.copy(file, studies)


setuptools.setup(
  name='vae_jax',
  version=VERSION,
  description='Variational autoencoders in JAX: a beta x latent-size sweep as one program',
  long_description=(ROOT / 'README.md').read_text(),
  long_description_content_type='text/markdown',
  license='Apache-2.0',
  packages=setuptools.find_packages(include=['vae_jax', 'vae_jax.*']),
  package_data={'vae_jax.report': ['page.*', 'vendored/*']},
  cmdclass={'build_py': BuildWithStudies},
  entry_points={'console_scripts': ['vae-jax = vae_jax.commands.__main__:main']},
  python_requires='>=3.11',
  install_requires=[
    'absl-py>=2.1',
    'array_record>=0.8',  # reads TFDS data sets without TensorFlow
    'chex>=0.1.90',
    'distrax>=0.1.9',
    'flax>=0.12',
    'grain>=0.2.15',  # feeds what does not fit on the device
    'importlib_resources>=6',  # imported by tensorflow-datasets, which does not ask for it
    'jax>=0.10,<0.12',
    'matplotlib>=3.9',
    'ml-collections>=1.0',
    'numpy>=2.0',
    'optax>=0.2.5',
    'orbax-checkpoint>=0.12,<0.13',
    'pillow>=10.1',  # decodes pictures of a folder, and the PNGs inside TFDS records
    'psutil>=6',  # how much memory is free
    'pyarrow>=17',  # reads tables; TFDS asks for it, too
    'pyyaml>=6',  # writes sweeps of W&B
    'scikit-learn>=1.5',  # the digits
    'scipy>=1.13',
    'tensorflow-datasets>=4.9.10',
    'tfp-nightly',  # the continuous Bernoulli; what distrax asks for, so that there is one of it
    'tqdm>=4.66',
    'wandb>=0.31,<0.32',
  ],
  extras_require={
    'test': [
      'pytest>=8',
      'pytest-xdist>=3.5',
      'ruff>=0.14',
      'vl-convert-python>=1.9',
      'wandb-workspaces>=0.4.13,<0.5',
    ],
    'dashboard': ['wandb-workspaces>=0.4.13,<0.5'],  # workspaces and reports of W&B
    'prepare': ['tensorflow'],  # only to prepare a TFDS data set for the first time
    'cuda12': ['jax[cuda12]'],
    'cuda13': ['jax[cuda13]'],
    'tpu': ['jax[tpu]'],
    'ray': ['ray~=2.60'],  # vae-jax sweep --executor=ray
    # Compilers alone, for a plan on a machine without the devices.
    'plan-tpu': ['jax[tpu]'],
    'plan-cuda': ['jax-cuda12-plugin', 'jax-cuda12-pjrt', 'nvidia-cuda-nvcc-cu12'],
  },
)
