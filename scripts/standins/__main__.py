"""Put FlashFace's stand-ins into a models folder: `HOST_PYTHON scripts/standins MODELS_FOLDER`."""

from __future__ import annotations

import sys
from pathlib import Path

# Windows' portable Python looks for modules in its own folders alone.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from standins.flashface import place, standin_models

if len(sys.argv) != 2:
    sys.exit(__doc__)
place(standin_models(), Path(sys.argv[1]))
