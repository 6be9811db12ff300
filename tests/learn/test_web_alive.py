"""A server whose learner had an accident goes on: pages come, also meanwhile, and answers are judged."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from threading import Thread

import httpx
import pytest

from fathom.learn.engine.exercise import exercise

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="memory is held by Linux")]

SLUG, FIRST = "gradient-descent", "one_step"
ADDRESS = f"/topic/{SLUG}/exercise/{FIRST}"
SERVER = """
import sys
from pathlib import Path
from fathom.learn.engine.confine import Limits
from fathom.learn.engine.worker import Worker
from fathom.learn.web import server
if __name__ == "__main__":
    server.Worker = lambda: Worker(Limits(seconds=2.0))
    try:
        server.run(Path(sys.argv[1]), 0, lambda address: print(address, flush=True))
    except KeyboardInterrupt:
        pass
"""
ACCIDENTS = {
    "os._exit": ("import os; os._exit(0)", "ended its process (exit code 0)"),
    "infinite loop": ("while True: pass", "ran longer than 2 s and was stopped"),
    "8 GB": ("torch.ones(2**31)", "asked for more memory than the 2,048 MiB"),
}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A browser that was let in by a server of its own, whose exercises may take two seconds."""
    home = tmp_path_factory.mktemp("home")
    script = home / "serve.py"
    script.write_text(SERVER, encoding="utf-8")
    process = subprocess.Popen(
        [sys.executable, str(script), str(home)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"FATHOM_LEARN": str(home)}, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        base = address.partition("/start")[0]
        with httpx.Client(base_url=base, timeout=60, headers={"origin": base}) as browser:
            assert browser.get(address).status_code == 200
            yield browser
        assert process.poll() is None, "the server is gone"
    finally:
        process.send_signal(signal.SIGINT)
        _, complaints = process.communicate(timeout=20)
    assert not complaints, complaints


def checked(client: httpx.Client, answer: str) -> str:
    """What the page says of an answer, without its tags."""
    sent = client.post(ADDRESS, data={"answer": answer}, headers={"x-part": "1"})
    assert sent.status_code == 200, sent.text
    return re.sub(r"<[^>]+>", "", sent.text)


@pytest.mark.parametrize(("body", "said"), ACCIDENTS.values(), ids=ACCIDENTS)
def test_after_an_accident_pages_come_and_verdicts_are_right(
    client: httpx.Client, body: str, said: str
) -> None:
    told: list[str] = []
    accident = f"import torch\n\n\ndef {FIRST}(w, gradient, rate):\n    {body}\n"
    asking = Thread(target=lambda: told.append(checked(client, accident)))
    asking.start()
    time.sleep(0.5)
    assert "The map" in client.get("/").text  # also while it happens
    asking.join(60)
    assert told and "Not yet." in told[0] and said in told[0]
    assert said in re.sub(r"<[^>]+>", "", client.get(f"/topic/{SLUG}").text)
    made = exercise(SLUG, FIRST)
    wrong = checked(client, made.solution.replace("- rate", "+ rate"))
    assert "This is the mistake uphill" in wrong
    assert "Passed." in checked(client, made.solution)
