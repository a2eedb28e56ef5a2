"""What workflows rely on: node ids, sockets, input names, types and defaults.

The agreed state lies in frozen_contract.json. After an addition that is meant to stay:

    FLASHFACE_FREEZE=1 python3 scripts/test.py tests/integration/test_pack.py

Nothing that is in the file can be taken out that way.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FILE = Path(__file__).parents[1] / "integration" / "frozen_contract.json"
LIMITS = ("default", "min", "max", "step", "multiselect")

Json = dict[str, Any]


def contract_of(pack: dict[str, type]) -> Json:
    """The contract of node classes by id."""
    return {node_id: _node(pack[node_id]) for node_id in sorted(pack)}


def frozen() -> Json:
    """The agreed contract, an empty one where there is none yet."""
    return json.loads(FILE.read_text()) if FILE.is_file() else {}


def freeze(found: Json) -> None:
    """Make a contract the agreed one. Raises AssertionError where it breaks what was agreed."""
    broken = broken_promises(frozen(), found)
    assert not broken, "\n".join(broken)
    FILE.write_text(json.dumps(found, indent=1) + "\n")


def broken_promises(agreed: Json, found: Json, place: str = "") -> list[str]:
    """What of an agreed contract is gone or has changed, in words."""
    broken = []
    for name, value in agreed.items():
        here = f"{place}.{name}" if place else name
        if name not in found:
            broken.append(f"{here} is gone")
        elif isinstance(value, dict):
            broken += broken_promises(value, found[name], here)
        elif name in ("options", "outputs"):
            if found[name][: len(value)] != value:
                broken.append(f"{here} was {value}, is {found[name]}")
        elif found[name] != value:
            broken.append(f"{here} was {value!r}, is {found[name]!r}")
    return broken


def _node(node: Any) -> Json:
    groups = node.INPUT_TYPES()
    inputs = {
        name: {"required": group == "required", **_input(*given)}
        for group in ("required", "optional")
        for name, given in groups.get(group, {}).items()
    }
    outputs = [
        f"{name} {kind}{' list' if listed else ''}"
        for name, kind, listed in zip(
            node.RETURN_NAMES, node.RETURN_TYPES, node.OUTPUT_IS_LIST, strict=True
        )
    ]
    return {
        "category": node.CATEGORY,
        "input_is_list": bool(node.INPUT_IS_LIST),
        "inputs": inputs,
        "outputs": outputs,
    }


def _input(kind: Any, options: Json | None = None) -> Json:
    options = options or {}
    found: Json = {"type": "COMBO" if isinstance(kind, list) else kind}
    found |= {name: options[name] for name in LIMITS if options.get(name) is not None}
    if found["type"] == "COMBO" and "default" in found:  # without one: a list of files
        found["options"] = list(kind if isinstance(kind, list) else options["options"])
    return found
