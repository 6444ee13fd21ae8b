"""`verify lsp` as an editor talks to it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("pygls")

URI = "file:///tmp/a.nnspec"
TEXT = """unit m
network n = onnx("n.onnx") { input x [m] in [0, 1]  output a, b }
property p "漢𝔸" { forall s : n.input  assert n(s).a <= s.x }
"""


class Client:
    """Requests and notifications over a server's standard streams."""

    def __init__(self) -> None:
        code = "import sys; from verify.cli.main import main; sys.exit(main(['lsp']))"
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            [sys.executable, "-c", code], stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL
        )
        self.number = 0

    def send(self, method: str, params: Any, *, request: bool = True) -> Any:
        message = {"jsonrpc": "2.0", "method": method, "params": params}
        if request:
            self.number += 1
            message["id"] = self.number
        data = json.dumps(message).encode()
        assert self.process.stdin is not None
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(data) + data)
        self.process.stdin.flush()
        return self.receive(lambda m: m.get("id") == self.number)["result"] if request else None

    def receive(self, wanted: Any) -> Any:
        assert self.process.stdout is not None
        while True:
            length = 0
            while (line := self.process.stdout.readline().strip()) or not length:
                assert line, "the server has ended"
                if line.lower().startswith(b"content-length"):
                    length = int(line.split(b":")[1])
            message = json.loads(self.process.stdout.read(length))
            if wanted(message):
                return message

    def published(self) -> list[dict[str, Any]]:
        message = self.receive(lambda m: m.get("method") == "textDocument/publishDiagnostics")
        found: list[dict[str, Any]] = message["params"]["diagnostics"]
        return found


@pytest.fixture
def client() -> Iterator[Client]:
    made = Client()
    made.send("initialize", {"processId": None, "rootUri": None, "capabilities": {}})
    made.send("initialized", {}, request=False)
    document = {"uri": URI, "languageId": "nnspec", "version": 1, "text": TEXT}
    made.send("textDocument/didOpen", {"textDocument": document}, request=False)
    yield made
    made.send("shutdown", None)
    made.send("exit", None, request=False)
    assert made.process.wait(timeout=30) == 0
    for stream in (made.process.stdin, made.process.stdout):
        assert stream is not None
        stream.close()


def test_a_session(client: Client) -> None:
    (clash,) = client.published()
    assert (clash["code"], clash["source"], clash["severity"]) == ("E316", "verify", 1)
    assert clash["range"]["start"]["line"] == 2
    before = TEXT.split("\n")[2]
    units = len(before[: before.rindex("s.x")].encode("utf-16-le")) // 2
    assert clash["range"]["start"]["character"] == units
    assert clash["relatedInformation"][0]["location"]["range"]["start"]["line"] == 2
    place = {"textDocument": {"uri": URI}, "position": {"line": 2, "character": units + 2}}
    hover = client.send("textDocument/hover", place)
    assert "n: input x [m] in [0, 1]" in hover["contents"]["value"]
    target = client.send("textDocument/definition", place)
    assert target["range"]["start"] == {"line": 1, "character": TEXT.split("\n")[1].index("x [m]")}
    options = {"tabSize": 2, "insertSpaces": True}
    (edit,) = client.send("textDocument/formatting", {"textDocument": {"uri": URI}, "options": options})
    assert edit["newText"].startswith("unit m\n\nnetwork n")
    changed = {"textDocument": {"uri": URI, "version": 2}, "contentChanges": [{"text": TEXT.replace("<= s.x", "<= 1")}]}
    client.send("textDocument/didChange", changed, request=False)
    assert client.published() == []
