from __future__ import annotations

from comfy_api.latest import io

from ..types import CATEGORY


class FlashFaceSigmas(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FlashFaceSigmas",
            display_name="FlashFace Sigmas",
            category=CATEGORY,
            description=(
                'The authors\' own step schedule ("trailing"), for SamplerCustom and '
                "SamplerCustomAdvanced. With the euler sampler it is their DDIM. In KSampler, "
                "scheduler sgm_uniform comes within one timestep of it."
            ),
            search_aliases=["flashface scheduler", "trailing", "ddim sigmas"],
            inputs=[
                io.Model.Input("model", tooltip="The MODEL whose noise levels are used."),
                io.Int.Input(
                    "steps", default=30, min=1, max=1000, tooltip="Steps; 25 to 50 are usual."
                ),
                io.Float.Input(
                    "denoise",
                    default=1.0,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="Below 1 for img2img: the last `steps` steps of a longer schedule.",
                ),
            ],
            outputs=[io.Sigmas.Output(display_name="sigmas", tooltip="Noise levels, ending in 0.")],
        )

    @classmethod
    def execute(cls, model, steps: int, denoise: float = 1.0) -> io.NodeOutput:
        import torch

        from ...flashface_core.flashface.guidance import trailing_timesteps

        if denoise <= 0:
            return io.NodeOutput(torch.FloatTensor([]))
        sampling = model.get_model_object("model_sampling")
        # less is the same in float32, and at last more than any float
        timesteps = trailing_timesteps(steps, int(steps / max(denoise, 1e-6)))
        sigmas = [float(sampling.sigma(torch.tensor(timestep))) for timestep in timesteps]
        return io.NodeOutput(torch.FloatTensor([*sigmas, 0.0]))
