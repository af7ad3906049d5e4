"""How many images go through a network at once: bounded by the bytes of the images and of their activations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import torch
from torch import Tensor, nn

from trainers.device import exact

PASS_BYTES: Final = 2**26
"""The images of one forward pass take at most this much in float32."""
ACTIVATION_BYTES: Final = 2**27
"""So does the largest activation of one forward pass; at its peak, a pass holds a few of that size."""


def images_per_pass(network: nn.Module, image: Tensor) -> int:
    """How many images like this one (c, h, w) can be in one pass without gradients, at least 1.

    The largest output of all modules is measured with this image, in eval mode, so that nothing in the network changes.
    """
    by_pixels = PASS_BYTES // (4 * image.numel())
    return max(1, min(by_pixels, ACTIVATION_BYTES // max(1, largest_activation(network, image))))


def largest_activation(network: nn.Module, image: Tensor) -> int:
    """Bytes of the largest output of a module, for one image (c, h, w)."""
    largest = 0

    def see(module: nn.Module, inputs: object, output: object) -> None:
        nonlocal largest
        if isinstance(output, Tensor):
            largest = max(largest, output.numel() * output.element_size())

    handles = [module.register_forward_hook(see) for module in network.modules()]
    trained = [module for module in network.modules() if module.training]
    try:
        network.eval()
        with torch.no_grad(), exact():
            network.represent(image[None])  # type: ignore[operator]
    finally:
        for module in trained:
            module.training = True
        for handle in handles:
            handle.remove()
    return largest


def parts(count: int, size: int) -> Iterator[slice]:
    """`count` things in order, `size` at a time.

    >>> list(parts(5, 2))
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    for first in range(0, count, size):
        yield slice(first, min(first + size, count))
