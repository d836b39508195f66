"""The same nets and the same step in PyTorch, for `experiments.benchmark`."""

import itertools
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

_ACTIVATIONS = {'relu': nn.ReLU, 'tanh': nn.Tanh, 'silu': nn.SiLU}
_GROUPS = 8


class Vae(nn.Module):
  """A diagonal Gaussian posterior, a standard normal prior; dense, convolutional or residual."""

  def __init__(self, config: Mapping[str, Any], event: tuple[int, ...]):
    super().__init__()
    self.samples = config['bound']['num_samples']
    gaussian = config['likelihood']['name'] == 'gaussian'
    self.distortion = unit_gaussian if gaussian else bernoulli
    latents = config['lanes']['latent_size'][0]
    nets = {'mlp': _dense, 'conv': _conv, 'resnet': _residual}[config['encoder']['name']]
    encoder, decoder = nets(config, event, latents)
    self.encoder, self.decoder = encoder, decoder

  def forward(self, x: torch.Tensor) -> torch.Tensor:
    """Returns -ELBO in nats per image: L samples, the KL in closed form."""
    loc, raw = self.encoder(x).chunk(2, dim=-1)
    scale = raw.exp()
    z = loc + scale * torch.randn(self.samples, *loc.shape, device=x.device)
    out = self.decoder(z.flatten(0, 1)).reshape(self.samples, len(x), -1)
    kl = 0.5 * (loc.square() + scale.square() - 1 - 2 * raw).sum(-1)
    return self.distortion(out, x.flatten(1)) / self.samples + kl.mean()


def bernoulli(out: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
  """Returns D in nats per image, summed over the samples; out [L, N, D], x [N, D]."""
  nats = functional.binary_cross_entropy_with_logits(out, x.expand_as(out), reduction='sum')
  return nats / len(x)


def unit_gaussian(out: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
  """Returns D of a unit-variance Gaussian; see `bernoulli`."""
  return 0.5 * ((out - x).square() + np.log(2 * np.pi)).sum() / len(x)


def _dense(config: Mapping, event: tuple[int, ...], latents: int) -> tuple[nn.Module, nn.Module]:
  pixels = int(np.prod(event))
  encoder = _stack((pixels, *config['encoder']['hidden']), config['encoder']['activation'])
  decoder = _stack((latents, *config['decoder']['hidden']), config['decoder']['activation'])
  return (
    nn.Sequential(nn.Flatten(), *encoder, nn.Linear(config['encoder']['hidden'][-1], 2 * latents)),
    nn.Sequential(*decoder, nn.Linear(config['decoder']['hidden'][-1], pixels)),
  )


def _stack(widths: tuple[int, ...], activation: str) -> list[nn.Module]:
  layers = []
  for before, after in itertools.pairwise(widths):
    layers += [nn.Linear(before, after), _ACTIVATIONS[activation]()]
  return layers


def _conv(config: Mapping, event: tuple[int, ...], latents: int) -> tuple[nn.Module, nn.Module]:
  height, _, channels = event
  encoder = []
  settings, before = config['encoder'], channels
  for after, kernel, stride in _layers(settings, settings['channels']):
    encoder += [nn.Conv2d(before, after, kernel, stride), nn.ReLU()]
    before = after
  encoder += [nn.Flatten(), nn.LazyLinear(2 * latents)]
  settings = config['decoder']
  small = _small(settings, height)
  first = settings['channels'][0]
  decoder = [*_stack((latents, *settings['hidden']), settings['activation'])]
  decoder += [nn.LazyLinear(first * small * small), nn.Unflatten(1, (first, small, small))]
  before = first
  for after, kernel, stride in _layers(settings, (*settings['channels'][1:], channels)):
    layer = nn.Conv2d if stride == 1 else nn.ConvTranspose2d
    decoder += [nn.ReLU(), layer(before, after, kernel, stride)]
    before = after
  return nn.Sequential(*encoder), nn.Sequential(*decoder)


class _Block(nn.Module):
  """A residual block of `vae_jax.networks.resnets`."""

  def __init__(self, before: int, after: int, activation: str):
    super().__init__()
    self.skip = nn.Conv2d(before, after, 1, bias=False) if before != after else nn.Identity()
    layers, width = [], before
    for _ in range(2):
      layers += [_norm(width), _ACTIVATIONS[activation](), nn.Conv2d(width, after, 3, padding=1)]
      width = after
    self.layers = nn.Sequential(*layers)

  def forward(self, x: torch.Tensor) -> torch.Tensor:
    return self.skip(x) + self.layers(x)


def _norm(width: int) -> nn.Module:
  return nn.GroupNorm(math.gcd(_GROUPS, width), width)


def _residual(config: Mapping, event: tuple[int, ...], latents: int) -> tuple[nn.Module, nn.Module]:
  height, width, channels = event
  settings, activation = config['encoder'], config['encoder']['activation']
  before = settings['widths'][0]
  encoder = [nn.Conv2d(channels, before, 3, padding=1)]
  for level, after in enumerate(settings['widths']):
    encoder += [nn.AvgPool2d(2, ceil_mode=True, count_include_pad=False)] if level else []
    for _ in range(settings['blocks']):
      encoder.append(_Block(before, after, activation))
      before = after
  encoder += [_norm(before), _ACTIVATIONS[activation](), nn.Flatten(), nn.LazyLinear(2 * latents)]
  settings = config['decoder']
  sizes = [(height, width)]
  for _ in settings['widths'][1:]:
    sizes.append(tuple(-(-size // 2) for size in sizes[-1]))
  before = settings['widths'][0]
  small = (before, *sizes[-1])
  decoder = [nn.Linear(latents, math.prod(small)), nn.Unflatten(1, small)]
  for level, (after, size) in enumerate(zip(settings['widths'], sizes[::-1], strict=True)):
    decoder += [nn.Upsample(size)] if level else []
    for _ in range(settings['blocks']):
      decoder.append(_Block(before, after, activation))
      before = after
  decoder += [_norm(before), _ACTIVATIONS[activation](), nn.Conv2d(before, channels, 3, padding=1)]
  return nn.Sequential(*encoder), nn.Sequential(*decoder)


def _layers(settings: Mapping, outputs: tuple[int, ...]):
  return zip(outputs, settings['kernels'], settings['strides'], strict=True)


def _small(settings: Mapping, size: int) -> int:
  """Returns the smallest image from which the layers reach `size`."""
  for small in range(1, size + 1):
    reached = small
    for kernel, stride in zip(settings['kernels'], settings['strides'], strict=True):
      reached = reached - kernel + 1 if stride == 1 else (reached - 1) * stride + kernel
    if reached >= size:
      return small
  raise ValueError(f'no layer reaches {size} pixels')


def make(
  config: Mapping[str, Any], images: np.ndarray, dynamic: bool, compiled: bool
) -> Callable[[int], None]:
  """Returns a function that takes a number of training steps of one model.

  Args:
    config: of a study with one likelihood of 'bernoulli', 'cross_entropy' or a fixed 'gaussian'.
    images: uint8 [n, *event], on the device as they are.
    dynamic: binarise anew at each step.
    compiled: through torch.compile.
  """
  device = 'cuda' if torch.cuda.is_available() else 'cpu'
  data = torch.from_numpy(images.transpose(0, 3, 1, 2).copy()).to(device)  # channels first
  # Of residual nets what PyTorch is fastest with: the same shape, channels last in memory.
  residual = config['encoder']['name'] == 'resnet'
  layout = torch.channels_last if residual else torch.contiguous_format
  data = data.to(memory_format=layout)
  model = Vae(config, images.shape[1:]).to(device)
  model(data[:2].float())  # fills in the lazy layers
  model = model.to(memory_format=layout)
  optimizer = torch.optim.Adam(model.parameters(), config['lanes']['learning_rate'][0], fused=True)
  size = config['train']['batch_size']
  loss_of = torch.compile(model) if compiled else model

  def run(count: int) -> None:
    for _ in range(count):
      x = data[torch.randint(len(data), (size,), device=device)].float() / 255
      x = torch.bernoulli(x) if dynamic else x
      optimizer.zero_grad()
      loss = loss_of(x)
      loss.backward()
      optimizer.step()
    loss.item()

  return run


def convolution(images: int, pixels: int, channels: int) -> Callable[[int], None]:
  """Returns what takes the value and both gradients of a 3 x 3 convolution so many times."""
  shapes = (images, channels, pixels, pixels), (channels, channels, 3, 3)
  x, kernel = (
    torch.full(shape, 0.01).to(memory_format=torch.channels_last).requires_grad_()
    for shape in shapes
  )

  def run(count: int) -> None:
    for _ in range(count):
      y = functional.conv2d(x, kernel, padding=1)
      torch.autograd.grad(y, (x, kernel), y.detach())

  return run
