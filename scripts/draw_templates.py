"""Paint the templates' thumbnails: `python3 scripts/draw_templates.py`, after make_workflows.py.

The model that comes with the pack paints what each template shows, through the real server:
workflows/NAME.jpg, which ComfyUI shows under Templates, and docs/images/first.jpg for the README.
Where it cannot run a template, a diagram says what that does. Names as arguments paint only these.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path

from setup.comfy_server import ComfyServer, ServerError
from setup.environment import SetupError, say
from setup.host import PACK, Host, comfyui_version, find_host
from templates.paintings import DIAGRAMS, PAINTINGS
from trial import small

QUALITY = 86


def main() -> int:
    """Paint with the host's Python, which has Pillow; 0 on success."""
    try:
        names = sys.argv[1:]
        if not (names and Path(names[0]).is_dir()):
            found = find_host()
            command = [str(found.python), __file__, str(found.root), *names]
            return subprocess.run(command).returncode
        if importlib.util.find_spec("PIL") is None:
            raise SetupError(f"{sys.executable} has no Pillow: pip install pillow")
        root = Path(names[0])
        wanted = names[1:] or [*DIAGRAMS, *PAINTINGS]
        host = Host(root, Path(sys.executable), comfyui_version(root), prepared=True)
        with tempfile.TemporaryDirectory(prefix="flashface-pictures-") as name:
            base = Path(name)
            with ComfyServer(host, base) as server:
                paint(host, base, server, wanted)
    except (SetupError, ServerError) as error:
        say(f"error: {error}")
        return 1
    return 0


def paint(host: Host, base: Path, server: ComfyServer, names: list[str]) -> None:
    """Write the thumbnails of these templates; with that of the first one the README's picture."""
    from templates.thumbnails import diagram, painted

    for name in names:
        file = PACK / "workflows" / f"{name}.jpg"
        if name in DIAGRAMS:
            picture = diagram(DIAGRAMS[name])
        else:
            picture = painted(server, name, PAINTINGS[name])
        picture.save(file, quality=QUALITY, optimize=True)
        say(str(file.relative_to(PACK)))
    if "1_start_here" in names:
        target = PACK / "docs" / "images" / "first.jpg"
        prompt, saved = small.workflow(None, None, None)
        entry = server.queue(prompt, 600)
        photos = small.photos_of(prompt, None)
        small.draw_sheet(host, base, server, entry, saved, photos, target)
        say(str(target.relative_to(PACK)))


if __name__ == "__main__":
    sys.exit(main())
