"""python -m training.judges RECIPE [KEY=VALUE ...]: train the judges, then report on them."""

from __future__ import annotations

import sys

from .. import host
from .train import __doc__ as idea
from .train import train

if __name__ == "__main__":
    sys.exit(host.run_stage("judges", (idea or "").partition("\n")[0], train))
