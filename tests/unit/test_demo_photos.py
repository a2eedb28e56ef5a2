"""The built-in detector finds every embedded photo, so that the start template needs nothing else.

Half a second of a core for a photo: here, and not in the folders that run in both ComfyUIs.
"""

from __future__ import annotations

import pytest
from host_pack import ROOT

from flashface_core.demo.people import AGES, NAMES, PHOTOS, load_photos
from flashface_core.faces.detection import load_detector
from flashface_core.images import image_to_pil

OWN = ROOT / "demo"


@pytest.mark.parametrize("name", NAMES)
def test_every_photo_has_one_face(name: str) -> None:
    detector = load_detector("lbp")
    for age in AGES:
        for photo in load_photos(OWN, name, age, PHOTOS):
            faces = detector.detect(image_to_pil(photo))
            assert len([face for face in faces if face.score >= 0.6]) == 1, age
