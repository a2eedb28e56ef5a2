"""Trains FaceSnap's small networks: python -m training.facesnap RECIPE [KEY=VALUE ...]

Stages, each of which goes on where it stopped: landmarks (model and network), encoder, control
(mixer and FFRNet on the embedded model's plain UNet), ablations, evidence.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ..config import ConfigError, load_config
from .course import STAGES, run_stages
from .settings import FaceSnapConfig


def main() -> int:
    """Run the stages; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m training.facesnap", description=__doc__)
    parser.add_argument("config", type=Path, help="such as training/configs/facesnap-people.toml")
    parser.add_argument("changes", nargs="*", metavar="KEY=VALUE")
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=list(STAGES))
    options = parser.parse_intermixed_args()
    try:
        config = load_config(options.config, options.changes, FaceSnapConfig)
        run_stages(config, options.stages)
    except (ConfigError, FileNotFoundError, ValueError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    except KeyboardInterrupt as stopped:
        sys.stderr.write(f"{stopped}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
