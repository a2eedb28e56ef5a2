"""python3 scripts/convert.py SRC DST --dtype fp16"""

from __future__ import annotations

import argparse
import contextlib
import sys
from pathlib import Path

# Windows' portable Python looks for modules in its own folders alone.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tqdm import tqdm

from flashface_core.files.weights import CheckpointError
from flashface_core.flashface.checkpoint.convert import DTYPES, convert


class Bar:
    """Shows progress on stderr, from the first weight on."""

    _bar: tqdm | None = None

    def __call__(self, done: int, total: int) -> None:
        if self._bar is None:
            self._bar = tqdm(total=total, unit=" weights", unit_scale=True, desc="converting")
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        """Leave the line to what is written next."""
        if self._bar is not None:
            self._bar.close()


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
    bar, dtype = Bar(), DTYPES[arguments.dtype]
    try:
        with contextlib.closing(bar):
            convert(arguments.source, arguments.target, dtype, arguments.overwrite, bar)
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
