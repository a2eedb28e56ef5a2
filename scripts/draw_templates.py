"""Draw the example workflows: `python3 scripts/draw_templates.py`, after make_workflows.py.

Opens each in a browser on the real front end and saves the drawn graph: workflows/NAME.jpg, which
ComfyUI shows under Templates, and docs/images/flashface_basic.png with the nodes' own previews.
Names as arguments draw only the thumbnails of these.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path

from setup.comfy_server import ComfyServer, ServerError
from setup.environment import SetupError, say
from setup.host import Host, comfyui_version, find_host
from standins.flashface import standin_models
from templates.models import place_control, place_named
from templates.pictures import draw


def main() -> int:
    """Draw with the host's Python, which has Playwright and Pillow; 0 on success."""
    try:
        names = sys.argv[1:]
        if not (names and Path(names[0]).is_dir()):
            found = find_host(tools=True)
            command = [str(found.python), __file__, str(found.root), *names]
            return subprocess.run(command).returncode
        if importlib.util.find_spec("playwright") is None:
            raise SetupError(f"{sys.executable} has no Playwright: pip install playwright")
        root = Path(names[0])
        with tempfile.TemporaryDirectory(prefix="flashface-pictures-") as name:
            base = Path(name)
            place_named(standin_models(), base / "models")
            place_control(base / "models")
            host = Host(root, Path(sys.executable), comfyui_version(root), prepared=True)
            with ComfyServer(host, base) as server:
                draw(server, base, names[1:])
    except (SetupError, ServerError) as error:
        say(f"error: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
