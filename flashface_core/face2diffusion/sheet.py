"""The picture of an identity: its aligned faces, and how alike each is to the mean of all."""

from __future__ import annotations

from PIL import Image

from ..faces.sheet import faces_sheet
from .identity import Identity


def identity_sheet(identity: Identity, title: str) -> Image.Image:
    """Up to twelve crops with their cosines, `title` and the identity's own words below. RGB."""
    return faces_sheet(identity.crops, identity.likeness, title, str(identity))
