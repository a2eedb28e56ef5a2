"""How long FaceSnap's landmarks take: `python3 benchmarks/landmarks.py`.

The fit of 72 points to a landmark model of 64 numbers, the network's look at a face, a prediction,
and the drawing, on the CPU with one thread. Medians of many calls, in milliseconds.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

PACK = Path(__file__).resolve().parents[1]
CALLS = 50


def main() -> None:
    """Measure in the prepared ComfyUI's Python."""
    if not _here():
        sys.path.append(str(PACK / "scripts"))
        from setup.host import find_host

        sys.exit(subprocess.run([find_host(tools=True).python, *sys.argv], cwd=PACK).returncode)
    sys.path.append(str(PACK))
    measure()


def _here() -> bool:
    try:
        import torch  # noqa: F401
    except ImportError:
        return False
    return True


def measure() -> None:
    """Print a row for each."""
    import numpy as np
    import torch
    from PIL import Image

    from flashface_core.faces.boxes import Box
    from flashface_core.facesnap.drawing import draw_landmarks
    from flashface_core.facesnap.finding import find_face, fitted
    from flashface_core.facesnap.landmark_file import load_landmark_model
    from flashface_core.facesnap.landmark_model import Pose
    from flashface_core.facesnap.outline import face_mask
    from flashface_core.facesnap.prediction import predict, turn

    torch.set_num_threads(1)
    file = load_landmark_model(PACK / "demo/facesnap-landmarks.npz")
    random, model = np.random.default_rng(0), file.model
    codes = (random.standard_normal(len(part)) for part in (model.shape, model.expression))
    pose = Pose(turn(30, 10, 5), 120.0, np.array([256.0, 256.0, 0.0]))
    points = pose.place(model.points(*codes)) + random.standard_normal((72, 3))
    face = fitted(model, points, (512, 512))
    picture = Image.fromarray(random.integers(0, 255, (512, 512, 3), np.uint8))
    tensor = torch.from_numpy(points)[None].float()
    rows: dict[str, Callable[[], object]] = {
        "fit of 72 points": lambda: fitted(model, points, (512, 512)),
        "network and fit, a face": lambda: find_face(file, picture, Box(128, 128, 384, 384)),
        "prediction": lambda: predict(model, face, face, 512, 512),
        "drawing, 512 x 512": lambda: draw_landmarks(tensor, 512, 512),
        "drawing, 1024 x 1024": lambda: draw_landmarks(tensor, 1024, 1024),
        "face mask, 1024 x 1024": lambda: face_mask(2 * points, 1024, 1024),
    }
    for name, run in rows.items():
        print(f"{name:26} {1000 * _time_of(run):8.2f} ms")


def _time_of(run: Callable[[], object]) -> float:
    run()
    times = []
    for _ in range(CALLS):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return median(times)


if __name__ == "__main__":
    main()
