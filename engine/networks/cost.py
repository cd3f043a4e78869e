"""What one call of a network costs."""

import torch
from torch import nn


def multiply_adds(network: nn.Module, *inputs, **conditions) -> int:
    """Multiply-adds of network(*inputs, **conditions): convolutions, linear maps, matrix products and attention.

    Counted from the operations that are really made, whatever module or function makes them. Sums, norms and
    activations are left out, as is usual. For the cost of one picture give inputs with a batch of one.
    """
    from torch.utils.flop_counter import FlopCounterMode

    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(*inputs, **conditions)
    return counter.get_total_flops() // 2


def picture_multiply_adds(network: nn.Module, shape: tuple[int, int, int], classes: int = 0) -> int:
    """`multiply_adds` of a network(x_t, t, label) for one picture (C, H, W) = shape."""
    label = {"label": torch.zeros(1, dtype=torch.long)} if classes else {}
    return multiply_adds(network, torch.zeros(1, *shape), torch.full((1,), 0.5), **label)
