"""On a device that is not the CPU, as for everybody who has a GPU: see torch_directml.py.

A tensor that was left on the other device ends a run with an error there. The numbers are those of
the CPU, which computes them.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pretended_device
import pytest
from host_server import test_server
from PIL import Image
from setup.comfy_server import ComfyServer
from workflow_files import hurry, missing, provide_files, read_prompt

TESTS = Path(__file__).parent.parent

SUITES = {
    "integration/on_accelerator.py": "",
    "parity/test_networks.py": "tiny64 and 00",
    "parity/test_guidance.py": "(one_guided_step and 00 and not open-full) or masks",
    "integration/test_apply.py": "",
    "integration/test_masks.py": "",
    "integration/test_guidance_samplings.py": "not cfg_pp",
    "integration/test_feature_reuse.py": "",
    "integration/test_shared_encoder.py": "",
    "integration/test_composition_weights.py": "",
}
"""Files of tests that run there, and which of their tests."""

TEMPLATES = (
    "2_new_picture_of_a_person",
    "4_two_people",
    "5_face_swap",
    "6_pose_and_lora_controlnet",
    "7_face2diffusion_and_flashface",
)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Counter[str]]:
    """What became of all suites' tests, run there in one process: file -> passed, failed."""
    report = tmp_path_factory.mktemp("accelerator") / "report.xml"
    chosen = (f"({Path(file).name} and ({tests or 'test'}))" for file, tests in SUITES.items())
    command = [sys.executable, "-m", "pytest", "-q", "-k", " or ".join(chosen)]
    command += ["-o", "junit_family=xunit1", f"--junitxml={report}"]
    command += [str(TESTS / file) for file in SUITES]
    environment = {**os.environ, **pretended_device.variables()}
    run = subprocess.run(command, env=environment, cwd=TESTS.parent, capture_output=True, text=True)
    assert run.returncode in (0, 1), run.stdout[-6000:] + run.stderr[-2000:]
    found: dict[str, Counter[str]] = {file: Counter() for file in SUITES}
    for case in ElementTree.parse(report).iter("testcase"):
        bad = [child for child in case if child.tag in ("failure", "error")]
        kind = "failed" if bad else "skipped" if len(case) else "passed"
        found[case.attrib["file"].removeprefix("tests/")][kind] += 1
        for child in bad:
            print(f"{case.attrib['file']}::{case.attrib['name']}\n{(child.text or '')[-3000:]}")
    return found


@pytest.mark.parametrize("suite", SUITES)
def test_what_holds_on_the_cpu_holds_there(suite: str, ran: dict[str, Counter[str]]) -> None:
    assert ran[suite]["passed"] and not ran[suite]["failed"], ran[suite]


@pytest.fixture(scope="module")
def servers(
    server: ComfyServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[ComfyServer, ComfyServer]]:
    """The server on the CPU and one on the accelerator."""
    photo = tmp_path_factory.mktemp("photo")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in pretended_device.variables().items():
            patch.setenv(name, value)
        started = test_server(tmp_path_factory.mktemp("accelerator"), pretended_device.ARGUMENTS)
        with started as other:
            for each in (server, other):
                provide_files(each, photo)
            yield server, other


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_paints_the_same_picture(
    name: str, servers: tuple[ComfyServer, ComfyServer]
) -> None:
    if lacks := missing(name, servers[0].object_info()):
        pytest.skip(f"this ComfyUI is older than {', '.join(lacks)}")
    here, there = (_picture(server, name) for server in servers)
    # Of 255 levels, in half precision as on GPUs; pictures with nothing in common differ by 40.
    assert np.abs(here - there).mean() < 2


def _picture(server: ComfyServer, name: str) -> np.ndarray:
    prompt = hurry(read_prompt(name))
    (saved,) = (node for node, entry in prompt.items() if entry["class_type"] == "SaveImage")
    (data,) = server.images(server.queue(prompt, 300), saved)
    return np.asarray(Image.open(io.BytesIO(data)), np.int16)
