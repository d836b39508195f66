"""Where training stands, in words."""

from typing import NamedTuple

import tqdm

from vae_jax.standing.elbos import Elbo


class Standing(NamedTuple):
  """Where training stands."""

  step: int
  total: int
  each: float  # seconds a step
  elbo: Elbo

  def __str__(self) -> str:
    done = 100 * self.step // self.total
    steps = f'step {self.step} of {self.total} ({done} %)'
    return f'{steps}, {self._left()}, {self._speed()} steps/s, {self.elbo.texts()[0]}'

  def texts(self) -> list[str]:
    """Returns it for a bar, the longest first."""
    longest, shorter, shortest = self.elbo.texts()
    steps, left, speed = f'{self.step}/{self.total}', self._left(), self._speed()
    return [
      f'{steps} steps, {left}, {speed} steps/s, {longest}',
      f'{steps} steps, {left}, {speed} steps/s, {shorter}',
      f'{steps}, {left}, {speed}/s, {shorter}',
      f'{steps}, {left}, {speed}/s, {shortest}',
      f'{steps}, {left}, {speed}/s',
    ]

  def _left(self) -> str:
    return f'{tqdm.tqdm.format_interval((self.total - self.step) * self.each)} left'

  def _speed(self) -> str:
    speed = 1 / self.each if self.each else 0.0
    return f'{speed:.0f}' if speed >= 100 else f'{speed:.3g}'
