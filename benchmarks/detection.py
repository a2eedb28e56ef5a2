"""How often the built-in detector takes the right face: `python3 benchmarks/detection.py`.

Drawn people, plain, behind sunglasses, behind a mask, and before a pattern, each with a badge on
the chest that a cascade takes for a face. Right is the face that Detect & Crop Faces takes by
default, if it overlaps the true box by 0.3 of both together.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

    from flashface_core.faces.boxes import Box

PACK = Path(__file__).resolve().parents[1]
KINDS = ("plain", "sunglasses", "mask", "pattern")
SIZE, RIGHT, THRESHOLD = 320, 0.3, 0.6
FIRST = 1_004_000  # held-out people whom nothing else is drawn from


def main() -> None:
    """Measure in the prepared ComfyUI's Python."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--each", type=int, default=50, help="pictures of a kind")
    parser.add_argument("--first", type=int, default=FIRST, help="the first person")
    parser.add_argument("--show", type=Path, help="folder for the pictures that went wrong")
    parser.add_argument("--seconds", action="store_true", help="what finding costs instead")
    given = parser.parse_args()
    if "numba" not in sys.modules and not _here():
        sys.path.append(str(PACK / "scripts"))
        from setup.host import find_host

        sys.exit(subprocess.run([find_host(tools=True).python, *sys.argv], cwd=PACK).returncode)
    if given.seconds:
        seconds(given.first)
    else:
        measure(given.each, given.first, given.show)


def _here() -> bool:
    from importlib.util import find_spec

    return all(find_spec(name) for name in ("numba", "scipy", "skimage"))


def measure(each: int, first: int, show: Path | None) -> None:
    """Print how many of each kind were right, and how many wrong ones a second face explains."""
    sys.path.append(str(PACK))
    from flashface_core.faces.choose import order_faces
    from flashface_core.faces.detection import load_detector

    detector, right, found = load_detector("lbp"), Counter[str](), Counter[str]()
    for kind in KINDS:
        for number in range(each):
            picture, truth = draw(kind, first + number)
            faces = [face for face in detector.detect(picture) if face.score >= THRESHOLD]
            boxes = [face.box for face in order_faces(faces, "largest", picture.size)]
            hits = [overlap(box, truth) > RIGHT for box in boxes]
            right[kind] += bool(hits and hits[0])
            found[kind] += any(hits)
            if show and not (hits and hits[0]):
                show.mkdir(parents=True, exist_ok=True)
                picture.save(show / f"{kind}-{first + number}.png")
        print(f"{kind:12} right {right[kind]:3} of {each}, among the found {found[kind]:3}")
    print(f"{'all':12} right {sum(right.values())} of {each * len(KINDS)}")


def seconds(first: int, times: int = 5) -> None:
    """Print what the network adds to the cascade's time, in photos of 1024 px, in turns."""
    sys.path.append(str(PACK))
    from flashface_core.faces.detection import face_net, lbp

    photos = [draw(kind, first)[0].resize((1024, 1024)) for kind in KINDS]
    runs = {"cascade": lbp._detect, "network": face_net.look, "both": lbp.LbpDetector().detect}
    best = dict.fromkeys(runs, float("inf"))
    for _ in range(times):
        for name, run in runs.items():
            began = time.perf_counter()
            for photo in photos:
                run(photo)
            best[name] = min(best[name], (time.perf_counter() - began) / len(photos))
    for name, took in best.items():
        print(f"{name:12} {took:.3f} s a photo, {took / best['cascade']:.2f} x the cascade")


def overlap(one: Box, other: Box) -> float:
    """Shared area over that of both together."""
    shared = one.overlap(other)
    return shared / (one.area + other.area - shared)


def draw(kind: str, seed: int) -> tuple[Image.Image, Box]:
    """A person of a kind, and the true box."""
    from dataclasses import replace

    import numpy as np
    from PIL import Image

    from flashface_core.faces.boxes import Box
    from training.people.identity import person
    from training.people.look import make_look, usual_wear
    from training.people.photo import take_photo
    from training.people.shot import KINDS as SHOTS
    from training.people.shot import draw_shot

    rng, p = np.random.default_rng([31, seed]), person(seed)
    years = float(rng.uniform(18, 75))
    worn = "sunglasses" if kind == "sunglasses" else "none" if kind == "mask" else p.glasses
    wear = replace(usual_wear(rng, p, years), glasses=worn)
    photo = take_photo(make_look(p, years, wear, 0), draw_shot(rng, SHOTS["portraits"]), SIZE)
    picture = Image.fromarray(photo.image)
    if kind == "pattern":
        behind = Image.fromarray(pattern(rng))
        picture = Image.composite(picture, behind, Image.fromarray(photo.mask[..., 2]))
    if kind == "mask":
        cover(picture, photo.landmarks, rng)
    badge(picture, photo.box, rng)
    return picture, Box(*map(float, photo.box))


def pattern(rng):
    """Checks, stripes or dots of two colours, (S, S, 3) uint8."""
    import numpy as np

    y, x = np.mgrid[:SIZE, :SIZE] // int(rng.integers(8, 28))
    on = ((x + y) % 2, x % 2, (x % 2) * (y % 2))[int(rng.integers(3))]
    return rng.integers(0, 256, (2, 3), dtype=np.uint8)[on]


def cover(picture: Image.Image, points, rng) -> None:
    """A mask over nose, mouth and chin, by the 72 landmarks."""
    from PIL import ImageDraw

    edge = [*points[2:15], points[28]]  # jaw from below the ears, and the bridge of the nose
    colour = tuple(int(c) for c in rng.integers(30, 250, 3))
    ImageDraw.Draw(picture).polygon([tuple(map(float, point)) for point in edge], fill=colour)


def badge(picture: Image.Image, box, rng) -> None:
    """A round badge below the face: a ring and a bar, as on the astronaut's suit."""
    from PIL import ImageDraw

    side = (box[2] - box[0]) * rng.uniform(0.25, 0.5)
    x = min(box[2], SIZE - side - 2)
    y = min(box[3] + 0.25 * side, SIZE - side - 2)
    pen, width = ImageDraw.Draw(picture), max(2, round(side / 12))
    inner = (x + side * 0.2, y + side * 0.2, x + side * 0.8, y + side * 0.8)
    pen.ellipse((x, y, x + side, y + side), fill=tuple(int(c) for c in rng.integers(60, 240, 3)))
    pen.ellipse(inner, outline="black", width=width)
    middle, thick = y + side * 0.45, side * 0.1
    pen.rectangle((x + side * 0.3, middle, x + side * 0.7, middle + thick), fill="black")


if __name__ == "__main__":
    main()
