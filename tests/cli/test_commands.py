"""The command line: manners, errors and exit codes."""

import io
import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from fathom import catalog
from fathom.cli.command import main, parser, verbs
from fathom.verbs.train import train

VERBS = {
    "list", "show", "catalog", "data", "train", "fit", "evaluate", "predict", "generate", "explain", "export",
    "serve", "compare", "tune", "verify", "import", "learn", "new",
}  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of tiny LeNet, not exported."""
    folder = tmp_path_factory.mktemp("runs") / "lenet"
    return train(catalog.system("lenet").load().tiny(), out=folder, export=False).folder


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder of three pictures."""
    from PIL import Image

    folder = tmp_path / "pictures"
    folder.mkdir()
    for i in range(3):
        Image.effect_noise((20, 24), 90).save(folder / f"{i}.png")
    return folder


def test_verbs_are_those_agreed_on() -> None:
    assert set(verbs()) <= VERBS


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert "train" in capsys.readouterr().out
    assert main(["--version"]) == 0
    assert re.match(r"fathom \d", capsys.readouterr().out)
    for verb in verbs():
        assert main([verb, "--help"]) == 0
        assert verb in capsys.readouterr().out


# A row of the roadmap that no file and no claim is about: another may be trained by `fathom verify`.
TAKEN = {row for e in catalog.entries().values() for row in e.card.rows}
TAKEN |= {row for e in catalog.claims().values() for row in e.claim.rows}
WITHOUT_A_FILE = next(row for row in catalog.inventory() if row not in TAKEN)

REFUSED: list[tuple[list[str], str]] = [
    (["trian", "lenet"], "did you mean train"),
    (["train", "lennet"], "did you mean 'lenet'"),
    (["train"], "give a recipe"),
    (["train", "lenet", "--set", "step=3"], "did you mean 'steps'"),
    (["train", "lenet", "--set", "steps"], "name=value"),
    (["train", "lenet", "--set", "steps=many"], "steps takes int"),
    (["train", "lenet", "--set", "steps=0"], "steps is 0; it must be 1 or more"),
    (["train", "lenet", "--set", "learning_rate=-1"], "learning_rate is -1"),
    (["train", "lenet", "--set", "model.classes=0"], "classes is 0"),
    (["train", "lenet", "--set", "model=3"], "model is a group"),
    (["train", "lenet", "--device", "tpu"], "--device tpu"),
    (["train", "lenet", "--threads", "0"], "--threads 0"),
    (["train", "--resume", "nowhere"], "is no run folder"),
    (["train", "nowhere:recipe"], "there is no recipe"),
    (["fit", "nowhere"], "does not exist"),
    (["fit", "model.pth"], "fathom import"),
    (["predict", "nowhere", "a.png"], "does not exist"),
    (["predict", "model.pt", "a.png"], "fathom import"),
    (["serve", "model.pkl"], "fathom import"),
    (["evaluate", "nowhere", "data"], "does not exist"),
    (["export", "nowhere"], "does not exist"),
    (["show", "lent"], "did you mean 'lenet'"),
    (["verify"], "--all"),
    (["verify", "lennet"], "did you mean"),
    (["verify", WITHOUT_A_FILE], "nothing fulfils"),
    (["compare", "nowhere", "nowhere"], "is no run folder"),
    (["import", "nowhere.pt"], "is no file"),
    (["new", "system", "Bad-Name"], "lower-case words"),
    (["train", "lenet", "--frobnicate"], "unrecognized arguments"),
]


@pytest.mark.parametrize(
    ("command", "said"), REFUSED, ids=lambda v: " ".join(v) if isinstance(v, list) else ""
)
def test_bad_usage_is_refused_with_a_reason(
    command: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    for name in ("model.pth", "model.pt", "model.pkl"):
        if name in command:
            (tmp_path / name).write_bytes(b"\x80\x04.")
    (tmp_path / "src" / "fathom").mkdir(parents=True)
    assert main(command) == 2
    shown = capsys.readouterr()
    assert said in shown.err.replace("\n", " ")
    assert not shown.out
    assert not (tmp_path / "runs").exists() or not any((tmp_path / "runs").iterdir())


@pytest.mark.slow
def test_json_ends_with_one_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "tests.cli.tiny_recipe:recipe", "--out", str(tmp_path / "a"), "--json"]) == 0
    out = capfd.readouterr().out
    (line,) = out.splitlines()
    told = json.loads(line)
    assert set(told) == {"run", "metrics", "seconds", "digest"}
    assert told["run"] == str(tmp_path / "a") and "test/accuracy" in told["metrics"]
    assert re.fullmatch(r"[0-9a-f]{64}", told["digest"])
    for made in ("run.json", "metrics.jsonl", "report.html", "model/model.onnx", "model/equality.json"):
        assert (tmp_path / "a" / made).is_file(), made


@pytest.mark.slow
def test_resuming_a_finished_run_makes_what_is_missing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "a"
    recipe = "tests.cli.tiny_recipe:recipe"
    assert main(["train", recipe, "--out", str(folder), "--json"]) == 0
    first = capfd.readouterr().out
    for name in ("report.html", "model/model.onnx", "model/equality.json"):
        (folder / name).unlink()
    assert main(["train", recipe, "--resume", str(folder), "--json"]) == 0
    assert capfd.readouterr().out == first
    for name in ("report.html", "model/model.onnx", "model/equality.json"):
        assert (folder / name).is_file()
    assert main(["train", recipe, "--out", str(folder), "--json"]) == 2
    assert "holds a run already" in capfd.readouterr().err


def test_predict_writes_json_lines_and_csv(
    run: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", str(run), str(pictures)]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [Path(r["input"]).name for r in rows] == ["0.png", "1.png", "2.png"]
    assert all(abs(sum(r["probabilities"].values()) - 1) < 1e-5 for r in rows)
    assert main(["predict", str(run), str(pictures), "--out", str(tmp_path / "a.csv")]) == 0
    assert (tmp_path / "a.csv").read_text().splitlines()[0].startswith("input,label,probabilities.-")
    (pictures / "3.png").write_bytes(b"not a picture")
    capsys.readouterr()
    assert main(["predict", str(run), str(pictures)]) == 2
    assert "3.png" in capsys.readouterr().err
    assert main(["predict", str(run), str(pictures), "--skip-bad"]) == 0
    assert "error" in json.loads(capsys.readouterr().out.splitlines()[3])


def test_predict_answers_the_rest_and_names_what_it_cannot_read(
    run: Path, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A Thumbs.db or one damaged picture had cost all answers."""
    for name in ("Thumbs.db", "notes.txt", ".DS_Store", ".cache/9.png", "__MACOSX/8.png"):
        (pictures / name).parent.mkdir(exist_ok=True)
        (pictures / name).write_bytes(b"\x00\xff")
    assert main(["predict", str(run), str(pictures)]) == 0
    shown = capsys.readouterr()
    assert [Path(json.loads(row)["input"]).name for row in shown.out.splitlines()] == [
        "0.png", "1.png", "2.png",
    ]  # fmt: skip
    assert shown.err == f"{pictures}: files that are no pictures are passed over: 1 .db, 1 .txt\n"
    (pictures / "1.png").write_bytes(b"not a picture")
    for more, code in (([], 2), (["--skip-bad"], 0)):
        assert main(["predict", str(run), str(pictures), *more]) == code
        shown = capsys.readouterr()
        rows = [json.loads(row) for row in shown.out.splitlines()]
        assert [set(row) for row in rows] == [ANSWER, {"input", "error"}, ANSWER]
        assert f"fathom: {pictures / '1.png'}: this is no picture of a known kind" in shown.err
        assert "fathom: 1 of 3 items could not be read; 2 are answered" in shown.err
    alone = str(pictures / "1.png")
    assert main(["predict", str(run), alone, "--skip-bad"]) == 2, "nothing was answered"
    assert main(["predict", str(run), str(pictures / "notes.txt"), str(pictures / "0.png")]) == 2
    assert f"{pictures / 'notes.txt'} is no text in UTF-8, byte 1" in capsys.readouterr().err


ANSWER = {"input", "label", "probabilities"}


def test_predict_goes_on_after_lines_of_a_table_that_are_no_rows(tmp_path: Path) -> None:
    from fathom.errors import InputError
    from fathom.verbs.predict import items_of

    table = tmp_path / "a.csv"
    table.write_text("x,y\n1,2\n3\n4,5\n", encoding="utf-8")
    with pytest.raises(InputError, match="line 3: 1 cell under 2 columns"):
        list(items_of(table))
    said: list[str] = []
    assert [row for _, row in items_of(table, skip_bad=True, say=said.append)] == [
        {"x": 1, "y": 2}, {"x": 4, "y": 5},
    ]  # fmt: skip
    assert said == [f"{table}, line 3: 1 cell under 2 columns"]


def test_predict_writes_letters_as_they_are_where_the_output_has_them(
    run: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    green = pictures / "grüne Äpfel 1.png"
    (pictures / "0.png").rename(green)
    assert main(["predict", str(run), str(green)]) == 0
    assert f'{{"input": "{green}", "label"' in capsys.readouterr().out
    file = tmp_path / "a.jsonl"
    assert main(["predict", str(run), str(green), "--out", str(file)]) == 0
    assert "grüne Äpfel" in file.read_text(encoding="utf-8")
    narrow = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr("sys.stdout", narrow)
    assert main(["predict", str(run), str(green)]) == 0
    narrow.flush()
    assert rb"gr\u00fcne \u00c4pfel" in narrow.buffer.getvalue()


def test_generate_writes_letters_as_they_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("fathom.verbs.generate.generate", lambda *given, **wishes: {"text": "grüne Äpfel"})
    assert main(["generate", "run", "--json"]) == 0
    assert capsys.readouterr().out == '{"text": "grüne Äpfel"}\n'


def test_list_runs_and_prune(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--runs", str(run.parent), "--json"]) == 0
    (row,) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert row["state"] == "finished" and row["bytes"] > 0
    assert (run / "checkpoints").is_dir()
    assert main(["list", "--runs", str(run.parent), "--prune"]) == 0
    assert not (run / "checkpoints").exists()


@pytest.mark.slow
def test_export_then_predict_with_it_and_import(
    run: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import torch
    from safetensors.torch import load_file

    assert not (run / "model" / "model.onnx").exists()
    assert main(["export", str(run), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["equal"] is True
    table = tmp_path / "a.csv"
    assert main(["predict", str(run), str(pictures), "--out", str(table), "--backend", "onnx"]) == 0
    assert table.read_text().splitlines()[0].startswith("input,label,probabilities.-")
    torch.save({"state_dict": {"a": torch.ones(2, 3)}, "epoch": 3}, tmp_path / "x.pth")
    assert main(["import", str(tmp_path / "x.pth"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["tensors"] == 1
    assert torch.equal(load_file(tmp_path / "x.safetensors")["a"], torch.ones(2, 3))


class Payload:
    """What a hostile pickle looks like: it names a function to call."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        import os

        return os.system, ("touch /tmp/fathom-was-here",)


def test_import_runs_no_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import torch

    canary = Path("/tmp/fathom-was-here")
    canary.unlink(missing_ok=True)
    torch.save({"weights": Payload()}, tmp_path / "evil.pth")
    assert main(["import", str(tmp_path / "evil.pth")]) == 2
    assert "was not read" in capsys.readouterr().err
    assert not canary.exists() and not (tmp_path / "evil.safetensors").exists()


@pytest.mark.slow
def test_new_system_and_task_pass_their_tests_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The generated files, beside the package, are found by the scan and work."""
    import shutil
    import subprocess
    import sys

    checkout = tmp_path / "checkout"
    shutil.copytree(
        catalog.ROOT, checkout / "src" / "fathom", ignore=shutil.ignore_patterns("embedded", "__pycache__")
    )
    assert main(["new", "system", "first_net", "--root", str(checkout)]) == 0
    assert main(["new", "task", "sorting_rows", "--root", str(checkout)]) == 0
    assert main(["new", "system", "first_net", "--root", str(checkout)]) == 2
    assert main(["new", "system", "lenet", "--root", str(checkout)]) == 2
    shutil.copy(Path(__file__).parents[1] / "test_contract.py", checkout / "tests")
    shutil.copy(Path(__file__).parents[1] / "conftest.py", checkout / "tests")
    code = (
        f"import sys; sys.path.insert(0, {str(checkout / 'src')!r});"
        "import pytest; raise SystemExit(pytest.main(['-q', '-p', 'no:cacheprovider',"
        " '--import-mode=importlib', '-k',"
        f" 'first_net or sorting_rows or test_output or test_answers', {str(checkout / 'tests')!r}]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=checkout, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert "14 passed" in done.stdout or "15 passed" in done.stdout, done.stdout[-300:]


def documented() -> list[str]:
    """Every ``fathom ...`` line in the documents."""
    root = catalog.ROOT.parents[1]
    found: list[str] = []
    for file in [root / "README.md", root / "CONTRIBUTING.md", *(root / "docs").rglob("*.md")]:
        for block in re.findall(
            r"```(?:sh|bash|console|)\n(.*?)```", file.read_text(encoding="utf-8"), re.DOTALL
        ):
            found += [line.removeprefix("$ ") for line in block.splitlines()]
    return sorted({line for line in found if line.startswith("fathom ")})


@pytest.mark.parametrize("line", documented() or ["fathom list"])
def test_documented_commands_parse(line: str) -> None:
    words = shlex.split(line.split("  #")[0].split(" | ")[0].removesuffix(" &"))[1:]
    parser(words).parse_args(words)
