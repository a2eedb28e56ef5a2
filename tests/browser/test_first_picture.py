"""A newcomer's first picture: a fresh ComfyUI with this pack, no model file, and three clicks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from host_pack import DEVICE, host_from_environment
from setup.comfy_server import ComfyServer
from setup.host import PACK_NAME

# What both pictures of the template show, once they are there.
PICTURES = """() => {
  const saved = app.graph.nodes.filter(node => node.type === "SaveImage");
  const shown = saved.flatMap(node => node.imgs ?? []).filter(image => image.complete);
  return shown.length < saved.length ? null
    : shown.map(image => [image.naturalWidth, image.naturalHeight]);
}"""
SHOWN = 512  # pixels of a side: four times what the small model paints
MINUTES = 5  # where other work runs too; on idle cores it is one


def test_three_clicks_give_pictures_without_any_model_file(chromium: Any, tmp_path: Path) -> None:
    with ComfyServer(host_from_environment(), tmp_path, DEVICE) as server:
        assert not [file for file in (tmp_path / "models").rglob("*") if file.stat().st_size > 1000]
        page = chromium.new_page(viewport={"width": 1280, "height": 800})
        page.goto(server.url)  # a first visit opens the dialog of templates
        dialog = page.get_by_role("dialog")
        dialog.get_by_text(PACK_NAME, exact=True).first.click(timeout=60_000)
        dialog.get_by_test_id("template-workflow-1_start_here").click()
        dialog.first.wait_for(state="hidden")
        page.get_by_test_id("queue-button").first.click()
        found = page.wait_for_function(PICTURES, timeout=MINUTES * 60_000, polling=500)
        assert found.json_value() == [[SHOWN, SHOWN]] * 2
        page.close()
        assert "error" not in [entry["status"]["status_str"] for entry in _history(server)]


def _history(server: ComfyServer) -> list[dict[str, Any]]:
    return list(server.get("/history").values())
