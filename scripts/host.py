"""Find or prepare the host, a real ComfyUI with the Python that runs it.

python3 scripts/host.py                    # prints the ComfyUI folder and its Python
python3 scripts/host.py --comfyui 0.18.2   # always a prepared one, of that version
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

# Windows' portable Python looks for modules in its own folders alone.
sys.path.insert(0, str(Path(__file__).resolve().parent))

from setup.comfyui_source import SOURCES
from setup.environment import SetupError, say
from setup.host import find_host


def main() -> int:
    """Print the host's ComfyUI folder, its Python and its version, one a line."""
    parser = argparse.ArgumentParser(description="Find or prepare the host ComfyUI.")
    parser.add_argument("--comfyui", metavar="VERSION", choices=list(SOURCES))
    parser.add_argument("--tools", action="store_true", help="add pytest, ruff and pyright")
    options = parser.parse_args()
    try:
        host = find_host(options.comfyui, options.tools)
    except SetupError as error:
        say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        say("stopped; start again to go on")
        return 130
    say(f"ComfyUI {host.version}\nroot   {host.root}\npython {host.python}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
