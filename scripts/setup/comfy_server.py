"""Start the real ComfyUI server with this pack alone and talk to it over its HTTP API.

    with ComfyServer(host, base_directory) as server:
        history = server.queue(prompt)
        png = server.images(history)[0]

Standard library only, so that the tests and try.py share it.
"""

from __future__ import annotations

import json
import re
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from .host import PACK_NAME, Host, make_base_directory

Json = dict[str, Any]

DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Opens addresses of this machine, past any proxy that the environment names."""


class ServerError(RuntimeError):
    """The server died, refused a prompt or failed in one; `detail` is what it answered."""

    def __init__(self, message: str, detail: Any = None) -> None:
        super().__init__(message)
        self.detail = detail


def free_port() -> int:
    """A TCP port of this machine that nobody uses at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class ComfyServer:
    """One ComfyUI server process on a free port; a context manager that kills it at the end."""

    def __init__(self, host: Host, base: Path, arguments: Sequence[str] = ("--cpu",)) -> None:
        self.base = make_base_directory(base)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log_file = base / "server.log"
        self._command = [
            *(str(host.python), str(host.root / "main.py")),
            *("--listen", "127.0.0.1", "--port", str(self.port)),
            *("--base-directory", str(base), "--database-url", "sqlite:///:memory:"),
            *("--disable-all-custom-nodes", "--whitelist-custom-nodes", PACK_NAME),
            *("--disable-api-nodes", "--use-pytorch-cross-attention", "--disable-auto-launch"),
            *arguments,
        ]
        self._cwd = host.root
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> ComfyServer:
        with self.log_file.open("wb") as log:
            self._process = subprocess.Popen(
                self._command, cwd=self._cwd, stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
        try:
            self._wait_until_up()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End the server process (only the one that was started here)."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    @property
    def pid(self) -> int:
        """The number of the server's process; ServerError when it is not running."""
        self._check_alive()
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> str:
        """All that the server has printed so far."""
        return self.log_file.read_text(encoding="utf-8", errors="replace")

    def log_end(self, lines: int = 40) -> str:
        """The last lines that the server printed."""
        return "\n".join(self.log.splitlines()[-lines:])

    def _check_alive(self) -> None:
        if self._process is None or self._process.poll() is not None:
            code = None if self._process is None else self._process.returncode
            raise ServerError(f"ComfyUI stopped (exit {code}). Its log ends:\n{self.log_end()}")

    def _wait_until_up(self, timeout: float = 180.0) -> None:
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            self._check_alive()
            try:
                self.get("/system_stats", timeout=5)
                return
            except (OSError, ServerError):
                time.sleep(0.3)
        raise ServerError(f"ComfyUI was not up after {timeout:g} s. Its log:\n{self.log_end()}")

    def _open(self, request: urllib.request.Request, timeout: float) -> bytes:
        try:
            with DIRECT.open(request, timeout=timeout) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            text = error.read().decode("utf-8", "replace")
            try:
                detail = json.loads(text)
            except ValueError:
                detail = text
            message = f"{request.get_method()} {request.selector}: HTTP {error.code}: {text[:2000]}"
            raise ServerError(message, detail) from None

    def get(self, path: str, timeout: float = 60.0) -> Any:
        """The JSON answer of GET `path`."""
        return json.loads(self._open(urllib.request.Request(self.url + path), timeout))

    def post(self, path: str, body: Any, timeout: float = 60.0) -> Any:
        """POST `body` as JSON; the JSON answer, or None where there is none."""
        data = json.dumps(body).encode()
        header = {"Content-Type": "application/json"}
        answer = self._open(urllib.request.Request(self.url + path, data, header), timeout)
        return json.loads(answer) if answer.strip() else None

    def object_info(self, node_id: str | None = None) -> Json:
        """ComfyUI's description of all nodes, or of the one named."""
        return self.get("/object_info" + (f"/{node_id}" if node_id else ""))

    def submit(self, prompt: Json) -> str:
        """Queue an API-format prompt and return its id; ServerError.detail has the node errors."""
        return self.post("/prompt", {"prompt": prompt, "client_id": "flashface"})["prompt_id"]

    def wait(
        self,
        prompt_id: str,
        timeout: float = 900.0,
        on_progress: Callable[[str], None] | None = None,
    ) -> Json:
        """The history entry of a prompt once it has ended, in success, error or interruption."""
        end = time.monotonic() + timeout
        said = ""
        while time.monotonic() < end:
            self._check_alive()
            history = self.get(f"/history/{prompt_id}")
            if prompt_id in history:
                return history[prompt_id]
            now = self.progress()
            if on_progress is not None and now and now != said:
                said = now
                on_progress(now)
            time.sleep(0.2)
        raise ServerError(f"the prompt had not ended after {timeout:g} s:\n{self.log_end()}")

    def queue(
        self,
        prompt: Json,
        timeout: float = 900.0,
        on_progress: Callable[[str], None] | None = None,
    ) -> Json:
        """Run an API-format prompt to its end; its history entry. ServerError if it fails."""
        entry = self.wait(self.submit(prompt), timeout, on_progress)
        status = entry.get("status", {})
        if status.get("status_str") != "success":
            failed = [
                data for kind, data in status.get("messages", []) if kind != "execution_start"
            ]
            last: Json = failed[-1] if failed else {}
            message = last.get("exception_message", "").strip() or str(status)
            node = last.get("node_type", "a node")
            raise ServerError(f"{node} failed: {message}", last)
        return entry

    def progress(self) -> str:
        """The newest step count in the log ("3/8"), or "" when there is none yet."""
        # Progress bars end their lines with a bare carriage return; the last one is the newest.
        found = re.findall(r"\|\s*(\d+/\d+) \[", self.log[-4000:])
        return found[-1] if found else ""

    def interrupt(self) -> None:
        """Stop the running prompt, as the button does."""
        self.post("/interrupt", {})

    def free(self) -> None:
        """Unload all models and free memory, as the button does; return when it is done.

        The queue's thread takes notice between two prompts, so a small one goes before the next.
        """
        self.post("/free", {"unload_models": True, "free_memory": True})
        text = {"class_type": "PrimitiveString", "inputs": {"value": uuid.uuid4().hex}}
        show = {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}}
        self.queue({"1": text, "2": show})

    def upload_image(self, file: Path, name: str | None = None) -> str:
        """Put an image into the input folder the way the front end does; the name for LoadImage."""
        boundary = uuid.uuid4().hex
        head = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="overwrite"\r\n\r\ntrue\r\n'
            f'--{boundary}\r\nContent-Disposition: form-data; name="image"; '
            f'filename="{name or file.name}"\r\nContent-Type: image/png\r\n\r\n'
        )
        body = head.encode() + file.read_bytes() + f"\r\n--{boundary}--\r\n".encode()
        header = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
        request = urllib.request.Request(self.url + "/upload/image", body, header)
        return json.loads(self._open(request, 60))["name"]

    def images(self, entry: Json, node_id: str | None = None) -> list[bytes]:
        """The pictures that a finished prompt made (of one node, or all), as files' bytes."""
        outputs: Json = entry["outputs"]
        found = []
        for node, output in outputs.items():
            if node_id in (None, node):
                for image in output.get("images", []):
                    query = urllib.parse.urlencode(image)
                    request = urllib.request.Request(f"{self.url}/view?{query}")
                    found.append(self._open(request, 60))
        return found
