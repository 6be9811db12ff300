"""``fathom learn`` as a command: its options, its port, what it says where something is missing."""

import sys
import webbrowser
from pathlib import Path

import pytest

from fathom.cli.command import main
from fathom.errors import InputError, MissingExtra
from fathom.learn.web import server


@pytest.fixture(autouse=True)
def own_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FATHOM_LEARN", str(tmp_path))


@pytest.mark.parametrize(
    "words, said",
    [
        (["list", "--port", "8000"], "--port belongs to: fathom learn"),
        (["check", "--no-open"], "--no-open belongs to: fathom learn"),
        (["--track", "beginner"], "--track belongs to: fathom learn list"),
        (["--port", "70000"], "port 70000 cannot be used"),
        (["--port", "-1"], "port -1 cannot be used"),
    ],
)
def test_an_option_out_of_place(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["learn", *words]) == 2
    assert said in capsys.readouterr().err


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(MissingExtra, match=r"uvicorn is not installed.*fathom-dl\[serve\]"):
        server.run(tmp_path, 0, lambda address: None)


def test_a_port_that_is_taken_is_said(tmp_path: Path) -> None:
    with server.listen(0) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(InputError, match=f"port {port} cannot be used: .*; choose another --port, or 0"):
            server.run(tmp_path, port, lambda address: None)


def test_the_command_prints_an_address_for_one_browser_and_opens_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(
        server, "run", lambda home, port, started: started("http://127.0.0.1:1/start?token=t")
    )
    monkeypatch.setattr(server, "show", lambda address: bool(opened.append(address)))
    assert main(["learn"]) == 0
    shown = capsys.readouterr().out
    assert "page      http://127.0.0.1:1/start?token=t" in shown and "no screen" in shown
    assert main(["learn", "--no-open"]) == 0 and "no screen" not in capsys.readouterr().out
    assert opened == ["http://127.0.0.1:1/start?token=t"]


def test_a_machine_without_a_screen_is_not_asked_to_show(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a browser for terminals would take the keyboard from whoever started this."""
    shown: list[str] = []
    monkeypatch.setattr(webbrowser, "open", shown.append)
    monkeypatch.setattr(sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    assert not server.show("http://here") and not shown
