"""The training graph: what is trained is what is run, whole, with the right gradients."""

from __future__ import annotations

import pytest
import torch
from sampling import cond, evaluate, guider
from tiny_training import tiny_flashface
from torch import Tensor

from flashface_core.flashface.attention import can_merge
from flashface_core.flashface.model import load_flashface
from flashface_core.flashface.patch import apply_reference
from flashface_core.flashface.patch.state import AppliedReference
from flashface_core.flashface.reference import make_reference
from training import flashface, graph, text

SIZE, FACE, TIME = 8, 6, 700
KINDS = (
    "unet.input_blocks.0.0.weight",
    "unet.time_embed.0.weight",
    "unet.middle_block.1.transformer_blocks.0.attn1.to_q.weight",
    "unet.output_blocks.3.1.transformer_blocks.0.attn2.to_k.weight",
    "unet.output_blocks.5.0.in_layers.0.weight",
    "referencenet.input_blocks.0.0.weight",
    "referencenet.output_blocks.11.1.transformer_blocks.0.norm1.weight",
    "adapter.mask_conv.weight",
    *(f"adapter.blocks.output_blocks_4_1.{leaf}.weight" for leaf in ("to_q", "to_k", "to_v")),
    "adapter.blocks.middle_block_1.to_out.0.bias",
)


def inputs(samples: int, count: int, share: int = 1, seed: int = 1) -> dict[str, Tensor]:
    random = torch.Generator().manual_seed(seed)
    groups = samples // share
    tensors = {
        "x": (samples, 4, SIZE, SIZE),
        "context": (samples, 77, 768),
        "region": (samples, 1, SIZE, SIZE),
        "references": (groups, count, 4, FACE, FACE),
        "reference_context": (1, 77, 768),
    }
    found = {name: torch.randn(shape, generator=random) for name, shape in tensors.items()}
    found["region"] = (found["region"] > 0).float()
    found["t"] = torch.full((samples,), float(TIME))
    return found


@pytest.fixture(scope="module")
def net() -> graph.FlashFace:
    return tiny_flashface()


@pytest.fixture(scope="module")
def loaded(net, tmp_path_factory):
    path = tmp_path_factory.mktemp("export") / "tiny.safetensors"
    flashface.export(path, text.Captioned(net, text.Words([])))
    return load_flashface(str(path), torch.float32)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_the_exported_file_gives_the_graphs_numbers(net, loaded, count):
    given = inputs(1, max(count, 1))
    shown = {} if count else {"references": None}
    with torch.no_grad():
        wanted = net(**{**given, **shown})
    model, model_of_references = loaded
    crops = given["references"][0]
    reference = make_reference(crops, given["reference_context"], len(crops))
    strength = 1.0 if count else 0.0
    applied = AppliedReference(reference, strength, region=given["region"][:, 0])
    patched = apply_reference(model, model_of_references, applied)
    found = evaluate(guider(patched, cond(given["context"]), None, 1.0), given["x"], TIME)
    assert wanted.std() > 0.1
    assert (found - wanted).abs().max() < 1e-5 * wanted.abs().max()


def test_references_and_region_matter(net):
    given = inputs(1, 2)
    with torch.no_grad():
        full = net(**given)
        for name in ("references", "region"):
            assert (net(**{**given, name: None}) - full).abs().max() > 1e-3 * full.abs().max()


@pytest.mark.parametrize("kind", [graph.FlashFace, graph.Plain])
def test_every_tensor_is_initialised(net, kind):
    torch.use_deterministic_algorithms(True)
    try:
        assert torch.empty(4).isnan().all()  # what was not initialised would show
        built = kind(net.sizes)
    finally:
        torch.use_deterministic_algorithms(False)
    for name, tensor in built.state_dict().items():
        assert tensor.isfinite().all(), name


def test_with_zero_the_first_step_is_the_base_exactly(net):
    base = graph.Plain(net.sizes)
    base.unet.load_state_dict(net.unet.state_dict())
    begun = graph.FlashFace(net.sizes)
    begun.start_from(base.unet.state_dict(), "zero")
    given = inputs(2, 2)
    with torch.no_grad():
        plain = base(given["x"], given["t"], given["context"])
        assert torch.equal(begun(**given), plain)
        begun.start_from(base.unet.state_dict(), "copy")
        assert not torch.allclose(begun(**given), plain, atol=1e-3)


def test_gradients_are_those_of_finite_differences(net):
    exact = tiny_flashface().double()
    given = {name: tensor.double() for name, tensor in inputs(2, 2, share=2).items()}
    weights = dict(exact.named_parameters())
    towards = torch.randn(2, 4, SIZE, SIZE, dtype=torch.float64)

    def value() -> Tensor:
        return (exact(**given) * towards).sum()

    value().backward()
    random = torch.Generator().manual_seed(3)
    for kind in KINDS:
        weight = weights[kind]
        assert weight.grad is not None, kind
        direction = torch.randn(weight.shape, dtype=torch.float64, generator=random)
        step, ends = 1e-6, []
        with torch.no_grad():
            for sign in (1, -2):
                weight.add_(direction, alpha=sign * step)
                with torch.enable_grad():  # the path that trains
                    ends.append(float(value().detach()))
            weight.add_(direction, alpha=step)
        wanted = (ends[0] - ends[1]) / (2 * step)
        assert float((weight.grad * direction).sum()) == pytest.approx(wanted, rel=1e-5), kind
    assert not can_merge(given["x"], {})
    assert all(weight.grad is not None for weight in weights.values())


def test_dropped_rows_do_not_depend_on_references(net):
    given = inputs(4, 2, share=2)
    rows = torch.tensor([0, 3])
    with torch.no_grad():
        found = net(**given, rows=rows)
        without = net(**{**given, "references": None})
        others = {**given, "references": given["references"].flip(0)}
        swapped = net(**others, rows=rows)
    assert (found - without)[[1, 2]].abs().max() < 1e-5
    assert (found - swapped)[[0, 3]].abs().min(0).values.max() > 1e-3
    assert (found - swapped)[[1, 2]].abs().max() == 0


def test_their_loss_teaches_referencenet_nothing(net):
    given = inputs(2, 1)
    shared = {id(p) for p in net.unet.parameters()}
    own = [p for p in net.referencenet.parameters() if id(p) not in shared]
    net.zero_grad()
    net(**given, rows=torch.tensor([1]))[0].square().sum().backward()
    assert all(p.grad is None or p.grad.abs().max() == 0 for p in own)
    net.zero_grad()
    net(**given, rows=torch.tensor([], dtype=torch.long)).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().max() == 0 for p in own)
    net.zero_grad()


def test_targets_of_a_person_share_one_reference_pass(net):
    given = inputs(4, 2, share=2)
    apart = {**given, "references": given["references"].repeat_interleave(2, 0)}
    with torch.no_grad():
        assert (net(**given) - net(**apart)).abs().max() < 1e-5
