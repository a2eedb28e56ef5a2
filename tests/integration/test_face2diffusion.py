"""A person as two words of a prompt, in ComfyUI's own text encoder and beside FlashFace.

The exact check: words that are the token embeddings of "f" and "l" at their places, position
included, have to give the very prompt that ComfyUI makes of the plain text, under any weights,
chunks, patches and layers. Two or three chunks differ in nothing else from one.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import comfy.sd
import comfy.text_encoders.sd2_clip
import folder_paths
import model_files
import numpy as np
import pytest
import torch
from host_pack import pack_module
from safetensors.torch import save_file
from sampling import cond, evaluate, guider
from standins import face2diffusion as standin_face2diffusion
from standins import flashface as standin

core: Any = importlib.import_module("nodes")  # ComfyUI's own

EMBEDDINGS = "clip_l.transformer.text_model.embeddings"
F, L = 325, 331
BOUND = 2e-5
Node = Callable[..., tuple]


@pytest.fixture(scope="module")
def models(standin_models: Path) -> Iterator[Path]:
    """The models folder with stand-ins, and a small detector that takes pure colours for faces."""
    files = standin_face2diffusion.standin_files()
    standin.place(files, standin_models, standin_face2diffusion.FILES)
    yunet = model_files.yunet(standin_models / "face_detection/face_detection_yunet_2023mar.onnx")
    yield standin_models
    yunet.unlink()


@pytest.fixture(scope="module")
def node(pack: dict[str, type], run_node: Callable[..., tuple]) -> Node:
    return lambda name, /, **inputs: run_node(pack["Face2Diffusion" + name], **inputs)


@pytest.fixture(scope="module")
def f2d(models: Path, node: Node) -> Any:
    files = [standin_face2diffusion.MSID, standin_face2diffusion.MAPPING]
    msid, mapping = (Path(file).name for file in files)
    return node("ModelLoader", msid_name=msid, mapping_name=mapping)[0]


@pytest.fixture(scope="module")
def clip(models: Path) -> Any:
    """The stand-in CLIP-L, as ComfyUI's CLIPLoader loads it."""
    return core.CLIPLoader().load_clip("clip_standin.safetensors", "stable_diffusion")[0]


def random(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def photo(seed: int, x: int = 9, y: int = 9) -> torch.Tensor:
    """(1, 640, 640, 3): smooth colours, and one red cell of 32 that the detector knows."""
    grid = torch.rand(1, 3, 9, 9, generator=torch.Generator().manual_seed(seed)) * 0.8
    image = torch.nn.functional.interpolate(grid, (640, 640), mode="bicubic").clamp(0, 1)
    image[:, :, y * 32 : y * 32 + 32, x * 32 : x * 32 + 32] = torch.eye(3)[0][None, :, None, None]
    return image.movedim(1, -1)


@pytest.fixture(scope="module")
def encode(f2d: Any, node: Node) -> Node:
    defaults = {"order": "largest", "index": 0, "if_no_face": "error", "threshold": 0.6}

    def run(*images: torch.Tensor, **inputs: Any) -> tuple:
        lists = {name: [value] for name, value in (defaults | inputs).items()}
        return node("EncodeFace", face2diffusion=[f2d], image=list(images), **lists)

    return run


@pytest.fixture(scope="module")
def anna(encode: Node) -> Any:
    return encode(photo(1))[0]


@pytest.fixture(scope="module")
def bert(encode: Node) -> Any:
    return encode(photo(2))[0]


@pytest.fixture
def prompt(clip: Any, anna: Any, node: Node) -> Callable[..., torch.Tensor]:
    """`prompt(text)`: the (L, 768) of a text with anna."""

    def run(text: str, clip: Any = clip, identity: Any = anna, **inputs: Any) -> torch.Tensor:
        (made,) = node("TextEncode", clip=clip, text=text, identity=identity, **inputs)
        return made[0][0][0]

    return run


def plain(clip: Any, text: str) -> torch.Tensor:
    return clip.encode_from_tokens_scheduled(clip.tokenize(text))[0][0][0]


def as_text(clip: Any, tokens: list[tuple[int, int]]) -> torch.Tensor:
    """The words that change nothing: embeddings of (token, its row in the chunk)."""
    clip.load_model()
    token, position = (
        clip.patcher.get_model_object(f"{EMBEDDINGS}.{name}_embedding.weight").float()
        for name in ("token", "position")
    )
    return torch.stack([token[i] + position[j] for i, j in tokens])


@pytest.fixture(scope="module")
def text_room(pack: dict[str, type]) -> Any:
    return pack_module("flashface_core.face2diffusion.text")


@pytest.fixture
def replaced(text_room: Any) -> Callable[..., torch.Tensor]:
    """`replaced(clip, text, at)`: a text whose "f l" at row `at` is replaced by itself."""

    def run(clip: Any, text: str, at: int) -> torch.Tensor:
        person = text_room.Person("f l", as_text(clip, [(F, at), (L, at + 1)]))
        return text_room.encode_text(clip, text, [person])[0][0][0]

    return run


def test_an_embedding_of_another_width_leaves_the_person_alone(prompt, comfyui_base):
    """ComfyUI leaves such a vector out, with a warning; what follows it moves up."""
    file = comfyui_base / "models" / "embeddings" / "wide.safetensors"
    file.parent.mkdir(exist_ok=True)
    save_file({"emb_params": random(1, 1024, seed=8)}, file)
    found = prompt("embedding:wide photo of f l")
    file.unlink()
    assert (found - prompt("photo of f l")).abs().max() < 1e-5


LONG = "a dog and a cat sit in front of a red house " * 8
TEXTS = {
    "short": ("f l eating bread", 1),
    "capitals": ("Portrait of F L, smiling", 3),
    "weight on both": ("a photo of (f l:1.3), (blue sky:0.5)", 4),
    "weight on one": ("a photo of (f:1.2) l", 4),
    "after an aperture": ("shot at f/1.8, portrait of f l", 11),
    "second chunk": (LONG + "and f l stands there (happy:1.2)", 0),
}


@pytest.mark.parametrize("name", TEXTS)
def test_words_of_the_text_itself_change_nothing(name, clip, replaced):
    text, at = TEXTS[name]
    if not at:
        ids = [token for token, *_ in clip.tokenize(text)["l"][1]]
        at = ids.index(F)
        assert ids[at + 1] == L
    assert (replaced(clip, text, at) - plain(clip, text)).abs().max() < BOUND


@pytest.mark.parametrize("layer", [-2, -3])
def test_clip_skip_is_comfyuis(layer, clip, replaced):
    (skipped,) = core.CLIPSetLastLayer().set_last_layer(clip, layer)
    found = replaced(skipped, "photo of f l", 3)
    assert (found - plain(skipped, "photo of f l")).abs().max() < BOUND
    assert (found - plain(clip, "photo of f l")).abs().max() > 0.01


def test_a_lora_on_the_clip_works(clip, prompt, replaced):
    key = "lora_te_text_model_encoder_layers_3_mlp_fc1"
    lora = {
        f"{key}.lora_up.weight": random(3072, 4, seed=3) * 0.1,
        f"{key}.lora_down.weight": random(4, 768, seed=4) * 0.1,
        f"{key}.alpha": torch.tensor(4.0),
    }
    _, changed = comfy.sd.load_lora_for_models(None, clip, lora, 0.0, 1.0)
    text = "photo of f l"
    assert (replaced(changed, text, 3) - plain(changed, text)).abs().max() < BOUND
    with_lora, without = prompt(text, clip=changed), prompt(text)
    assert (with_lora - without).abs().max() > 0.01
    assert torch.equal(prompt(text), without)


def test_a_merge_of_clips_moves_the_positions_too(clip, replaced):
    other = clip.clone()
    other.add_patches(
        {f"{EMBEDDINGS}.position_embedding.weight": ("diff", (random(77, 768, seed=5) * 0.1,))}
    )
    text = "a photo of f l"
    assert (replaced(other, text, 4) - plain(other, text)).abs().max() < BOUND
    assert (plain(other, text) - plain(clip, text)).abs().max() > 0.001


def test_the_person_changes_only_what_follows(clip, prompt):
    found, text = prompt("a photo of f l in a park"), plain(clip, "a photo of f l in a park")
    assert torch.equal(found[:4], text[:4])  # causal
    assert ((found - text)[4:].abs().amax(-1) > 1e-3).all()


def test_a_weight_moves_the_two_rows_as_comfyui_weighs_all(clip, prompt):
    found, one = prompt("a photo of (f l:1.3) now"), prompt("a photo of f l now")
    empty = plain(clip, "")
    expected = one.clone()
    expected[4:6] = (one - empty)[4:6] * 1.3 + empty[4:6]
    assert (found - expected).abs().max() < BOUND


def test_a_pair_between_two_chunks_moves_on_like_a_short_group(clip, prompt):
    dogs = "dog " * 74
    ids = [[token for token, *_ in chunk] for chunk in clip.tokenize(dogs + "f l runs")["l"]]
    assert ids[0][75] == F and ids[1][1] == L
    found = prompt(dogs + "f l runs")
    assert found.shape == (154, 768)
    # with an own weight of 1 the tokenizer keeps the two together by itself
    assert (found - prompt(dogs + "(f l:1.0) runs")).abs().max() < BOUND


def test_two_people_are_two_pairs_of_words(clip, anna, bert, prompt, text_room):
    text = "f l and m n shaking hands"
    ids = [token for token, *_ in clip.tokenize(text)["l"][0]]
    m, n = ids[4:6]
    people = [
        text_room.Person("f l", as_text(clip, [(F, 1), (L, 2)])),
        text_room.Person("m n", as_text(clip, [(m, 4), (n, 5)])),
    ]
    found = text_room.encode_text(clip, text, people)[0][0][0]
    assert (found - plain(clip, text)).abs().max() < BOUND
    both = prompt(text, identity_2=bert)
    swapped = prompt(text, identity=bert, identity_2=anna)
    alone = prompt(text)
    assert torch.equal(both[:4], alone[:4]) and (both - alone)[4:].abs().amax() > 1e-3
    assert (both - swapped)[1:].abs().amax() > 1e-3
    named = prompt("f l and anna bert", identity_2=bert, placeholder_2="anna bert")
    assert named.shape == (77, 768)


def test_the_clip_is_not_changed(clip, prompt):
    before = plain(clip, "a photo of f l")
    patches, key = dict(clip.patcher.patches), clip.patcher.patches_uuid
    weights = {k: t.clone() for k, t in list(clip.patcher.model.state_dict().items())[:4]}
    for _ in range(2):
        prompt("a photo of (f l:1.3)")
    assert torch.equal(plain(clip, "a photo of f l"), before)
    assert (clip.patcher.patches, clip.patcher.patches_uuid) == (patches, key)
    assert all(torch.equal(clip.patcher.model.state_dict()[k], t) for k, t in weights.items())


def test_every_placeholder_can_be_the_person(prompt):
    text = "f l and f l shaking hands"
    first, every = prompt(text), prompt(text, occurrences="every")
    assert torch.equal(first[:4], every[:4]) and (first - every).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("tokenizer", "family"),
    [
        (comfy.sd.sdxl_clip.SDXLTokenizer, "of SDXL"),
        (comfy.text_encoders.sd2_clip.SD2Tokenizer, "of SD 2"),
    ],
)
def test_other_families_are_refused(tokenizer, family, clip, prompt):
    other = clip.clone()
    other.tokenizer = tokenizer()
    with pytest.raises(ValueError, match=f"This CLIP is {family}.*of an SD 1.4 or 1.5"):
        prompt("photo of f l", clip=other)


@pytest.mark.parametrize(
    ("text", "inputs", "words"),
    [
        ("a photo of a man", {}, "The text has no placeholder 'f l'"),
        ("a photo of f", {}, "The text has no placeholder 'f l'"),
        ("photo of me", {"placeholder": "me"}, "'me' is 1 tokens for CLIP"),
        ("photo of f l", {"placeholder": ""}, "'' is 0 tokens for CLIP"),
        ("photo of f l", {"placeholder": "f l m"}, "'f l m' is 3 tokens for CLIP"),
        ("f l and m n", {"placeholder_2": "F  L"}, "Two people have the placeholder 'F L'"),
        ("f l alone", {"placeholder_2": "m n"}, "The text has no placeholder 'm n'"),
    ],
)
def test_placeholders_that_cannot_be_used_are_told(text, inputs, words, prompt, bert):
    second = {"identity_2": bert} if "placeholder_2" in inputs else {}
    with pytest.raises(ValueError, match=words):
        prompt(text, **inputs, **second)


def test_a_checkpoint_without_clip_is_told(node, anna):
    with pytest.raises(ValueError, match="clip input is empty"):
        node("TextEncode", clip=None, text="f l", identity=anna)


def test_photos_of_one_person_are_averaged_by_weight(encode, anna, bert, node):
    both, faces = encode(torch.cat([photo(1), photo(2)]))
    assert faces.shape == (2, 112, 112, 3)
    assert torch.allclose(both.vector, (anna.vector + bert.vector) / 2, atol=1e-5)
    assert len(both.likeness) == 2 and 0 < both.spread < 1 and "2 photos, spread" in str(both)
    cosine = torch.cosine_similarity(anna.vector, both.vector, dim=0)
    assert both.likeness[0] == pytest.approx(float(cosine), abs=1e-5)
    weighted, _ = encode(photo(1), photo(2)[:, 64:576], weights="3, 1")
    assert torch.allclose(weighted.vector, anna.vector * 0.75 + bert.vector * 0.25, atol=1e-3)
    (half,) = node("Blend", identity_1=anna, identity_2=bert, factor=0.5)
    assert torch.allclose(half.words, both.words, atol=1e-5)
    assert (half.words - anna.words).abs().max() > 1e-3


def test_the_face_is_chosen_as_in_crop_faces(encode, anna):
    two = photo(1)
    two[:, 256:272, 512:528] = torch.tensor([0.0, 0.0, 1.0])  # a smaller one, further right
    assert torch.equal(encode(two)[0].vector, anna.vector)
    other = encode(two, order="right to left")[0]
    assert not torch.allclose(other.vector, anna.vector, atol=1e-3)
    assert torch.equal(encode(two, order="right to left", index=1)[0].vector, anna.vector)


def test_an_expression_moves_the_words(encode, anna):
    numbers = ", ".join(str(v) for v in np.linspace(-2, 2, 64))
    smiling = encode(photo(1), expression=numbers)[0]
    assert torch.equal(smiling.vector, anna.vector)
    assert (smiling.words - anna.words).abs().max() > 1e-4
    assert torch.equal(
        encode(photo(1), expression=numbers, expression_strength=0.0)[0].words, anna.words
    )


def test_what_cannot_be_encoded_is_told(encode, pack, run_node):
    empty = torch.zeros(1, 256, 256, 3)
    with pytest.raises(
        ValueError, match=r"no face found by detector 'yunet'.*'if_no_face' to 'skip'\.$"
    ):
        encode(empty)
    with pytest.raises(ValueError, match=r"every photo was skipped \(1 of 1\)"):
        encode(empty, if_no_face="skip")
    assert len(encode(empty, photo(1), if_no_face="skip")[0].crops) == 1
    with pytest.raises(ValueError, match="weights has 3 numbers for 1 faces"):
        encode(photo(1), weights="1 2 3")
    with pytest.raises(ValueError, match="expression should be 64 numbers"):
        encode(photo(1), expression="1 2")
    (lbp,) = run_node(pack["FlashFaceDetectorLoader"], detector="lbp")
    import skimage.data

    astronaut = torch.from_numpy(skimage.data.astronaut().astype(np.float32) / 255)[None]
    with pytest.raises(ValueError, match=r"'lbp' finds no eyes.*insightface or yunet"):
        encode(astronaut, detector=lbp)


def test_swapped_files_are_told_by_the_loader(models, node):
    names = ("mapping_standin.pt", "msid_standin.pt")
    with pytest.raises(ValueError, match="Swap the two files"):
        node("ModelLoader", msid_name=names[0], mapping_name=names[1])


@pytest.mark.parametrize("dtype", ["fp16", "bf16", "fp32"])
def test_storage_dtypes(dtype, models, f2d, node):
    names = {"msid_name": "msid_standin.pt", "mapping_name": "mapping_standin.pt"}
    (other,) = node("ModelLoader", **names, weight_dtype=dtype)
    wanted = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}[dtype]
    for patcher in other.get_models():
        assert {weight.dtype for weight in patcher.model.parameters()} == {wanted}
    x = random(1, 3, 112, 112, seed=6).clamp(-1, 1)
    vector, expected = other.vectors(x), f2d.vectors(x)
    assert vector.dtype == torch.float32
    assert (vector - expected).abs().max() < (0.2 if dtype == "bf16" else 1e-5)


def test_comfyui_can_load_a_network_anew(f2d):
    for patcher in f2d.get_models():
        factory, arguments = patcher.cached_patcher_init
        again = factory(*arguments, disable_dynamic=True)
        weights = again.model.state_dict()
        assert all(torch.equal(t.cpu(), weights[k]) for k, t in patcher.model.state_dict().items())


def test_identities_are_saved_and_loaded(models, f2d, anna, node, pack, tmp_path, monkeypatch):
    folder = models / "face2diffusion_identities"
    kind = folder_paths.folder_names_and_paths[folder.name]
    monkeypatch.setitem(
        folder_paths.folder_names_and_paths, folder.name, ([*kind[0], str(tmp_path)], kind[1])
    )
    (tmp_path / "bert.safetensors").write_bytes(b"somebody else")
    node("SaveIdentity", identity=anna, name="anna")
    try:
        (back,) = node("LoadIdentity", face2diffusion=f2d, identity_name="anna.safetensors")
        assert torch.equal(back.words, anna.words) and torch.equal(back.crops, anna.crops)
        key = pack["Face2DiffusionLoadIdentity"].fingerprint_inputs("anna.safetensors")
        assert len(key) == 64
        node("SaveIdentity", identity=anna, name="bert")
        assert (folder / "bert_00002.safetensors").is_file(), "another folder has that name"
    finally:
        for file in folder.glob("*"):
            file.unlink()


@pytest.fixture(scope="module")
def flashface(models: Path, pack, run_node) -> tuple[Any, Callable[..., Any]]:
    """The stand-in FlashFace MODEL, and `apply(strength)`, the same with a reference."""
    model, flashface = run_node(
        pack["FlashFaceModelLoader"],
        model_name="flashface_standin.safetensors",
        weight_dtype="fp32",
    )
    make_reference = pack_module("flashface_core.flashface.reference").make_reference
    reference = make_reference(random(2, 4, 8, 8, seed=20), random(1, 77, 768, seed=1), 4)

    def apply(strength: float) -> Any:
        return run_node(
            pack["FlashFaceApply"],
            model=model,
            flashface=flashface,
            reference=reference,
            strength=strength,
        )[0]

    return model, apply


def test_flashface_guidance_beside_it_is_the_formula(flashface, clip, prompt, pack, run_node):
    _, apply = flashface
    positive, negative = cond(prompt("f l in a park")[None]), cond(plain(clip, "blurry")[None])
    x, t, cfg, c = random(1, 4, 8, 8, seed=10), 500, 7.0, 3.2
    y, u = (evaluate(guider(apply(0.0), one, None, 1.0), x, t) for one in (positive, negative))
    r = evaluate(guider(apply(1.2), positive, None, 1.0), x, t)
    (guided,) = run_node(
        pack["FlashFaceGuidance"],
        model=apply(1.2),
        reference_guidance=c,
        launch_percent=0.25,
        strength_before_launch=0.85,
        rescale=0.0,
    )
    found = evaluate(guider(guided, positive, negative, cfg), x, t)
    expected = u + cfg * (y - u) + c * (r - y)
    assert (found - expected).abs().max() < 1e-5 * expected.abs().max()
    assert (r - y).abs().max() > 1e-3


def test_cfg_takes_it_for_an_ordinary_prompt(flashface, clip, prompt):
    model, _ = flashface
    positive, negative = cond(prompt("(f l:1.3)")[None]), cond(plain(clip, "")[None])
    x = random(1, 4, 8, 8, seed=11)
    p, n = (evaluate(guider(model, one, None, 1.0), x, 500) for one in (positive, negative))
    found = evaluate(guider(model, positive, negative, 7.0), x, 500)
    assert (found - (n + 7 * (p - n))).abs().max() < 1e-5 * found.abs().max()


def test_sampling_as_the_authors_do(flashface, clip, anna, bert, node):
    model, _ = flashface

    def sample(person: Any) -> torch.Tensor:
        (positive,) = node("TextEncode", clip=clip, text="f l", identity=person)
        negative = clip.encode_from_tokens_scheduled(clip.tokenize(""))
        latent = {"samples": torch.zeros(1, 4, 8, 8)}
        settings = (0, 2, 7.0, "euler_ancestral", "normal", positive, negative, latent)
        return core.common_ksampler(model, *settings)[0]["samples"]

    pictures = [sample(person) for person in (anna, bert)]
    assert all(torch.isfinite(picture).all() for picture in pictures)
    assert (pictures[0] - pictures[1]).abs().max() > 1e-4


def test_conditioning_nodes_of_comfyui_take_it(clip, anna, node):
    (made,) = node("TextEncode", clip=clip, text="photo of f l", identity=anna)
    (ranged,) = core.ConditioningSetTimestepRange().set_range(made, 0.1, 0.9)
    assert ranged[0][1]["start_percent"] == 0.1 and "pooled_output" in ranged[0][1]
    (joined,) = core.ConditioningConcat().concat(made, made)
    assert joined[0][0].shape == (1, 154, 768)
