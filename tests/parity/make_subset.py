"""Makes data/, the part of the golden data that is committed, from the full set.

    <host python> tests/parity/make_subset.py FULL_FOLDER

Geometry (group F) is kept as it lies there. What is chosen of the others covers every property at
least once: both configurations, batches, sizes, timesteps, masks and all cases with a note.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from safetensors.torch import load_file, save_file

DATA = Path(__file__).resolve().parent / "data"
LIMIT_BYTES = 5_000_000
# Timesteps x masks x batch x size of groups A and B: one of each pair, and every note.
SOME_OF_A_AND_B = (0, 1, 2, 5, 6, 9, 12, 17, 20, 27, 32, 34)
# Both sides of the launch, the first and the last timestep, one batch, and every note.
SOME_OF_D = (0, 1, 2, 3, 5, 9, 12, 13, 14)

Chosen = Callable[[dict], bool]


def numbered(numbers: Iterable[int]) -> Chosen:
    """Whether a case's number within its configuration is one of these."""
    return lambda case: int(case["id"].rsplit("-", 1)[1]) in numbers


def everything(case: dict) -> bool:
    """Choose every case."""
    return True


# Group -> cases, and the one output that the tests read (None for all).
GROUPS: dict[str, tuple[Chosen, str | None]] = {
    "A_tiny": (numbered(SOME_OF_A_AND_B), "out"),
    "A_full": (everything, "out"),
    "B_tiny": (numbered(SOME_OF_A_AND_B), "out"),
    "B_full": (everything, "out"),
    "C_tiny": (lambda case: case["id"] in ("C-open-tiny768-000", "C-open-tiny64-002"), None),
    "D_tiny": (numbered(SOME_OF_D), "eps"),
    "D_full": (everything, "eps"),
    "E_tiny": (everything, "x0_steps"),
    "G_schedule": (everything, None),
}


def make_group(full: Path, group: str, chosen: Chosen, output: str | None) -> None:
    """Write one group's chosen cases and the tensors that belong to them."""
    cases = [case for case in json.loads((full / f"{group}.json").read_text()) if chosen(case)]
    ids = {case["id"] for case in cases}
    tensors = {}
    for name, tensor in load_file(full / f"{group}.safetensors").items():
        owner, _, leaf = name.partition("/")
        if owner in ids and output in (None, leaf):
            tensors[name] = tensor
    lines = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)
    (DATA / f"{group}.json").write_text(f"[\n{lines}\n]\n")
    save_file(tensors, DATA / f"{group}.safetensors")


def main() -> int:
    """Make all groups; return the exit status."""
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    for group, (chosen, output) in GROUPS.items():
        make_group(Path(sys.argv[1]), group, chosen, output)
    total = sum(file.stat().st_size for file in DATA.iterdir())
    print(f"{total / 1e6:.2f} MB in {DATA}")
    return 0 if total <= LIMIT_BYTES else 1


if __name__ == "__main__":
    sys.exit(main())
