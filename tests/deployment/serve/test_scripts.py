"""The serve page's scripts in Node: they parse, and what asks the server behaves where answers go astray.

The browser lane sees the page as a person does; here replies are late, refused or lost, which a real server
does too rarely to test.
"""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.programs import program

import fathom.deployment.serve

PAGE = Path(fathom.deployment.serve.__file__).parent / "page"
# A page with a status line, two inputs that take part in one item, and a server under the test's hand.
STAGE = """
const told = [], heard = [], asked = [];
const status = { classList: { toggle(name, on) { told.push([status.text, on]); } } };
Object.defineProperty(status, "textContent", { set(text) { status.text = text; } });
const inputs = ["picture", "words"].map((field) => ({ localName: "text-input", getAttribute: () => field }));
globalThis.location = { hash: "#token=secret" };
globalThis.CustomEvent = class {
  constructor(type, more = {}) { Object.assign(this, { type, detail: more.detail }); }
};
globalThis.document = {
  getElementById: () => status,
  querySelectorAll: () => inputs,
  dispatchEvent: (event) => heard.push([event.type, event.detail ?? null]),
};
const replies = [];
globalThis.fetch = (address, more) => new Promise((answer, lose) => {
  asked.push([address, more.headers, more.body ?? null]);
  if (address === "/about") answer({ ok: true, status: 200, json: async () => ({}) });
  else replies.push({ answer: (body, status = 200) =>
    answer({ ok: status < 400, status, json: async () => body }), lose });
});
const { askJson, forget, give } = await import("./asking.js");
const soon = () => new Promise((done) => setTimeout(done, 5));
"""


@pytest.fixture(scope="module")
def node() -> str:
    return program("node")


def play(node: str, folder: Path, scene: str) -> Any:
    """What ``scene`` prints as JSON, after the stage was set beside a copy of the page's scripts."""
    for script in PAGE.glob("*.js"):
        shutil.copy(script, folder)
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "scene.js").write_text(STAGE + scene)
    done = subprocess.run(
        [node, "scene.js"], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("script", sorted(p.name for p in PAGE.glob("*.js")))
def test_scripts_parse(node: str, script: str) -> None:
    text = (PAGE / script).read_text(encoding="utf-8")
    command = [node, "--input-type=module", "--check"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_the_newest_question_wins(node: str, tmp_path: Path) -> None:
    """Two questions, answered in the wrong order: the older answer must not replace the newer."""
    heard = play(node, tmp_path, """
      askJson({ n: 1 }); askJson({ n: 2 });
      replies[1].answer({ model: "net", label: "two" }); await soon();
      replies[0].answer({ model: "net", label: "one" }); await soon();
      console.log(JSON.stringify(heard));
    """)  # fmt: skip
    assert [detail["label"] for _, detail in heard] == ["two"]


def test_the_token_goes_along_and_a_refusal_is_read_out(node: str, tmp_path: Path) -> None:
    asked, told, heard = play(node, tmp_path, """
      askJson({ n: 1 });
      replies[0].answer({ error: "n is missing" }, 422); await soon();
      console.log(JSON.stringify([asked, told, heard]));
    """)  # fmt: skip
    assert [headers["authorization"] for _, headers, _ in asked] == ["Bearer secret", "Bearer secret"]
    assert asked[1][2] == '{"n":1}'
    assert told[-1] == ["n is missing", True] and heard == []


def test_a_lost_server_is_said(node: str, tmp_path: Path) -> None:
    told = play(node, tmp_path, """
      askJson({ n: 1 }); replies[0].lose(new Error("connection refused")); await soon();
      console.log(JSON.stringify(told));
    """)  # fmt: skip
    assert told[-1] == ["The server does not answer: connection refused", True]


def test_what_was_forgotten_is_not_shown(node: str, tmp_path: Path) -> None:
    heard = play(node, tmp_path, """
      askJson({ n: 1 }); forget(); replies[0].answer({ model: "net", label: "late" }); await soon();
      console.log(JSON.stringify(heard));
    """)  # fmt: skip
    assert heard == [["forget", None]]


def test_an_item_of_two_parts_waits_for_both(node: str, tmp_path: Path) -> None:
    asked, told = play(node, tmp_path, """
      give("picture", "P"); const before = asked.length; give("words", "W"); await soon();
      console.log(JSON.stringify([asked.slice(before), told]));
    """)  # fmt: skip
    assert told[0] == ["Still wanted: words", False]
    assert [json.loads(body) for _, _, body in asked] == [{"picture": "P", "words": "W"}]
