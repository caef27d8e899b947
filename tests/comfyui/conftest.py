"""A real ComfyUI server with this pack linked into it, CPU only, on a free local port.

COMFYUI_PATH names the checkout (default ~/ComfyUI); its interpreter is expected in .venv there.
Without one these tests are skipped, and one line at the end of the run says so.
"""

from __future__ import annotations

import copy
import json
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

PACK = Path(__file__).resolve().parents[2]
PACK_NAME = "liquid-warping"
COMFYUI = Path(os.environ.get("COMFYUI_PATH", "~/ComfyUI")).expanduser()
PYTHON = next(
    (p for p in (COMFYUI / ".venv/bin/python", COMFYUI / ".venv/Scripts/python.exe") if p.exists()),
    None,
)
AVAILABLE = PYTHON is not None and (COMFYUI / "main.py").exists()
MISSING = f"NO COMFYUI at {COMFYUI}: the node tests did NOT run; set COMFYUI_PATH"
START_SECONDS = 180
LOCAL = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def pytest_collection_modifyitems(items):
    if not AVAILABLE:
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(pytest.mark.skip(reason=MISSING))


def pytest_terminal_summary(terminalreporter):
    if not AVAILABLE:
        terminalreporter.write_line(MISSING, red=True, bold=True)


@dataclass
class Result:
    """What became of a prompt.

    status: HTTP status of the post. outputs: node id -> what the node sent to the page.
    error: the messages for the user, "" after success. node: id of the node that is to blame.
    kind: "success", "refused", "execution_error" or "execution_interrupted".
    exception: class name of what was raised.
    """

    status: int
    kind: str
    error: str = ""
    node: str | None = None
    outputs: dict = field(default_factory=dict)
    exception: str = ""
    seconds: float = 0.0


class Server:
    def __init__(self, base: Path) -> None:
        self.base = base
        for name in ("custom_nodes", "models", "input", "output", "temp", "user"):
            (base / name).mkdir()
        (base / "custom_nodes" / PACK_NAME).symlink_to(PACK, target_is_directory=True)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        command = [
            str(PYTHON), "main.py", "--cpu", "--listen", "127.0.0.1", "--port", str(self.port),
            "--base-directory", str(base), "--database-url", "sqlite:///:memory:",
            "--disable-api-nodes", "--disable-auto-launch",
        ]  # fmt: skip
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        environment.update(PYTHONUNBUFFERED="1", HF_HUB_OFFLINE="1", NO_PROXY="127.0.0.1")
        self.log = (base / "server.log").open("wb")
        self.process = subprocess.Popen(
            command, cwd=COMFYUI, env=environment, stdout=self.log, stderr=subprocess.STDOUT
        )

    def wait_until_ready(self) -> None:
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end and self.process.poll() is None:
            try:
                self.get("/system_stats")
                return
            except OSError:
                time.sleep(0.2)
        raise RuntimeError(f"ComfyUI did not start:\n{self.log_text()[-3000:]}")

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()

    def log_text(self) -> str:
        return (self.base / "server.log").read_text(errors="replace")

    def get(self, path: str):
        with LOCAL.open(f"http://127.0.0.1:{self.port}{path}", timeout=60) as answer:
            return json.loads(answer.read())

    def post(self, path: str, data) -> tuple[int, dict]:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}",
            json.dumps(data).encode(),
            {"Content-Type": "application/json"},
        )
        try:
            with LOCAL.open(request, timeout=60) as answer:
                body, status = answer.read(), answer.status
        except urllib.error.HTTPError as error:
            body, status = error.read(), error.code
        return status, json.loads(body) if body else {}

    def submit(self, prompt: dict) -> tuple[str | None, Result | None]:
        """(id, None) of an accepted prompt, or (None, why it was refused)."""
        status, answer = self.post("/prompt", {"prompt": prompt})
        faults = answer.get("node_errors") or {}
        if status == 200 and not faults:
            return answer["prompt_id"], None
        text = "; ".join(
            f"{e['message']}: {e['details']}" for fault in faults.values() for e in fault["errors"]
        )
        return None, Result(status, "refused", text or str(answer), next(iter(faults), None))

    def wait(self, identity: str, timeout: float = 300) -> Result:
        start = time.monotonic()
        while time.monotonic() - start < timeout:
            entry = self.get(f"/history/{identity}").get(identity)
            if entry:
                break
            assert self.process.poll() is None, f"the server died:\n{self.log_text()[-3000:]}"
            time.sleep(0.05)
        else:
            raise AssertionError(f"no result within {timeout} s:\n{self.log_text()[-3000:]}")
        seconds = time.monotonic() - start
        for kind, detail in entry["status"]["messages"]:
            if kind in ("execution_error", "execution_interrupted"):
                message = str(detail.get("exception_message", "")).strip()
                exception = str(detail.get("exception_type", "")).rpartition(".")[2]
                node = detail.get("node_id")
                return Result(200, kind, message, node, exception=exception, seconds=seconds)
        return Result(200, "success", outputs=entry["outputs"], seconds=seconds)

    def run(self, prompt: dict, timeout: float = 300) -> Result:
        identity, refused = self.submit(prompt)
        return refused or self.wait(identity, timeout)

    def interrupted(
        self, prompt: dict, delay: float, begun: Callable[[], bool] = lambda: True
    ) -> Result:
        """The result of ``prompt``, cancelled ``delay`` seconds after ``begun``."""
        identity, refused = self.submit(prompt)
        assert refused is None, refused
        latest = time.monotonic() + 60
        while not begun() and time.monotonic() < latest:
            time.sleep(0.1)
        time.sleep(delay)
        self.post("/interrupt", {"prompt_id": identity})
        return self.wait(identity, timeout=60)

    def written(self) -> set[Path]:
        """All files below the output folder."""
        return {path for path in (self.base / "output").rglob("*") if path.is_file()}

    def pictures(self, result: Result, node: str) -> list[Path]:
        """Files of the pictures that ``node`` saved or previewed."""
        return [
            self.base / picture["type"] / picture["subfolder"] / picture["filename"]
            for picture in result.outputs[node]["images"]
        ]


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    running = Server(tmp_path_factory.mktemp("comfyui"))
    try:
        running.wait_until_ready()
        yield running
    finally:
        running.stop()


@pytest.fixture
def workflow():
    """``workflow(name, node=dict(input=value), ...)``: a shipped API workflow with changed inputs.

    Nodes are named by class type without the prefix, or by id with a leading underscore.
    """

    def load(name: str, **changes) -> dict:
        prompt = json.loads((PACK / "workflows" / "api" / f"{name}.json").read_text())
        for node, inputs in changes.items():
            hits = [
                n for i, n in prompt.items()
                if n["class_type"] in (node, f"LWG_{node}") or f"_{i}" == node
            ]  # fmt: skip
            assert hits, f"{name} has no node {node}"
            for hit in hits:
                hit["inputs"].update(copy.deepcopy(inputs))
        return prompt

    return load
