"""What changed for saved workflows since another version: `python3 scripts/node_diff.py REF`.

Compares the nodes' contract (ids, inputs, types, defaults, outputs) of a git commit, branch or tag
with that of the working tree. Fails if anything that workflows rely on is gone or has changed.
The tests hold that file, tests/integration/frozen_contract.json, equal to the nodes.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

PACK = Path(__file__).absolute().parent.parent
sys.path.append(str(PACK / "tests" / "helpers"))

from contract import FILE, Json, broken_promises, frozen  # noqa: E402


def contract_at(ref: str) -> Json:
    """The contract in a git commit, an empty one if the commit has none."""
    name = FILE.relative_to(PACK).as_posix()
    git = ["git", "-C", str(PACK)]
    known = [*git, "rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}"]
    subprocess.run(known, check=True, stdout=subprocess.DEVNULL)
    shown = subprocess.run([*git, "show", f"{ref}:{name}"], capture_output=True, text=True)
    return json.loads(shown.stdout) if shown.returncode == 0 else {}


def additions(old: Json, new: Json) -> list[str]:
    """What the new contract has and the old one lacks: nodes, and inputs of nodes."""
    found = [f"{node_id} is new" for node_id in new if node_id not in old]
    for node_id in new.keys() & old.keys():
        names = new[node_id]["inputs"].keys() - old[node_id]["inputs"].keys()
        found += [f"{node_id}.inputs.{name} is new" for name in names]
    return sorted(found)


def main() -> int:
    """Print the differences; 1 if something is broken."""
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        old = contract_at(sys.argv[1])
    except subprocess.CalledProcessError:
        print(f"error: git knows no commit, branch or tag {sys.argv[1]}", file=sys.stderr)
        return 2
    new = frozen()
    broken = broken_promises(old, new)
    for line in (*additions(old, new), *(f"BROKEN: {line}" for line in broken)):
        print(line)
    print(f"{len(old)} nodes before, {len(new)} now, {len(broken)} broken promises")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
