"""A newcomer's first picture: a fresh ComfyUI with this pack, no model file, and three clicks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from browser_graphs import SAVED_SIZES, click_template
from host_pack import DEVICE, host_from_environment
from setup.comfy_server import ComfyServer

# The sizes of both pictures of the template, once they are there.
PICTURES = f"""() => {{
  const sizes = ({SAVED_SIZES})();
  return sizes.length === 2 && sizes.every(([width]) => width) && sizes;
}}"""
SHOWN = 512  # pixels of a side: four times what the small model paints
MINUTES = 5  # where other work runs too; on idle cores it is one


def test_three_clicks_give_pictures_without_any_model_file(chromium: Any, tmp_path: Path) -> None:
    with ComfyServer(host_from_environment(), tmp_path, DEVICE) as server:
        assert not [file for file in (tmp_path / "models").rglob("*") if file.stat().st_size > 1000]
        page = chromium.new_page(viewport={"width": 1280, "height": 800})
        page.set_default_timeout(60_000)
        page.goto(server.url)  # a first visit opens the dialog of templates
        click_template(page, "1_start_here")
        page.get_by_role("dialog").first.wait_for(state="hidden")
        page.get_by_test_id("queue-button").first.click()
        found = page.wait_for_function(PICTURES, timeout=MINUTES * 60_000, polling=500)
        assert found.json_value() == [[SHOWN, SHOWN]] * 2
        page.close()
        ended = [entry["status"]["status_str"] for entry in server.get("/history").values()]
        assert "error" not in ended
