"""Which weights a FlashFace network of given sizes has, and their shapes.

SD1.5's topology: four levels of two residual blocks (three in the decoder), spatial transformers at
the first three levels and in the middle. Reference attention sits in the middle block and in the
decoder's nine transformers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ...files.weights import Shape

LEVELS_WITH_ATTENTION = 3
RES_BLOCKS = 2


@dataclass(frozen=True)
class Sizes:
    """Sizes that a checkpoint's tensors tell: channels of the first level, of the text, per
    level."""

    width: int
    text_width: int
    multipliers: tuple[int, ...] = (1, 2, 4, 4)
    channels: int = 4

    def __str__(self) -> str:
        return f"width {self.width}, text width {self.text_width}"


def reference_blocks(sizes: Sizes) -> dict[str, int]:
    """The SD names of the spatial transformers with reference attention and their channels.

    In the order in which the UNet runs them: middle block first, then decoder blocks 3 to 11.
    """
    blocks = {"middle_block.1": sizes.width * sizes.multipliers[-1]}
    for index, level in _decoder_levels(sizes):
        if level < LEVELS_WITH_ATTENTION:
            blocks[f"output_blocks.{index}.1"] = sizes.width * sizes.multipliers[level]
    return blocks


def feature_size(sizes: Sizes) -> float:
    """How many numbers the features of a face have, per pixel of its latent."""
    levels = [len(sizes.multipliers) - 1]  # the middle block's
    levels += [level for _, level in _decoder_levels(sizes) if level < LEVELS_WITH_ATTENTION]
    return sum(sizes.width * sizes.multipliers[level] / 4**level for level in levels)


def expected_shapes(sizes: Sizes) -> dict[str, Shape]:
    """Every name (see `keys`) that a checkpoint of these sizes holds, with its shape."""
    unet = dict(_unet(sizes))
    shapes = {f"unet.{name}": shape for name, shape in unet.items()}
    for name, shape in unet.items():
        if name.startswith(("input_blocks.", "output_blocks.")):
            shapes[f"referencenet.{name}"] = shape
    for block, channels in reference_blocks(sizes).items():
        for name, shape in _attention(f"reference_attention.{block}", channels, channels):
            shapes[name] = shape
    shapes["mask_conv.weight"] = (sizes.width, 1, 3, 3)
    return shapes


def _decoder_levels(sizes: Sizes) -> Iterator[tuple[int, int]]:
    index = 0
    for level in reversed(range(len(sizes.multipliers))):
        for _ in range(RES_BLOCKS + 1):
            yield index, level
            index += 1


def _unet(sizes: Sizes) -> Iterator[tuple[str, Shape]]:
    width, embedding = sizes.width, sizes.width * 4
    yield from _layer("time_embed.0", (embedding, width))
    yield from _layer("time_embed.2", (embedding, embedding))
    yield from _layer("input_blocks.0.0", (width, sizes.channels, 3, 3))
    skips, current, index = [width], width, 1
    for level, multiplier in enumerate(sizes.multipliers):
        for _ in range(RES_BLOCKS):
            yield from _block(f"input_blocks.{index}", current, width * multiplier, level, sizes)
            current = width * multiplier
            skips.append(current)
            index += 1
        if level < len(sizes.multipliers) - 1:
            yield from _layer(f"input_blocks.{index}.0.op", (current, current, 3, 3))
            skips.append(current)
            index += 1
    yield from _res_block("middle_block.0", current, current, embedding)
    yield from _transformer("middle_block.1", current, sizes.text_width)
    yield from _res_block("middle_block.2", current, current, embedding)
    for index, level in _decoder_levels(sizes):
        out = width * sizes.multipliers[level]
        yield from _block(f"output_blocks.{index}", current + skips.pop(), out, level, sizes)
        current = out
        if level > 0 and index % (RES_BLOCKS + 1) == RES_BLOCKS:
            position = 2 if level < LEVELS_WITH_ATTENTION else 1
            yield from _layer(f"output_blocks.{index}.{position}.conv", (out, out, 3, 3))
    yield from _layer("out.0", (width,))
    yield from _layer("out.2", (sizes.channels, width, 3, 3))


def _block(
    name: str, c_in: int, c_out: int, level: int, sizes: Sizes
) -> Iterator[tuple[str, Shape]]:
    yield from _res_block(f"{name}.0", c_in, c_out, sizes.width * 4)
    if level < LEVELS_WITH_ATTENTION:
        yield from _transformer(f"{name}.1", c_out, sizes.text_width)


def _layer(name: str, weight: Shape) -> Iterator[tuple[str, Shape]]:
    yield f"{name}.weight", weight
    yield f"{name}.bias", weight[:1]


def _res_block(name: str, c_in: int, c_out: int, embedding: int) -> Iterator[tuple[str, Shape]]:
    yield from _layer(f"{name}.in_layers.0", (c_in,))
    yield from _layer(f"{name}.in_layers.2", (c_out, c_in, 3, 3))
    yield from _layer(f"{name}.emb_layers.1", (c_out, embedding))
    yield from _layer(f"{name}.out_layers.0", (c_out,))
    yield from _layer(f"{name}.out_layers.3", (c_out, c_out, 3, 3))
    if c_in != c_out:
        yield from _layer(f"{name}.skip_connection", (c_out, c_in, 1, 1))


def _attention(name: str, channels: int, context: int) -> Iterator[tuple[str, Shape]]:
    yield f"{name}.to_q.weight", (channels, channels)
    yield f"{name}.to_k.weight", (channels, context)
    yield f"{name}.to_v.weight", (channels, context)
    yield from _layer(f"{name}.to_out.0", (channels, channels))


def _transformer(name: str, channels: int, text_width: int) -> Iterator[tuple[str, Shape]]:
    inner = f"{name}.transformer_blocks.0"
    yield from _layer(f"{name}.norm", (channels,))
    yield from _layer(f"{name}.proj_in", (channels, channels, 1, 1))
    yield from _attention(f"{inner}.attn1", channels, channels)
    yield from _attention(f"{inner}.attn2", channels, text_width)
    for norm in ("norm1", "norm2", "norm3"):
        yield from _layer(f"{inner}.{norm}", (channels,))
    yield from _layer(f"{inner}.ff.net.0.proj", (channels * 8, channels))
    yield from _layer(f"{inner}.ff.net.2", (channels, channels * 4))
    yield from _layer(f"{name}.proj_out", (channels, channels, 1, 1))
