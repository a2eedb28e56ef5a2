"""python3 scripts/convert.py SRC DST --dtype fp16"""

import argparse
import sys
from pathlib import Path

# Windows' portable Python looks for modules in its own folders alone.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tqdm import tqdm

from flashface_core.files.weights import CheckpointError
from flashface_core.flashface.checkpoint.convert import DTYPES, Progress, convert


def shown_by(bar: tqdm) -> Progress:
    """What keeps a bar at the numbers that it is told."""

    def progress(done: int, total: int) -> None:
        bar.total = total
        bar.update(done - bar.n)

    return progress


def main() -> int:
    """Convert a checkpoint from the command line; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python3 scripts/convert.py",
        description="Make a compact FlashFace checkpoint: 10.6 GB become 3.3 GB in fp16.",
    )
    parser.add_argument(
        "source", type=Path, help="official flashface.ckpt or flashface.safetensors"
    )
    parser.add_argument("target", type=Path, help="the .safetensors file to write")
    parser.add_argument("--dtype", choices=DTYPES, default="fp16", help="default: fp16")
    parser.add_argument("--overwrite", action="store_true", help="replace the target if it exists")
    arguments = parser.parse_args()
    dtype = DTYPES[arguments.dtype]
    try:
        with tqdm(unit=" weights", unit_scale=True, desc="converting") as bar:
            convert(arguments.source, arguments.target, dtype, arguments.overwrite, shown_by(bar))
    except (CheckpointError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("stopped; nothing was written\n")
        return 130
    sys.stderr.write(f"wrote {arguments.target}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
