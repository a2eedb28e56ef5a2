"""A saved reference comes back bit for bit; bad names and bad files are refused in plain words."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from flashface_core import drawing
from flashface_core.files.saved import (
    FLASHFACE_REFERENCE,
    LARGEST_BYTES,
    SavedFileError,
    checked_name,
    content_key,
)
from flashface_core.flashface.combine import combine_references
from flashface_core.flashface.features import FeatureCache
from flashface_core.flashface.reference import Identity, Reference, make_reference, make_thumbnails
from flashface_core.flashface.reference_file import load_reference, save_reference
from flashface_core.flashface.reference_sheet import reference_sheet


def person(seed: int, faces: int = 3, weight: float = 1.0, pictures: bool = True) -> Identity:
    random = torch.Generator().manual_seed(seed)
    return Identity(
        latents=torch.randn(faces, 4, 28, 28, generator=random),
        context=torch.randn(1, 77, 768, generator=random).to(
            [torch.float32, torch.float16, torch.bfloat16][seed % 3]
        ),
        log_weights=tuple(np.log(np.arange(1, faces + 1) / 3).tolist()),
        weight=weight,
        thumbnails=make_thumbnails(torch.rand(faces, 224, 224, 3, generator=random))
        if pictures
        else None,
    )


PEOPLE = Reference((person(0), person(1, 1, -0.1), person(2, 5, 1 / 3, pictures=False)))


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    return save_reference(PEOPLE, tmp_path, "people")[0]


def same(a: torch.Tensor | None, b: torch.Tensor | None) -> bool:
    if a is None or b is None:
        return a is b
    return a.dtype == b.dtype and torch.equal(a, b)


def test_a_round_trip_is_bit_exact(saved: Path) -> None:
    back = load_reference(saved)
    assert len(back.identities) == 3
    for was, now in zip(PEOPLE.identities, back.identities, strict=True):
        assert same(was.latents, now.latents) and same(was.context, now.context)
        assert same(was.thumbnails, now.thumbnails)
        assert (was.log_weights, was.weight) == (now.log_weights, now.weight)


def test_a_saved_person_is_small(tmp_path: Path) -> None:
    path, _ = save_reference(Reference((person(0, faces=4),)), tmp_path, "anna")
    assert path == tmp_path / "anna.safetensors" and path.stat().st_size < 500_000


def test_loaded_tensors_do_not_hang_on_the_file(saved: Path) -> None:
    back = load_reference(saved)
    saved.write_bytes(bytes(saved.stat().st_size))
    assert same(back.identities[0].latents, PEOPLE.identities[0].latents)


def test_tensors_that_people_share_are_saved_for_each(tmp_path: Path) -> None:
    twins = combine_references((PEOPLE, 0.5), (PEOPLE, 0.5))
    assert len(load_reference(save_reference(twins, tmp_path, "x")[0]).identities) == 6


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    first = Reference((person(1),))
    paths = [save_reference(first, tmp_path, "anna")]
    paths += [save_reference(Reference((person(seed),)), tmp_path, "anna") for seed in (2, 3)]
    names = ["anna.safetensors", "anna_00002.safetensors", "anna_00003.safetensors"]
    assert [(path.name, new) for path, new in paths] == [(name, True) for name in names]
    assert save_reference(Reference((person(2),)), tmp_path, "anna") == (paths[1][0], False)
    assert sorted(os.listdir(tmp_path)) == names


def test_a_name_is_free_only_where_no_listed_folder_has_it(tmp_path: Path) -> None:
    shared, own, more = (tmp_path / name for name in ("shared", "own", "more"))
    anna, beth, cleo = (Reference((person(seed),)) for seed in (1, 2, 3))
    in_shared, _ = save_reference(anna, shared, "anna")
    save_reference(beth, more, "anna_00002")
    listed = [shared, own, more, tmp_path / "not made"]
    path, new = save_reference(cleo, own, "anna", listed)
    assert (path, new) == (own / "anna_00003.safetensors", True), "no name loads somebody else"
    assert save_reference(cleo, own, "anna", listed) == (path, False)
    assert save_reference(anna, own, "anna", listed) == (in_shared, False), "it is listed already"
    assert save_reference(anna, own, "anna")[0] == own / "anna.safetensors"


def test_a_hidden_file_is_not_taken_for_the_one_that_loads(tmp_path: Path) -> None:
    shared, own = tmp_path / "shared", tmp_path / "own"
    anna, beth = (Reference((person(seed),)) for seed in (1, 2))
    save_reference(beth, own, "anna")
    save_reference(anna, shared, "anna")
    path, new = save_reference(beth, own, "anna", [shared, own])
    assert (path, new) == (own / "anna_00002.safetensors", True)


def test_a_failed_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(SavedFileError, match=r"could not be saved in .*No space left"):
        save_reference(PEOPLE, tmp_path, "anna")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("anna", "anna"),
        ("  Ms. Anna (2).safetensors ", "Ms. Anna (2)"),
        ("アンナ", "アンナ"),
        ("Ąnna ö 🙂", "Ąnna ö 🙂"),
        ("A\u0308nna", "\u00c4nna"),
        ("console", "console"),
        ("a..b", "a..b"),
    ],
)
def test_good_names(tmp_path: Path, name: str, stem: str) -> None:
    assert checked_name(name) == stem
    path, _ = save_reference(Reference((person(0, 1),)), tmp_path, name)
    assert path == tmp_path / f"{stem}.safetensors" and load_reference(path)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "it is empty"),
        ("   ", "it is empty"),
        (".", "it is empty"),
        ("..", "it is empty"),
        (".safetensors", "it is empty"),
        ("../x", "it contains /"),
        ("..\\x", r"it contains \\"),
        ("/etc/passwd", "it contains /"),
        ("C:\\x", r"it contains : \\"),
        ("file:stream", "it contains :"),
        ("a\0b", r"it contains U\+0000"),
        ("a\nb", r"it contains U\+000A"),
        ("a\u202egnp", r"it contains U\+202E"),
        ("\udc80", r"it contains U\+DC80"),
        ("what?*", r"it contains \* \?"),
        (".hidden", "it starts or ends with a dot"),
        ("x.", "it starts or ends with a dot"),
        ("CON", "Windows keeps it for a device"),
        ("con.safetensors", "Windows keeps it for a device"),
        ("nul .txt", "Windows keeps it for a device"),
        ("LPT¹", "Windows keeps it for a device"),
        ("x" * 400, r"it is too long \(400 bytes, at most 180\)"),
        ("ö" * 91, r"it is too long \(182 bytes"),
    ],
)
def test_bad_names(tmp_path: Path, name: str, reason: str) -> None:
    with pytest.raises(SavedFileError, match=reason):
        save_reference(PEOPLE, tmp_path, name)
    assert os.listdir(tmp_path) == []


def changed(path: Path, metadata: dict | None = None, **tensors: torch.Tensor | None) -> Path:
    """The file with some tensors (`_` for the dot) put in, or taken out where None."""
    content = load_file(path)
    for name, tensor in tensors.items():
        key = name[1:].replace("_", ".", 1)
        content.pop(key, None)
        if tensor is not None:
            content[key] = tensor
    save_file(content, path, metadata if metadata is not None else {FLASHFACE_REFERENCE.key: "1"})
    return path


BAD_TENSORS = [
    {"_0_latents": None},
    {"_1_weight": None},
    {"_0_latents": torch.zeros(3, 5, 28, 28)},
    {"_0_latents": torch.zeros(3, 4, 28)},
    {"_0_latents": torch.zeros(0, 4, 28, 28)},
    {"_0_latents": torch.zeros(3, 4, 28, 28, dtype=torch.int8)},
    {"_0_latents": torch.full((3, 4, 28, 28), float("nan"))},
    {"_0_latents": torch.zeros(())},
    {"_0_context": torch.zeros(2, 77, 768)},
    {"_0_context": torch.full((1, 77, 768), float("inf"))},
    {"_0_log_weights": torch.zeros(2, dtype=torch.float64)},
    {"_0_log_weights": torch.full((3,), float("-inf"), dtype=torch.float64)},
    {"_0_weight": torch.zeros(1, dtype=torch.float64)},
    {"_0_weight": torch.tensor(float("nan"), dtype=torch.float64)},
    {"_0_thumbnails": torch.zeros(3, 96, 96, dtype=torch.uint8)},
    {"_0_thumbnails": torch.zeros(2, 96, 96, 3, dtype=torch.uint8)},
    {"_0_thumbnails": torch.zeros((), dtype=torch.uint8)},
    {"_9999_latents": torch.zeros(1)},
    {"_x_latents": torch.zeros(1)},
    {"_0_more": torch.zeros(1)},
]


@pytest.mark.parametrize("tensors", BAD_TENSORS, ids=lambda t: next(iter(t)))
def test_files_with_other_tensors_are_refused(saved: Path, tensors: dict) -> None:
    with pytest.raises(SavedFileError, match=r"is not a saved FlashFace reference: its? "):
        load_reference(changed(saved, **tensors))


def test_a_newer_version_is_refused(saved: Path) -> None:
    with pytest.raises(SavedFileError) as error:
        load_reference(changed(saved, {FLASHFACE_REFERENCE.key: "2"}))
    assert str(error.value) == (
        "people.safetensors is a saved reference of version '2'; this pack reads version 1. Update "
        "the pack, or save the reference again with this one."
    )


def test_other_safetensors_are_refused(saved: Path) -> None:
    with pytest.raises(SavedFileError, match="its metadata lack 'flashface_reference'"):
        load_reference(changed(saved, {"format": "pt"}))


@pytest.mark.parametrize("share", [0.0, 0.00001, 0.0005, 0.5, 0.999])
def test_a_file_that_was_cut_off_is_refused(saved: Path, share: float) -> None:
    content = saved.read_bytes()
    saved.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(SavedFileError, match=r"people.safetensors cannot be read: .*damaged"):
        load_reference(saved)


def test_a_pickle_is_refused_and_not_run(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "evil"),)

    path = tmp_path / "x.safetensors"
    path.write_bytes(pickle.dumps(Evil()))
    with pytest.raises(SavedFileError, match="cannot be read"):
        load_reference(path)
    torch.save({"x": Evil()}, path)
    with pytest.raises(SavedFileError, match="cannot be read"):
        load_reference(path)
    assert not (tmp_path / "evil").exists()


def test_missing_files_and_folders_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nothing.safetensors"):
        with pytest.raises(SavedFileError, match="cannot be read"):
            load_reference(path)


@pytest.mark.parametrize("seed", range(150))
def test_damage_anywhere_is_refused_or_harmless(tmp_path: Path, seed: int) -> None:
    path, _ = save_reference(Reference((person(seed, 1),)), tmp_path, "x")
    random = np.random.RandomState(seed)
    content = bytearray(path.read_bytes())
    end = 700 if seed % 2 else len(content)  # the header is where it hurts
    for position in random.randint(0, end, random.randint(1, 6)):
        content[position] = random.randint(256)
    path.write_bytes(content)
    try:
        reference = load_reference(path)
    except SavedFileError as error:
        assert str(error).startswith("x.safetensors ")
    else:
        (identity,) = reference.identities
        assert torch.isfinite(identity.latents).all() and identity.latents.shape[1] == 4


def test_content_tells_files_apart_and_large_ones_are_not_read(tmp_path: Path) -> None:
    first, same, other = (tmp_path / f"{i}.safetensors" for i in range(3))
    for file, content in ((first, b"anna"), (same, b"anna"), (other, b"anne")):
        file.write_bytes(content)
    assert content_key(first) == content_key(same) != content_key(other)
    with other.open("r+b") as file:
        file.truncate(LARGEST_BYTES + 1)  # holds no data on the disk
    status = other.stat()
    assert content_key(other) == f"{LARGEST_BYTES + 1} {status.st_mtime_ns}"


def test_combining_multiplies_weights_and_shares_features() -> None:
    mixed = combine_references((PEOPLE, 0.5), (Reference((person(5, weight=2.0),)), -0.25))
    assert [i.weight for i in mixed.identities] == [0.5, -0.05, 0.5 / 3, -0.5]
    for was, now in zip(PEOPLE.identities, mixed.identities, strict=False):
        assert now.features is was.features and now.latents is was.latents
        assert isinstance(now.features, FeatureCache)


def test_combining_leaves_out_weight_0_but_not_everybody() -> None:
    assert len(combine_references((PEOPLE, 0.0), (PEOPLE, 1.0)).identities) == 3
    with pytest.raises(ValueError, match="nobody is left"):
        combine_references((PEOPLE, 0.0), (PEOPLE, 0.0))
    with pytest.raises(ValueError, match="has to be a finite number, got nan"):
        combine_references((PEOPLE, float("nan")), (PEOPLE, 1.0))


def test_combining_other_text_encoders_is_refused() -> None:
    other = make_reference(torch.zeros(1, 4, 28, 28), torch.zeros(1, 77, 1024), 4)
    with pytest.raises(ValueError, match=r"token widths 768 and 1024\)"):
        combine_references((PEOPLE, 1.0), (other, 1.0))


def test_thumbnails_are_small_copies() -> None:
    left = torch.zeros(2, 224, 224, 3)
    left[:, :, :112] = 1
    small = make_thumbnails(left)
    assert small.shape == (2, 96, 96, 3) and small.dtype == torch.uint8
    assert small[:, :, :47].min() == 255 and small[:, :, 49:].max() == 0


def test_names_in_other_scripts_can_be_read() -> None:
    titles = "\u5b89\u5a1c", "\u5a1c\u5b89"
    if drawing.broad_font(frozenset(titles[0]), 24) is None:
        pytest.skip("this system has no font with Chinese characters")
    one, other = (reference_sheet(PEOPLE, title).tobytes() for title in titles)
    assert one != other, "both are empty boxes"


@pytest.mark.parametrize("faces", [1, 4, 8, 30])
def test_the_sheet_shows_everybody(faces: int) -> None:
    sheet = reference_sheet(Reference((person(0, faces), person(1, 1))), "Saved as anna")
    assert sheet.mode == "RGB" and sheet.height > 2 * 112 and sheet.width >= 360
