"""Names and shapes of the tensors in the files that flashface.py makes.

`official_shapes` is the topology of FlashFace's released checkpoint as a function of its width, so
that a small file has the same 2142 names in the same order as the real one.
"""

from __future__ import annotations

from collections.abc import Iterator

Shape = tuple[int, ...]
Named = Iterator[tuple[str, Shape]]

MULTIPLES = (1, 2, 4, 4)


def _layer(name: str, *weight: int, bias: bool = True) -> Named:
    yield f"{name}.weight", weight
    if bias:
        yield f"{name}.bias", weight[:1]


def _res_block(name: str, into: int, out: int, time: int) -> Named:
    yield from _layer(f"{name}.layer1.0", into)
    yield from _layer(f"{name}.layer1.2", out, into, 3, 3)
    yield from _layer(f"{name}.embedding.1", out, time)
    yield from _layer(f"{name}.layer2.0", out)
    yield from _layer(f"{name}.layer2.3", out, out, 3, 3)
    if into != out:
        yield from _layer(f"{name}.shortcut", out, into, 1, 1)


def _attention(name: str, dim: int, context: int, first: bool = False) -> Named:
    for letter, width in (("q", dim), ("k", context), ("v", context)):
        yield from _layer(f"{name}.{letter}", dim, width, bias=False)
    yield from _layer(f"{name}.o", dim, dim)
    if first:
        yield from _attention(f"{name}.self_attn_first", dim, dim)


def _transformer(name: str, dim: int, context: int, reference: bool) -> Named:
    block = f"{name}.blocks.0"
    yield from _layer(f"{name}.norm1", dim)
    yield from _layer(f"{name}.conv1", dim, dim, 1, 1)
    yield from _layer(f"{block}.norm1", dim)
    yield from _attention(f"{block}.self_attn", dim, dim, first=reference)
    yield from _layer(f"{block}.norm2", dim)
    yield from _attention(f"{block}.cross_attn", dim, context)
    yield from _layer(f"{block}.norm3", dim)
    yield from _layer(f"{block}.ffn.0.proj", dim * 8, dim)
    yield from _layer(f"{block}.ffn.2", dim, dim * 4)
    yield from _layer(f"{name}.conv2", dim, dim, 1, 1)


def _encoder(name: str, width: int, context: int, channels: int) -> tuple[list, list[int]]:
    """The encoder's tensors, and the channel counts that its blocks hand to the decoder."""
    found = [*_layer(f"{name}.0", width, channels, 3, 3)]
    skips = [width]
    for level, multiple in enumerate(MULTIPLES):
        out = width * multiple
        for _ in range(2):
            block = f"{name}.{len(skips)}"
            found += _res_block(f"{block}.0", skips[-1], out, width * 4)
            if level < 3:
                found += _transformer(f"{block}.1", out, context, reference=False)
            skips.append(out)
        if level < 3:
            found += _layer(f"{name}.{len(skips)}", out, out, 3, 3)
            skips.append(out)
    return found, skips


def _middle(name: str, width: int, context: int, reference: bool) -> Named:
    dim = width * MULTIPLES[-1]
    yield from _res_block(f"{name}.0", dim, dim, width * 4)
    yield from _transformer(f"{name}.1", dim, context, reference)
    yield from _res_block(f"{name}.2", dim, dim, width * 4)


def _decoder(name: str, width: int, context: int, skips: list[int], reference: bool) -> Named:
    skips = list(skips)
    into = skips[-1]
    for index in range(12):
        level = 3 - index // 3
        out = width * MULTIPLES[level]
        yield from _res_block(f"{name}.{index}.0", into + skips.pop(), out, width * 4)
        if level < 3:
            yield from _transformer(f"{name}.{index}.1", out, context, reference)
        if index % 3 == 2 and level:
            yield from _layer(f"{name}.{index}.{2 if level < 3 else 1}.1", out, out, 3, 3)
        into = out


def official_shapes(width: int = 320, context: int = 768) -> dict[str, Shape]:
    """Names and shapes of the official checkpoint, in its order; width 320 gives the released one.

    `encoder`, `middle` and `decoder` repeat the `ori_*` tensors, as the released file does.
    """
    names: list[tuple[str, Shape]] = [*_layer("time_embedding.0", width * 4, width)]
    names += _layer("time_embedding.2", width * 4, width * 4)

    def encoder(name: str, channels: int) -> list[tuple[str, Shape]]:
        return _encoder(name, width, context, channels)[0]

    skips = _encoder("", width, context, 4)[1]
    names += encoder("encoder", 5)
    names += _middle("middle", width, context, True)
    names += _decoder("decoder", width, context, skips, True)
    names += [*_layer("head.0", width), *_layer("head.2", 4, width, 3, 3)]
    names += encoder("ref_encoder", 4)
    names += _decoder("ref_decoder", width, context, skips, False)
    names += _middle("ref_middle", width, context, False)
    names += encoder("ori_encoder", 5)
    names += _decoder("ori_decoder", width, context, skips, True)
    names += _middle("ori_middle", width, context, True)
    return dict(names)


def clip_shapes() -> dict[str, Shape]:
    """Names and shapes of CLIP-L's text model as SD1.5's text encoder files have them."""
    top = "text_model"
    names: list[tuple[str, Shape]] = [
        (f"{top}.embeddings.token_embedding.weight", (49408, 768)),
        (f"{top}.embeddings.position_embedding.weight", (77, 768)),
    ]
    # ComfyUI always builds twelve layers; with fewer in the file the others would be left unset.
    for index in range(12):
        layer = f"{top}.encoder.layers.{index}"
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            names += _layer(f"{layer}.self_attn.{part}", 768, 768)
        names += _layer(f"{layer}.layer_norm1", 768)
        names += _layer(f"{layer}.mlp.fc1", 3072, 768)
        names += _layer(f"{layer}.mlp.fc2", 768, 3072)
        names += _layer(f"{layer}.layer_norm2", 768)
    names += _layer(f"{top}.final_layer_norm", 768)
    return dict([*names, ("text_projection.weight", (768, 768))])


def vae_shapes() -> dict[str, Shape]:
    """Names and shapes of the small autoencoder (TAESD's format) that VAELoader reads too."""

    def half(name: str, first: int, last: int, inner: str, ends: tuple[Shape, Shape]) -> Named:
        yield from _layer(f"{name}.{first}", *ends[0])
        for index, kind in enumerate(inner, first + 1):
            if kind == "B":
                for conv in (0, 2, 4):
                    yield from _layer(f"{name}.{index}.conv.{conv}", 64, 64, 3, 3)
            elif kind == "c":
                yield from _layer(f"{name}.{index}", 64, 64, 3, 3, bias=False)
        yield from _layer(f"{name}.{last}", *ends[1])

    ends = ((64, 3, 3, 3), (4, 64, 3, 3))
    into = half("taesd_encoder", 0, 14, "BcBBBcBBBcBBB", ends)
    ends = ((64, 4, 3, 3), (3, 64, 3, 3))
    back = half("taesd_decoder", 1, 19, "-BBB-cBBB-cBBB-cB", ends)
    return {**dict(into), **dict(back), "vae_scale": (), "vae_shift": ()}
