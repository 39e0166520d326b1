"""Dummy weights with values that make a model write different tokens.

vLLM fills dummy weights with values so small that every request gets one single token, and equal
outputs prove nothing.
"""

from typing import Any

import torch


def draw_weights(model: Any, config: Any, seed: int, first: int) -> None:
    """Give each matrix of a model normal values, the same in every arm; vectors stay as they are.

    The spread is the model's own (`initializer_range`). `first` is the number of the first matrix.
    """
    spread = getattr(config, "initializer_range", getattr(config, "init_std", None)) or 0.02
    drawn: set[int] = set()
    for place, (_, parameter) in enumerate(model.named_parameters(), start=first):
        if parameter.dim() < 2 or parameter.data_ptr() in drawn:
            continue
        drawn.add(parameter.data_ptr())
        generator = torch.Generator(device=parameter.device)
        generator.manual_seed(seed * 100_003 + place)
        with torch.no_grad():
            # In place and in slices, so that a large matrix needs no copy of itself.
            for rows in parameter.data.flatten().split(1 << 26):
                values = torch.empty(rows.shape, dtype=torch.float32, device=rows.device)
                rows.copy_(values.normal_(0.0, spread, generator=generator))
