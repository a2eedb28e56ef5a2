"""ComfyUI's own nodes and networks, for tests of what the pack does beside them."""

from __future__ import annotations

import importlib
import inspect
from typing import Any

import comfy.cldm.cldm
import comfy.controlnet
import comfy.model_base
import comfy.ops
import comfy.t2i_adapter.adapter
import torch
from comfy.model_patcher import ModelPatcher
from comfy_api.latest import io
from host_pack import run_node


def core_node(name: str) -> Any:
    """A node class such as "KSampler" or "pag.PerturbedAttentionGuidance", or None."""
    module, _, kind = name.rpartition(".")
    try:
        found = importlib.import_module(f"comfy_extras.nodes_{module}" if module else "nodes")
    except ModuleNotFoundError:
        return None
    return getattr(found, kind, None)


def takes(name: str, option: str) -> bool:
    """Whether this ComfyUI has a node and the node has an input."""
    node = core_node(name)
    if node is None:
        return False
    function = node.execute if issubclass(node, io.ComfyNode) else getattr(node, node.FUNCTION)
    return option in inspect.signature(function).parameters


def run_core(name: str, **inputs: Any) -> Any:
    """Run one of ComfyUI's nodes and return its first output."""
    return run_node(core_node(name), **inputs)[0]


def tiny_controlnet(model: ModelPatcher, seed: int = 40) -> comfy.controlnet.ControlNet:
    """Core's ControlNet of a model's sizes, with random weights."""
    config = {k: v for k, v in _unet_config(model).items() if k != "out_channels"}
    config |= {"hint_channels": 3, "operations": comfy.ops.manual_cast, "dtype": torch.float32}
    network = comfy.cldm.cldm.ControlNet(**config)
    fill(network, seed)
    return comfy.controlnet.ControlNet(network, load_device=model.load_device)


def t2i_adapter_network(channels: list[int], seed: int) -> torch.nn.Module:
    """Core's T2I-Adapter for a UNet of these channels, with random weights."""
    network = comfy.t2i_adapter.adapter.Adapter(
        cin=192, channels=channels, nums_rb=2, ksize=1, sk=True, use_conv=False, xl=False
    )
    fill(network, seed)
    return network


def inpaint_model(model: ModelPatcher) -> ModelPatcher:
    """Core's inpainting model with a model's weights: 9 input channels, 5 of them random."""
    config = model.model.model_config
    made = type(config)({**_unet_config(model), "in_channels": 9})
    made.set_inference_dtype(torch.float32, None)
    inpaint = comfy.model_base.BaseModel(made, device=torch.device("cpu"))
    inpaint.set_inpaint()
    weights = dict(model.model.diffusion_model.state_dict())
    first = weights["input_blocks.0.0.weight"]
    more = torch.randn(first.shape[0], 5, 3, 3, generator=torch.Generator().manual_seed(0)) * 0.1
    weights["input_blocks.0.0.weight"] = torch.cat([first.cpu(), more], dim=1)
    inpaint.diffusion_model.load_state_dict(weights)
    inpaint.eval().requires_grad_(False)
    return ModelPatcher(inpaint, model.load_device, model.offload_device)


def _unet_config(model: ModelPatcher) -> dict[str, Any]:
    config = dict(model.model.model_config.unet_config)
    config["transformer_depth"] = list(config["transformer_depth"])
    return config


def fill(network: torch.nn.Module, seed: int) -> None:
    """Give a network random weights that keep the size of what goes through it."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            spread = parameter[0].numel() ** -0.5 if parameter.ndim > 1 else 0.1
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * spread)
    network.eval().requires_grad_(False)


def stock_model(model: ModelPatcher) -> ModelPatcher:
    """A MODEL of a model's sizes and weights, built as ComfyUI builds a stock SD1.5."""
    made = type(model.model.model_config)(_unet_config(model))
    made.set_inference_dtype(torch.float32, None)
    stock = made.get_model({}, "", device=torch.device("cpu"))
    stock.diffusion_model.load_state_dict(model.model.diffusion_model.state_dict())
    stock.eval().requires_grad_(False)
    return ModelPatcher(stock, model.load_device, model.offload_device)


SKIPPING = {"reuse_threshold": 1e6, "start_percent": 0.0, "end_percent": 1.0, "verbose": False}
"""For EasyCache and LazyCache: skip every step from the third on."""


def windows(dim: int, length: int, fuse: str, overlap: int = 1, **more: Any):
    """A patch that puts core's context windows on a model. more: inputs of newer ComfyUI."""
    name = "context_windows.ContextWindowsManualNode"
    # Newer ComfyUI lets a window see one more frame, or column, before its own.
    alone = {"causal_window_fix": False} if takes(name, "causal_window_fix") and not overlap else {}

    def patch(model: ModelPatcher) -> ModelPatcher:
        return run_core(
            name,
            model=model,
            context_length=length,
            context_overlap=overlap,
            context_schedule="standard_static",
            context_stride=1,
            closed_loop=False,
            fuse_method=fuse,
            dim=dim,
            freenoise=False,
            **alone,
            **more,
        )

    return patch
