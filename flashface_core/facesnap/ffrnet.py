"""Builds FFRNet: the class, config and dtypes that ComfyUI's own loader of ControlNets takes.

Its loader is not called: it only warns of weights that are missing, copies what can stay in the
file, and calls a small network an error in the log.
"""

from __future__ import annotations

from typing import Any

import comfy.cldm.cldm
import comfy.model_detection
import comfy.model_management
import comfy.model_patcher
import comfy.ops
import comfy.supported_models
import comfy.supported_models_base
import torch
from comfy.model_patcher import ModelPatcher

from ..errors import reason
from ..files.weights import CheckpointError, Shape
from .weights import CONTROL, ModelFile, compare_shapes, open_model

HINT_CHANNELS = 3


def load_ffrnet(path: str, dtype: torch.dtype | None) -> tuple[ModelPatcher, torch.dtype | None]:
    """FFRNet's patcher, and the dtype that it computes in where that is not the weights' own.

    dtype: of the weights; None leaves the choice to ComfyUI's settings and the device.
    Raises CheckpointError for a file whose FFRNet is no ControlNet of a UNet.
    """
    patcher = load_control(path, dtype)
    cast = comfy.model_management.unet_manual_cast(patcher.model.dtype, patcher.load_device)
    return patcher, cast


def load_control(
    path: str, dtype: torch.dtype | None, disable_dynamic: bool = False
) -> ModelPatcher:
    """The patcher alone; ComfyUI calls it too, for an untouched copy."""
    file = open_model(path)
    device = comfy.model_management.get_torch_device()
    network, used = _built(file, dtype, device)
    compare_shapes(file.name, CONTROL, file.shapes(CONTROL), shapes_of(network))
    network.load_state_dict(file.tensors(CONTROL, used), assign=True)
    network.eval().requires_grad_(False)
    kind = ModelPatcher if disable_dynamic else comfy.model_patcher.CoreModelPatcher
    network.device = offload = comfy.model_management.unet_offload_device()
    patcher = kind(network, load_device=device, offload_device=offload)
    patcher.cached_patcher_init = (load_control, (path, dtype))
    return patcher


def _built(
    file: ModelFile, dtype: torch.dtype | None, device: torch.device
) -> tuple[Any, torch.dtype]:
    """A ControlNet of the file's sizes that has no memory yet, and the dtype of its weights."""
    shapes = {
        name: torch.empty(shape, device="meta") for name, shape in file.shapes(CONTROL).items()
    }
    try:
        config = config_of(shapes)
        used: torch.dtype = dtype or comfy.model_management.unet_dtype(
            model_params=-1,
            supported_dtypes=list(config.supported_inference_dtypes),
            weight_dtype=file.dtype(CONTROL),
        )
        cast = comfy.model_management.unet_manual_cast(used, device)
        operations = comfy.ops.pick_operations(used, cast)
        return build(config.unet_config, used, operations), used
    except CheckpointError:
        raise
    except Exception as error:  # names and shapes of anything fail in the middle of anything
        raise CheckpointError(
            f"The FFRNet in {file.name} is no ControlNet of a UNet that ComfyUI knows "
            f"({reason(error)}). Copy or download the file again, or choose another one."
        ) from error


def config_of(shapes: dict[str, torch.Tensor]) -> Any:
    """ComfyUI's config of the UNet whose encoder has weights of such shapes."""
    found = comfy.model_detection.detect_unet_config(shapes, "")
    known = comfy.supported_models.models
    base = comfy.supported_models_base.BASE
    return next((kind for kind in known if kind.matches(found, shapes)), base)(found)


def build(config: dict[str, Any], dtype: torch.dtype, operations: Any) -> Any:
    """A ControlNet of a config that has no memory yet."""
    sizes = {name: value for name, value in config.items() if name != "out_channels"}
    return comfy.cldm.cldm.ControlNet(
        **sizes,
        hint_channels=HINT_CHANNELS,
        dtype=dtype,
        device=torch.device("meta"),
        operations=operations,
    )


def shapes_of(network: torch.nn.Module) -> dict[str, Shape]:
    """The shape of every weight of a network."""
    return {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
