"""The training graph, made of the modules that run at inference: call `host.enter` before.

Two of ComfyUI's UNets and the pack's Adapter, joined at the very hook points that the pack patches:
y = LayerNorm1(x) is kept, reference attention is added behind self-attention, the region behind the
first convolution. As in the released code, ReferenceNet runs the main UNet's time embedding and
middle block. All of it is one `forward`, so that data-parallel training sees every gradient.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import comfy.model_detection
import comfy.ops
import comfy.supported_models
import torch
from comfy.ldm.modules.attention import optimized_attention
from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel
from torch import Tensor, nn

from flashface_core.flashface.attention import HEADS, ReferenceTokens
from flashface_core.flashface.checkpoint.layout import Sizes, expected_shapes, reference_blocks
from flashface_core.flashface.features import Features
from flashface_core.flashface.model import GROUP_NORM_EPS, Adapter
from flashface_core.flashface.referencenet import block_name, cut_tail, in_tail

Options = dict[str, Any]


def build_unet(sizes: Sizes) -> UNetModel:
    """ComfyUI's SD1.5 UNet of these sizes, as it runs at inference, every tensor initialised."""
    shapes = {
        name.removeprefix("unet."): torch.empty(shape, device="meta")
        for name, shape in expected_shapes(sizes).items()
        if name.startswith("unet.")
    }
    config = comfy.supported_models.SD15(comfy.model_detection.detect_unet_config(shapes, ""))
    config.set_inference_dtype(torch.float32, None)
    unet: Any = UNetModel(
        **config.unet_config, device="cpu", operations=comfy.ops.disable_weight_init
    )
    initialise(unet)
    for name, module in unet.named_modules():
        # What a block adds begins with nothing, and so does the predicted noise.
        if name.endswith(("out_layers.3", "proj_out")) or name == "out.2":
            nn.init.zeros_(module.weight)
        if isinstance(module, nn.GroupNorm):
            module.eps = GROUP_NORM_EPS
    return unet


def initialise(network: nn.Module) -> None:
    """Fill every tensor: ComfyUI's layers leave theirs, norms too, as memory had them."""
    for module in network.modules():
        if isinstance(module, nn.GroupNorm | nn.LayerNorm):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Linear | nn.Conv2d):
            nn.init.kaiming_uniform_(module.weight, a=5**0.5)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


class Plain(nn.Module):
    """The UNet alone: no reference attention, no region."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.unet: Any = build_unet(sizes)

    def forward(self, x: Tensor, t: Tensor, context: Tensor) -> Tensor:
        """The predicted noise of x (B, 4, H, W) at t (B,) with text (B, T, C)."""
        return self.unet(x, t, context)


class FlashFace(nn.Module):
    """UNet, ReferenceNet and adapter as one network."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.unet: Any = build_unet(sizes)
        self.referencenet: Any = build_unet(sizes)
        self.referencenet.time_embed = self.unet.time_embed
        self.referencenet.middle_block = self.unet.middle_block
        cut_tail(self.referencenet)
        self.adapter = Adapter(sizes, torch.float32, torch.device("cpu"))
        initialise(self.adapter)
        nn.init.zeros_(self.adapter.mask_conv.weight)

    def start_from(self, unet: dict[str, Tensor], init: str) -> None:
        """Begin as the authors do: ReferenceNet and reference attention are copies of the UNet's.

        init: "copy" as released, which counts self-attention twice at first; "zero" sets reference
        attention's output to zero, so that the first step is the base exactly.
        """
        self.unet.load_state_dict(unet)
        own = self.referencenet.state_dict()  # the UNet's names, less what `cut_tail` took away
        self.referencenet.load_state_dict({name: unet[name] for name in own})
        for block in reference_blocks(self.sizes):
            layer: Any = self.adapter.attention(block)
            attention = self.unet.get_submodule(f"{block}.transformer_blocks.0.attn1")
            layer.load_state_dict(attention.state_dict())
            if init == "zero":
                nn.init.zeros_(layer.to_out[0].weight)
                nn.init.zeros_(layer.to_out[0].bias)

    def features(self, latents: Tensor, t: Tensor, context: Tensor) -> Features:
        """y of the blocks with reference attention, (G, N * L, C) each.

        latents: (G, N, 4, h, w), clean. t: (G,). context: (1, T, C) for all crops.
        """
        groups, count = latents.shape[:2]
        found: Features = {}

        def capture(y: Tensor, text: Any, value: Any, options: Options):
            if options["block"][0] != "input":
                found[block_name(options["block"])] = y.reshape(groups, -1, y.shape[-1])
            return y, text, value

        options = {
            "patches": {"attn1_patch": [capture]},
            "patches_replace": {"attn2": dict.fromkeys(all_blocks(), _attend_to_one)},
        }
        times = t.repeat_interleave(count)
        self.referencenet(latents.flatten(0, 1), times, context, transformer_options=options)
        return found

    def forward(
        self,
        x: Tensor,
        t: Tensor,
        context: Tensor,
        region: Tensor | None = None,
        references: Tensor | None = None,
        reference_context: Tensor | None = None,
        rows: Tensor | None = None,
    ) -> Tensor:
        """The predicted noise of x (B, 4, H, W) at t (B,) with text (B, T, C).

        region: (B, 1, H, W). references: (G, N, 4, h, w), each shown to B / G samples that stand
        together and have one t. rows: indices of the samples that see them, None for all.
        """
        tokens: dict[str, ReferenceTokens] = {}
        unused: Any = 0.0
        if references is not None:
            assert reference_context is not None
            share = len(x) // len(references)
            features = self.features(references, t[::share], reference_context)
            tokens = {b: self._tokens(b, f, share, rows) for b, f in features.items()}
            if rows is not None and not len(rows):
                # Every weight has a gradient in every step, which data-parallel training counts on.
                unused = 0.0 * sum(token.key.sum() + token.value.sum() for token in tokens.values())
                tokens, rows = {}, None
        return self.predict(x, t, context, region, tokens, rows) + unused

    def predict(
        self,
        x: Tensor,
        t: Tensor,
        context: Tensor,
        region: Tensor | None,
        tokens: dict[str, ReferenceTokens],
        rows: Tensor | None = None,
        replace: dict[str, Any] | None = None,
    ) -> Tensor:
        """The predicted noise where references' keys and values are known already, by block.

        replace: what else to replace in the UNet, as ComfyUI's `patches_replace`.
        """
        patches = {
            "attn1_patch": [_keep_y],
            "middle_patch": [partial(self._add_term, tokens, rows)],
            "input_block_patch": [partial(self._add_region, region)],
        }
        options = {"patches": patches, "patches_replace": replace or {}}
        return self.unet(x, t, context, transformer_options=options)

    def _tokens(
        self, block: str, features: Tensor, share: int, rows: Tensor | None
    ) -> ReferenceTokens:
        layer: Any = self.adapter.attention(block)
        shown = torch.arange(len(features) * share, device=features.device)
        shown = (shown if rows is None else rows) // share
        key, value = (
            project(features).index_select(0, shown) for project in (layer.to_k, layer.to_v)
        )
        return ReferenceTokens(key, value, None, 1.0)

    def _add_term(
        self, tokens: dict[str, ReferenceTokens], rows: Tensor | None, x: Tensor, options: Options
    ) -> Tensor:
        block = block_name(options["block"])
        layer = self.adapter.attention(block)
        y = options.pop("y")
        if layer is None:
            return x
        return x + layer(y, [tokens[block]] if block in tokens else [], rows, options)

    def _add_region(self, region: Tensor | None, h: Tensor, options: Options) -> Tensor:
        if region is None or options["block"] != ("input", 0):
            return h
        return h + self.adapter.mask_conv(region)


def compact_tensors(net: FlashFace) -> dict[str, Tensor]:
    """The network's weights under the names of the pack's compact format.

    The format lists ReferenceNet's dead tail too: the main UNet's weights stand there.
    """
    unet, referencenet = net.unet.state_dict(), net.referencenet.state_dict()
    found = {f"unet.{name}": tensor for name, tensor in unet.items()}
    for name in unet:
        if name.startswith(("input_blocks.", "output_blocks.")):
            tail = unet[name] if in_tail(name) else referencenet[name]
            found[f"referencenet.{name}"] = tail
    for block in reference_blocks(net.sizes):
        layer: Any = net.adapter.attention(block)
        for name, tensor in layer.state_dict().items():
            found[f"reference_attention.{block}.{name}"] = tensor
    found["mask_conv.weight"] = net.adapter.mask_conv.weight
    return found


@torch.no_grad()
def load_compact(net: FlashFace, tensors: dict[str, Tensor]) -> None:
    """Fill a network from the names of the compact format; KeyError where one is missing."""
    for name, tensor in compact_tensors(net).items():
        if not in_tail(name.removeprefix("referencenet.")) or not name.startswith("referencenet."):
            tensor.copy_(tensors[name])


def _keep_y(y: Tensor, context: Any, value: Any, options: Options):
    options["y"] = y
    return y, context, value


def _attend_to_one(q: Tensor, k: Tensor, v: Tensor, options: Options) -> Tensor:
    """Text attention with one prompt for all crops: its keys and values were projected once."""
    k, v = k.expand(len(q), -1, -1), v.expand(len(q), -1, -1)
    return optimized_attention(q, k, v, HEADS, transformer_options=options)


def all_blocks() -> list[tuple[str, int]]:
    """Every name under which ComfyUI may know a block with attention."""
    return [(kind, index) for kind in ("input", "middle", "output") for index in range(12)]
