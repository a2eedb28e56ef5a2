"""What FaceSnap adds to a step, beside ComfyUI's own ControlNet: `python3 benchmarks/facesnap.py`.

One process, random weights, the variants in turn; medians of seconds, and operations counted once.

    plain        the UNet
    controlnet   core's ControlNet with the weights of FFRNet, which reads the prompt
    facesnap     Apply FaceSnap: the same network reads a face's tokens
    masked       with a region mask
    two people   two of them, masks of their own

The default is the size of the embedded model, 128 pixels; --full is SD1.5's, 512 pixels: it writes
a file of 0.8 GB, holds 5.5 GB, and takes about four minutes on two cores.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve()
PACK = HERE.parents[1]
SMALL, FULL = (64, (1, 1, 1, 1), 192, 8, 2, 128), (320, (1, 2, 4, 4), 768, 16, 4, 512)
"""Channels, levels, the mixer's width, tokens and layers, pixels of the picture."""
TEXT = 768


def main() -> None:
    """Set up the host, then run this file again inside it."""
    options = parse()
    if "FLASHFACE_COMFYUI_ROOT" not in os.environ:
        sys.path.append(str(PACK / "scripts"))
        from setup.host import find_host

        host = find_host(options.comfyui, tools=True)
        environment = {**os.environ, "FLASHFACE_COMFYUI_ROOT": str(host.root)}
        environment["OMP_WAIT_POLICY"] = "passive"
        command = [str(host.python), str(HERE), *sys.argv[1:]]
        sys.exit(subprocess.run(command, env=environment).returncode)
    sys.path.append(str(PACK / "tests" / "helpers"))
    import host_pack

    host_pack.enter_comfyui(host_pack.BASE, () if options.cuda else ("--cpu",))
    report(Case(FULL if options.full else SMALL), options)


def parse() -> argparse.Namespace:
    """The command line's options."""
    parser = argparse.ArgumentParser(description="What FaceSnap adds to a step.")
    parser.add_argument("--full", action="store_true", help="SD1.5's size instead of the small one")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of all variants, default 3")
    parser.add_argument("--cuda", action="store_true", help="on the GPU, as ComfyUI is set up")
    parser.add_argument("--comfyui", help="version, default the newest known")
    return parser.parse_args()


class Case:
    """A UNet, a FaceSnap model of its size, and core's ControlNet with FFRNet's weights."""

    def __init__(self, sizes: tuple) -> None:
        import host_pack
        import torch

        width, levels, _, _, _, self.side = sizes
        self.pack = host_pack.load_pack()
        self.run_node = host_pack.run_node
        self.model = make_unet(width, levels)
        file = write_model(self.model, sizes)
        (self.facesnap,) = self.run_node(self.pack["FaceSnapModelLoader"], model_name=file.name)
        self.control = core_control(file)
        helper: Any = __import__("facesnap_files")
        self.people = [helper.random_identity(self.facesnap, seed) for seed in (1, 2)]
        self.text = [[[torch.randn(1, 77, TEXT), {}]] for _ in range(2)]
        self.hint = helper.dots(side=self.side)

    def variants(self) -> dict[str, Callable[[], None]]:
        """A sampling of one step with each."""
        import torch

        left = torch.zeros(1, self.side, self.side)
        left[..., : self.side // 2] = 1
        masks = (left, 1 - left)
        one = self.apply(*self.text)
        masked = self.apply(*self.text, region_mask=left)
        two = self.apply(*masked, identity=self.people[1], region_mask=masks[1])
        return {
            "plain": lambda: self.sample(*self.text),
            "controlnet": lambda: self.sample(*self.core()),
            "facesnap": lambda: self.sample(*one),
            "masked": lambda: self.sample(*masked),
            "two people": lambda: self.sample(*two),
        }

    def apply(self, positive: list, negative: list, **more: Any) -> tuple:
        """Both prompts through Apply FaceSnap."""
        given = {"identity": self.people[0], "strength": 1.0, "identity_strength": 1.0, **more}
        given |= {"positive": positive, "negative": negative, "facesnap": self.facesnap}
        return self.run_node(self.pack["FaceSnapApply"], landmark_image=self.hint, **given)

    def core(self) -> tuple:
        """Both prompts through core's ControlNet."""
        import core_nodes

        node = core_nodes.core_node("ControlNetApplyAdvanced")()
        return node.apply_controlnet(*self.text, self.control, self.hint, 1.0, 0.0, 1.0)

    def sample(self, positive: list, negative: list) -> None:
        """One step of Euler with guidance."""
        import torch
        import written_down

        side = self.side // 8
        latent = {"samples": torch.zeros(1, 4, side, side)}
        prompts = {"positive": positive, "negative": negative}
        written_down.ksampler(self.model, **prompts, latent_image=latent, steps=1)


def make_unet(width: int, levels: tuple[int, ...]) -> Any:
    """A MODEL of SD1.5's form with random weights."""
    import comfy.supported_models
    import torch
    from comfy.model_management import get_torch_device, unet_offload_device
    from comfy.model_patcher import ModelPatcher

    config = {
        **{"image_size": 32, "in_channels": 4, "out_channels": 4, "model_channels": width},
        **{"num_res_blocks": [2] * 4, "channel_mult": list(levels), "context_dim": TEXT},
        **{"transformer_depth": [1] * 6 + [0, 0], "transformer_depth_middle": 1},
        **{"transformer_depth_output": [1] * 9 + [0] * 3, "use_linear_in_transformer": False},
        **{"adm_in_channels": None, "use_temporal_attention": False, "legacy": False},
        **{"use_checkpoint": False, "use_spatial_transformer": True},
        "use_temporal_resblock": False,
    }
    made = comfy.supported_models.SD15(config)
    made.set_inference_dtype(torch.float32, None)
    model = made.get_model({}, "", device=torch.device("cpu"))
    fill(model.diffusion_model)
    return ModelPatcher(model, get_torch_device(), unet_offload_device())


def fill(network: Any) -> None:
    """Random weights, quickly."""
    import torch

    with torch.no_grad():
        for parameter in network.parameters():
            scale = parameter[0].numel() ** -0.5 if parameter.ndim > 1 else 0.1
            parameter.uniform_(-scale, scale)
    network.eval().requires_grad_(False)


def write_model(model: Any, sizes: tuple) -> Path:
    """Write a FaceSnap model of a MODEL's size into models/facesnap, in fp16."""
    import facesnap_files
    import host_pack
    from core_nodes import tiny_controlnet

    width, _, mixer, tokens, layers, _ = sizes
    control = tiny_controlnet(model).control_model
    fill(control)
    tensors = facesnap_files.model_tensors(control, text=TEXT)
    room = host_pack.pack_module("flashface_core.facesnap.mixer")
    net = room.Mixer(128, 128, mixer, tokens, layers, TEXT)
    tensors |= {f"mixer.{name}": tensor for name, tensor in net.state_dict().items()}
    kept = {
        name: tensor.half() if tensor.is_floating_point() else tensor
        for name, tensor in tensors.items()
    }
    known = {name for name in kept if not name.startswith("mixer.")}
    known |= {f"mixer.{name}" for name in net.state_dict()}
    file = host_pack.BASE / "models" / "facesnap" / f"benchmark_{width}.safetensors"
    return facesnap_files.write_model(file, {name: kept[name] for name in known}, text_width=TEXT)


def core_control(file: Path) -> Any:
    """Core's ControlNet with a file's FFRNet."""
    import comfy.controlnet
    from safetensors.torch import load_file

    prefix, weights = "control.", load_file(file)
    own = {n.removeprefix(prefix): t for n, t in weights.items() if n.startswith(prefix)}
    return comfy.controlnet.load_controlnet_state_dict(own)


def report(case: Case, options: argparse.Namespace) -> None:
    """Print the table."""
    import torch
    from measure import operations, peak_memory, seconds

    with torch.inference_mode():
        variants = case.variants()
        for run in variants.values():
            run()
        times: dict[str, list[float]] = {name: [] for name in variants}
        for _ in range(options.rounds):
            for name, run in variants.items():
                times[name].append(seconds(run))
        counted = {name: operations(run) for name, run in variants.items()}
        memory = {name: peak_memory(run) for name, run in variants.items()}
    print("| | s per step | x plain | GFLOP | x plain | x controlnet | MB beside weights |")
    print("|---|---|---|---|---|---|---|")
    plain, core = statistics.median(times["plain"]), counted["controlnet"]
    for name in variants:
        time, count = statistics.median(times[name]), counted[name]
        print(
            f"| {name} | {time:.3f} | {time / plain:.2f} | {count / 1e9:.1f} | "
            f"{count / counted['plain']:.3f} | {count / core:.4f} | {memory[name] / 1e6:.0f} |"
        )


if __name__ == "__main__":
    main()
