"""Inputs that all nodes which look for faces have in common."""

from __future__ import annotations

from comfy_api.latest import io

from ...flashface_core.faces.detection import ORDERS


def order() -> io.Combo.Input:
    """The choice of which face of an image comes first."""
    return io.Combo.Input(
        "order",
        options=list(ORDERS),
        default="largest",
        tooltip="Which face comes first when an image has several.",
    )


def index(tooltip: str) -> io.Int.Input:
    """The number of a face in that order."""
    return io.Int.Input("index", default=0, min=0, max=1000, tooltip=tooltip)


def threshold(more: str = "") -> io.Float.Input:
    """The lowest score that a face may have. more: said after that in the tooltip."""
    return io.Float.Input(
        "threshold",
        default=0.6,
        min=0.0,
        max=1.0,
        step=0.01,
        advanced=True,
        tooltip="Faces with a lower detection score are ignored." + more,
    )
