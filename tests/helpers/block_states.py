"""What the UNet's reference blocks are given and what they add, in a real call of the UNet.

Later blocks mix all positions, so nothing stays at its place over a whole UNet. `Blocks.added`
gives every block the input that was recorded before: then each is seen alone, in its real place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from comfy.model_patcher import ModelPatcher
from torch import Tensor

States = dict[str, Tensor]
"""Block name -> (rows, L, C); rows as the UNet's batch, prompts x pictures."""


class Blocks:
    """The ten transformer blocks of a model's UNet that FlashFace adds to."""

    def __init__(self, model: ModelPatcher, predict: Callable[[ModelPatcher, Tensor], Tensor]):
        unet = model.model.diffusion_model
        self._predict = predict
        self._blocks = {"middle_block.1": unet.middle_block[1].transformer_blocks[0]} | {
            f"output_blocks.{index}.1": unet.output_blocks[index][1].transformer_blocks[0]
            for index in range(3, 12)
        }

    def inputs(self, model: ModelPatcher, x: Tensor) -> States:
        """What each block is given when a model predicts."""
        return self._observe(model, x, {})[0]

    def added(self, model: ModelPatcher, x: Tensor, inputs: States) -> States:
        """What self-attention and references add to each of these inputs, in float64."""
        found = self._observe(model, x, inputs)[1]
        return {name: found[name].double() - inputs[name].double() for name in inputs}

    def _observe(self, model: ModelPatcher, x: Tensor, given: States) -> tuple[States, States]:
        before: States = {}
        after: States = {}
        with self._hooked(before, after, given):
            self._predict(model, x)
        return before, after

    @contextmanager
    def _hooked(self, before: States, after: States, given: States) -> Iterator[None]:
        def enter(name: str):
            def hook(module: torch.nn.Module, args: tuple) -> tuple:
                assert name not in before, "one call of the UNet was expected"
                before[name] = args[0].cpu()
                x = given[name].to(args[0].device) if name in given else args[0]
                return (x, *args[1:])

            return hook

        def leave(name: str):
            def hook(module: torch.nn.Module, args: tuple) -> None:
                after[name] = args[0].cpu()

            return hook

        hooks = []
        for name, block in self._blocks.items():
            hooks.append(block.register_forward_pre_hook(enter(name)))
            # Its input is x with self-attention and, by the middle patch, the reference term.
            hooks.append(block.norm2.register_forward_pre_hook(leave(name)))
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()
