"""Visits to the pages of ``fathom learn`` in a real browser: a server, a page, and what is asked of it."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fathom.learn.engine import curriculum
from fathom.report.style import contrast

SLUG = "gradient-descent"  # the topic that most visits go to
FIRST = "one_step"  # its first exercise
WRITTEN = [slug for slug, head in curriculum.heads().items() if head.written]
PHONE, DESKTOP = {"width": 390, "height": 844}, {"width": 1440, "height": 900}
FAR = 400  # presses of Tab until something must be reached
# Asks the page what is wrong with it, rule by rule.
ACCESSIBLE = Path(__file__).with_name("accessible.js").read_text(encoding="utf-8").partition("*/")[2]
PASTE = """(content, text) => {
  const clipboardData = new DataTransfer();
  clipboardData.setData("text/plain", text);
  content.dispatchEvent(new ClipboardEvent("paste", { clipboardData, bubbles: true, cancelable: true }));
}"""
FOCUS_SHOWN = """() => {
  const outlined = (node) => node && !/none|^0px/.test(`${getComputedStyle(node).outlineStyle}`);
  const node = document.activeElement;
  const box = node.querySelector("rect");
  return outlined(node) || outlined(node.closest("label, learn-editor"))
    || (box && getComputedStyle(box).strokeWidth === "4px");
}"""


@contextmanager
def serving(home: Path) -> Iterator[str]:
    """``fathom learn`` as a learner starts it; the address that it prints. It ends by Ctrl-C, cleanly."""
    process = subprocess.Popen(
        [sys.executable, "-m", "fathom", "learn", "--no-open", "--port", "0"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"FATHOM_LEARN": str(home)}, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # else a shell's & turns it off
    )  # fmt: skip
    try:
        assert process.stdout
        found = re.search(r"http://\S+", process.stdout.readline())
        assert found, process.stderr.read() if process.stderr else ""
        yield found[0]
    finally:
        process.send_signal(signal.SIGINT)
        _, complaints = process.communicate(timeout=20)
        assert process.returncode == 130 and not complaints, complaints


def enter(page: Any, address: str) -> None:
    """Through the printed address to the map."""
    page.goto(address)
    page.wait_for_url(address.partition("/start")[0] + "/")


class Visit:
    """A page, what it complained of, and what it fetched."""

    def __init__(self, browser: Any, base: str, kept: Any = None, **options: Any) -> None:
        self.base = base
        self.context = browser.new_context(**{"viewport": DESKTOP, "storage_state": kept, **options})
        self.page = self.context.new_page()
        self.page.set_default_timeout(30_000)  # two visits at a time share the machine
        self.complaints: list[str] = []
        self.fetched: list[str] = []
        self.page.on(
            "console", lambda m: self.complaints.append(m.text) if m.type in ("error", "warning") else None
        )
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.fetched.append(request.url))

    def open(self, path: str) -> None:
        self.page.goto(self.base + path)

    def tab_to(self, selector: str, key: str = "Tab") -> None:
        """Press Tab until what has the focus is the one; and it can be seen that it has it."""
        for _ in range(FAR):
            self.page.keyboard.press(key)
            if self.page.evaluate("(s) => document.activeElement.matches(s)", selector):
                assert self.page.evaluate(FOCUS_SHOWN), f"nothing shows that {selector} has the focus"
                return
        raise AssertionError(f"{selector} cannot be reached with {key}")

    def stumbling(self) -> list[str]:
        """What axe-core finds on the page as it is now that is serious or critical."""
        from axe_playwright_python.sync_playwright import Axe

        found = Axe().run(self.page, options={"resultTypes": ["violations"]}).response["violations"]
        return [
            f"{rule['id']} ({rule['impact']}): {node['html'][:120]}"
            for rule in found
            if rule["impact"] in ("serious", "critical")
            for node in rule["nodes"]
        ]

    def focused(self) -> Any:
        return self.page.locator(":focus")

    def close(self) -> None:
        """Nothing left the machine, and nothing went wrong."""
        assert self.fetched and all(url.startswith((self.base, "data:")) for url in self.fetched), (
            self.fetched
        )
        assert not self.complaints, self.complaints
        self.context.close()


def editor(page: Any, name: str) -> Any:
    """What is edited of an exercise, when its editor is there."""
    content = page.locator(f"#exercise-{name} .cm-content")
    page.locator(f"#exercise-{name} learn-editor").scroll_into_view_if_needed()
    content.wait_for()
    return content


def write(page: Any, name: str, text: str) -> None:
    """Paste an answer over the one that stands there."""
    content = editor(page, name)
    content.press("Control+a")
    content.evaluate(PASTE, text)


def as_hex(colour: str) -> str:
    return "#" + "".join(f"{int(part):02x}" for part in re.findall(r"\d+", colour)[:3])


def against(colour: str, ground: str) -> float:
    return contrast(as_hex(colour), as_hex(ground))
