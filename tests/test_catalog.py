"""The catalogue, the ledger, and documents whose numbers come from records."""

import csv
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fathom import catalog, evidence
from fathom.cli.command import main
from fathom.errors import InputError
from fathom.verbs import documents, verify

HERE = Path(__file__).parent


def test_inventory_is_whole() -> None:
    rows = catalog.inventory()
    assert len(rows) == 393
    assert rows["CL04"].item == "LeNet-5"
    text = (catalog.ROOT / "inventory.csv").read_text(encoding="utf-8")
    odd = [fields[0] for fields in csv.reader(text.splitlines()) if len(fields) != 6]
    assert not odd, f"a comma that stands outside of quotes cuts these rows: {odd}"


def test_recipes_promise_something_and_load() -> None:
    for entry in catalog.recipes().values():
        assert entry.summary, f"{entry.name} has no docstring"
        assert entry.system in catalog.systems()
    assert catalog.recipe("lenet").load()().expect


def test_unknown_names_are_refused_with_the_nearest() -> None:
    with pytest.raises(InputError, match="'lenet'"):
        catalog.system("lennet")
    with pytest.raises(InputError, match="image_classification"):
        catalog.task("image_clasification")


def test_every_row_has_its_five_promises(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["catalog", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(rows) == 393
    for row in rows:
        assert set(row) == {"id", "item", *evidence.PARTS}
        for part in evidence.PARTS:
            value = row[part]
            assert value is None or "ok" in value
            if value and value["ok"] is None:
                assert value["amber"] == "needs a GPU" and value["record"] is None
    assert main(["catalog", "CL04", "--json"]) == 0
    (row,) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert row["readable"]["ok"] is True
    assert main(["catalog", "CL4"]) == 2


def fake_record(**changes: Any) -> dict[str, Any]:
    return {
        "recipe": "lenet", "system": "lenet", "code": evidence.code_hash("lenet"), "met": True,
        "parity": {"passed": 3}, "export": {"equal": True},
        "expect": [{"metric": "test/accuracy", "met": True}], "summary": {"test/accuracy": {"mean": 0.5}},
    } | changes  # fmt: skip


def test_a_record_is_fresh_while_code_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FATHOM_EVIDENCE", str(tmp_path))
    assert evidence.fresh(fake_record())
    stale = fake_record(code="0" * 64)
    assert not evidence.fresh(stale)
    verify.store(evidence.CANARIES, {"lenet": {"passed": True, "code": evidence.code_hash("lenet")}})
    assert evidence.fresh(stale)
    verify.store(evidence.CANARIES, {"lenet": {"passed": False, "code": evidence.code_hash("lenet")}})
    assert not evidence.fresh(stale)
    verify.store("lenet.json", stale)
    (row,) = evidence.table(["CL04"])
    assert row["trained"] == {"ok": True, "fresh": False, "record": "evidence/lenet.json"}


def sparse_record(**changes: Any) -> dict[str, Any]:
    return fake_record(recipe="lenet_sparse", code=evidence.code_hash("lenet_sparse")) | changes


def test_a_row_needs_every_promise_of_its_recipes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not the first that was kept, in whatever order they lie there."""
    monkeypatch.setenv("FATHOM_EVIDENCE", str(tmp_path))

    def row(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
        verify.store("lenet.json", first)
        verify.store("lenet_sparse.json", second)
        (found,) = evidence.table(["CL04"])
        return found

    assert row(fake_record(), sparse_record())["trained"]["ok"]
    unmet = {"ok": False, "fresh": True, "record": "evidence/lenet_sparse.json"}
    assert row(fake_record(), sparse_record(met=False))["trained"] == unmet
    unmet["record"] = "evidence/lenet.json"
    assert row(fake_record(met=False), sparse_record())["trained"] == unmet
    stale = row(fake_record(), sparse_record(code="0" * 64))["trained"]
    assert stale == {"ok": True, "fresh": False, "record": "evidence/lenet.json"}
    ships = row(fake_record(), sparse_record(export={"equal": False}))["ships"]
    assert ships == {"ok": False, "fresh": True, "record": "evidence/lenet_sparse.json"}


def test_what_promises_nothing_proves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A recipe without ``expect`` is met by anything: it neither makes a row nor breaks it."""
    monkeypatch.setenv("FATHOM_EVIDENCE", str(tmp_path))
    verify.store("lenet_sparse.json", sparse_record(expect=[]))
    (row,) = evidence.table(["CL04"])
    assert row["trained"] == {"ok": False, "fresh": False, "record": None}
    assert row["parity"]["ok"] and row["ships"]["ok"]  # of these it does tell
    verify.store("lenet.json", fake_record())
    (row,) = evidence.table(["CL04"])
    assert row["trained"] == {"ok": True, "fresh": True, "record": "evidence/lenet.json"}


def claim_record(name: str, **changes: Any) -> dict[str, Any]:
    return {"claim": name, "met": True, "code": evidence.claim_hash(name)} | changes


def test_a_claim_can_be_read_and_shows_what_it_is_about(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row that only claims are about is readable through them; all of them must have held."""
    monkeypatch.setenv("FATHOM_EVIDENCE", str(tmp_path))
    name = "width_lowers_error"
    file = f"evidence/claims/{name}.json"
    assert not any("NF05" in entry.card.rows for entry in catalog.entries().values())
    (row,) = evidence.table(["NF05"])
    assert row["readable"]["ok"] and row["trained"] == {"ok": False, "fresh": False, "record": None}
    verify.store(f"claims/{name}.json", claim_record(name))
    (row,) = evidence.table(["NF05"])
    assert row["trained"] == {"ok": True, "fresh": True, "record": file} and row["ships"] is None
    verify.store(f"claims/{name}.json", claim_record(name, met=False, code="0" * 64))
    (row,) = evidence.table(["NF05"])
    assert row["trained"] == {"ok": False, "fresh": False, "record": file}


def test_a_held_claim_does_not_hide_a_recipe_that_fell_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FATHOM_EVIDENCE", str(tmp_path))
    name = "topologies_at_one_budget"
    reader = {"recipe": "row_reader", "system": "row_reader", "code": evidence.code_hash("row_reader")}
    verify.store(f"claims/{name}.json", claim_record(name))
    (row,) = evidence.table(["NF13"])
    assert row["trained"]["ok"] and row["ships"] is None
    verify.store("row_reader.json", fake_record(**reader))
    (row,) = evidence.table(["NF13"])
    assert row["trained"]["ok"] and row["ships"]["ok"]
    verify.store("row_reader.json", fake_record(**reader, met=False))
    (row,) = evidence.table(["NF13"])
    assert row["trained"] == {"ok": False, "fresh": True, "record": "evidence/row_reader.json"}


def test_what_must_run_is_unproven_until_a_record_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that ask for no training, "Runs: ...", are not left out: warm-ups in a browser need one."""
    monkeypatch.setenv("FATHOM_EVIDENCE", str(tmp_path))
    runs = [row for row in catalog.inventory().values() if row.works.startswith("Runs:")]
    assert {"MA14", "NF14", "LO06"} <= {row.id for row in runs}
    shown = {row["id"]: row for row in evidence.table([row.id for row in runs])}
    assert not any(row["trained"] is None or row["trained"]["ok"] for row in shown.values())
    assert shown["MA14"]["readable"]["ok"] and shown["NF14"]["readable"]["ok"]
    name = "own_module_goes_the_whole_way"
    verify.store(f"claims/{name}.json", claim_record(name))
    (row,) = evidence.table(["NF14"])
    assert row["trained"] == {"ok": True, "fresh": True, "record": f"evidence/claims/{name}.json"}


def topic_record(name: str, **changes: Any) -> dict[str, Any]:
    return {"topic": name, "passed": True, "code": evidence.topic_hash(name)} | changes


def test_a_row_is_taught_when_a_topic_that_names_it_proved_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not when it is only to come, nor when the proof failed; and fresh while nothing changed since."""
    monkeypatch.setenv("FATHOM_EVIDENCE", str(tmp_path))
    assert {"CL01"} == set(catalog.topics()["convolution"].rows) and "cnn" not in catalog.topics()
    file = "evidence/topics/convolution.json"

    def taught(row: str = "CL01") -> dict[str, Any]:
        return evidence.table([row])[0]["taught"]

    assert taught() == {"ok": False, "fresh": False, "record": None}
    verify.store("topics/convolution.json", topic_record("convolution"))
    assert taught() == {"ok": True, "fresh": True, "record": file}
    assert not taught("CL04")["ok"], "no written topic names it"
    verify.store("topics/convolution.json", topic_record("convolution", code="0" * 64))
    assert taught() == {"ok": True, "fresh": False, "record": file}
    verify.store("topics/convolution.json", topic_record("convolution", passed=False))
    assert taught() == {"ok": False, "fresh": True, "record": file}
    verify.store("topics/cnn.json", {"topic": "cnn", "passed": True, "code": "0" * 64})
    assert set(evidence.topics()) == {"convolution"}, "a record without its topic is none"


def test_of_several_topics_one_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FATHOM_EVIDENCE", str(tmp_path))
    mlp, backprop = catalog.topics()["mlp"], catalog.topics()["backprop"]
    both = {"mlp": mlp, "backprop": replace(backprop, rows=(*backprop.rows, "NF04"))}
    monkeypatch.setattr(catalog, "topics", lambda: both)
    row = catalog.inventory()["NF04"]
    failed, old = topic_record("mlp", passed=False), topic_record("mlp", code="0" * 64)
    for first, told in ((failed, (True, True)), (old, (True, True)), (topic_record("mlp"), (True, True))):
        found = evidence.taught(row, {"mlp": first, "backprop": topic_record("backprop")})
        assert found is not None and (found["ok"], found["fresh"]) == told
    stale = topic_record("backprop", code="0" * 64)
    found = evidence.taught(row, {"mlp": failed, "backprop": stale})
    assert found == {"ok": True, "fresh": False, "record": "evidence/topics/backprop.json"}


def test_the_catalogue_and_the_map_read_the_same_heads() -> None:
    from fathom.learn.engine import curriculum

    written = {slug: head for slug, head in curriculum.heads().items() if head.written}
    assert {name: topic.rows for name, topic in catalog.topics().items()} == {
        slug: head.rows for slug, head in written.items()
    }


def test_the_hash_of_a_topic_sees_its_folder_the_library_and_the_grader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = catalog.topics()["convolution"]
    copied = tmp_path / "convolution"
    shutil.copytree(topic.path, copied, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(catalog, "topics", lambda: {"convolution": replace(topic, path=copied)})

    def now() -> str:
        evidence.topic_hash.cache_clear()
        return evidence.topic_hash("convolution")

    try:
        first = now()
        page = copied / "topic.md"
        page.write_bytes(page.read_bytes().replace(b"\n", b"\r\n"))  # as some checkouts have it
        (copied / "figure.cpython-311.pyc").write_bytes(b"compiled")
        assert now() == first
        exercise = copied / "exercises" / "slide.py"
        before = exercise.read_text(encoding="utf-8")
        exercise.write_text(before.replace("HINTS", "HINTS "), encoding="utf-8")
        assert now() != first
        exercise.write_text(before, encoding="utf-8")
        assert now() == first
        for name in ("fundamentals/convolution/convolution.py", "learn/engine/grade.py"):
            with monkeypatch.context() as patched:
                changed = catalog.ROOT / name
                patched.setattr(evidence, "tree_hash", hash_with_change(changed))
                evidence.module_hash.cache_clear()
                assert now() != first, name
    finally:
        evidence.module_hash.cache_clear()
        evidence.topic_hash.cache_clear()


def hash_with_change(changed: Path) -> Any:
    """The hash of a file's tree, as if this one had changed."""
    real = evidence.tree_hash
    return lambda file: b"another" if file == changed else real(file)


def test_what_a_topic_uses_is_quoted_on_its_page_or_imported() -> None:
    used = evidence.used(catalog.topics()["convolution"].path)
    assert {"fathom.fundamentals.convolution.convolution", "fathom.fundamentals.optimizers.sgd"} <= used


def test_a_row_about_the_curriculum_is_fulfilled_by_a_file_or_a_page_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such a file names its rows; no page is about them, so they are not taught."""
    monkeypatch.setenv("FATHOM_EVIDENCE", str(tmp_path))
    shown = {row["id"]: row for row in evidence.table(["LP"])}
    assert catalog.curriculum()["LP01"].name == "roadmaps.py"
    for row in catalog.curriculum():
        assert shown[row]["readable"]["ok"] and shown[row]["taught"] is None
        assert row.startswith(evidence.CURRICULUM) and row in catalog.inventory()
    named = {row for topic in catalog.topics().values() for row in topic.rows}
    for row in set(shown) - set(catalog.curriculum()):
        assert shown[row]["readable"]["ok"] is (row in named), row
        assert not shown[row]["taught"]["ok"]


def test_a_file_that_fulfils_a_row_has_a_test_of_that_name() -> None:
    """The row's criterion, as it stands in the inventory: test_lp01_..."""
    tests = "".join(f.read_text(encoding="utf-8") for f in sorted((HERE / "learn").glob("test_*.py")))
    for row in catalog.curriculum():
        assert f"\ndef test_{row.lower()}_" in tests, row


def test_the_catalogue_needs_no_torch() -> None:
    code = (
        "import sys; from fathom.cli.command import main; main(['catalog', 'LP', 'CL01', 'NF']);"
        "assert 'torch' not in sys.modules and 'fathom.learn' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_row_of_the_first_chapters_can_be_read() -> None:
    for row in evidence.table(["MA", "NF", "AC", "LO", "IN", "OP", "SC", "RN"]):
        assert row["readable"]["ok"], row["id"]


def test_a_row_that_refers_to_another_names_it_and_says_what_kind_of_proof() -> None:
    """The marks are read row by row: "same" alone would ask for nothing."""
    for row in catalog.inventory().values():
        assert not row.works.startswith(("same ", "same;", "as above")) or row.chapter.startswith("Learning")
        assert row.works != "same"


CARD = 'CARD = Card(\n    title="a (b",\n    summary="""\nAt the margin) of a text\n""",\n)\n'


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", ""),
        ('"""Idea."""\n', "\n\ndef build():\n    return 3\n"),
        (f"TEMPLATE = '''\n{CARD.replace('a (b', 'another')}'''\n", "\nlast = 1"),
        ("import math\n", '\n"""A text that is never closed.'),
    ],
)
def test_a_card_is_read_and_what_stands_below_it_is_not(before: str, after: str, tmp_path: Path) -> None:
    file = tmp_path / "net.py"
    file.write_text(f"{before}\n{CARD}{after}", encoding="utf-8")
    assert catalog.literal(file, "CARD") == {"title": "a (b", "summary": "\nAt the margin) of a text\n"}


@pytest.mark.parametrize("text", ["", f"TEMPLATE = '''\n{CARD}'''\n", f"if True:\n    {CARD[:-1]}"])
def test_a_card_inside_a_text_or_a_block_is_none(text: str, tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(text, encoding="utf-8")
    assert catalog.literal(tmp_path / "net.py", "CARD") is None


def test_code_hash_sees_code_and_not_docstrings(tmp_path: Path) -> None:
    first, second, third = (tmp_path / n for n in ("a.py", "b.py", "c.py"))
    first.write_text('"""One."""\nx = 1\n')
    second.write_text('"""Two."""\n# why\nx  =  1\n')
    third.write_text('"""One."""\nx = 2\n')
    assert evidence.tree_hash(first) == evidence.tree_hash(second) != evidence.tree_hash(third)


def test_code_hash_reaches_what_a_recipe_imports() -> None:
    files = {p.relative_to(catalog.ROOT).as_posix() for p in evidence.reached("fathom.recipes.lenet")}
    assert {"architectures/convolutional/lenet.py", "training/loop.py", "data/transforms.py"} <= files
    assert not any(f.startswith(("cli/", "verbs/", "report/")) for f in files)


def test_what_to_verify_is_found_by_name_or_row_and_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Recipes are built only where it is asked what they promise: that may read a data set."""
    asked: list[str] = []
    monkeypatch.setattr(verify, "promising", lambda recipes: asked.extend(recipes) or recipes)
    assert verify.chosen(["lenet", "gelu", "focal_loss_finds_the_few"]) == (
        ["lenet"], ["gelu"], ["focal_loss_finds_the_few"],
    )  # fmt: skip
    assert not asked
    found = verify.chosen(["CL04", "lenet", "lenet"])[0]
    assert found.count("lenet") == 1 and found == asked
    assert {catalog.recipe(recipe).system for recipe in asked} == {"lenet"}


@pytest.fixture(scope="module")
def sung() -> dict[str, Any]:
    return verify.sing("lenet")


def test_canary_sings_the_same_twice(sung: dict[str, Any]) -> None:
    assert verify.sing("lenet") == sung
    assert len(sung["losses"]) == 20 and len(set(sung["losses"])) > 10


def test_canary_notices_other_losses(
    sung: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FATHOM_EVIDENCE", str(tmp_path))
    verify.store("lenet.json", fake_record(canary=sung))
    assert verify.canary(["lenet"])["lenet"]["passed"]
    wrong = dict(sung, losses=[x * 1.0001 for x in sung["losses"]])
    verify.store("lenet.json", fake_record(canary=wrong))
    assert not verify.canary(["lenet"])["lenet"]["passed"]
    assert main(["verify", "--canary"]) == 1


def test_chaos_is_measured_by_several_nudges(monkeypatch: pytest.MonkeyPatch) -> None:
    """One nudge may change nothing, by luck; what differs before any of them does is another song.

    What breaks out in one arm allows nothing in the next: each begins anew.
    """
    heard: list[float] = []

    def songs(name: str, nudge: float = 0.0) -> list[list[float]]:
        heard.append(nudge / verify.ROUNDING)
        return [[1.0, 1.001 if nudge >= 4 * verify.ROUNDING else 1.0, 1.0], [1.0]]

    def same(*gaps: float) -> bool:
        heard.clear()
        return verify.within(list(gaps), verify.allowed("any", list(gaps)))

    monkeypatch.setattr(verify, "songs", songs)
    assert same(0.0, 0.005, 0.002, 0.0) and heard == [0, 1, 4]
    assert not same(1e-4, 0.0, 0.0, 0.0) and heard == [0, *verify.NUDGES]
    assert not same(0.0, 0.0, 0.0, 0.002)
    assert same(5e-6, 0.0, 0.0, 0.0) and heard == [0, 1]


def test_other_losses_say_where_they_begin() -> None:
    assert verify.heard([0.0, 0.0], [0.0, 0.0], exact=True) == "same losses"
    assert verify.heard([0.0, 1e-6], [1e-5, 1e-5], exact=False) == "same losses, within rounding"
    assert "the 2. of 3 is 2.0e-03 off, and 1.0e-05 is allowed" in verify.heard(
        [0.0, 2e-3, 3e-3], [1e-5] * 3, exact=False
    )


@pytest.mark.parametrize(
    ("given", "values", "seconds", "met"),
    [
        ({"at_least": 0.9, "seeds": 2}, [0.95, 0.86], 10, True),  # the mean
        ({"at_least": 0.9, "seeds": 2}, [0.95, 0.84], 10, False),
        ({"at_most": 1.0, "seeds": 1}, [0.99], 10, True),
        ({"at_least": 475.0, "seeds": 3, "passing": 2}, [500.0, 480.0, 20.0], 10, True),
        ({"at_least": 475.0, "seeds": 3, "passing": 3}, [500.0, 480.0, 20.0], 10, False),
        ({"at_least": 0.9, "seeds": 1, "minutes": 5}, [0.95], 301, False),  # too slow
    ],
)
def test_promises_are_judged(given: dict[str, Any], values: list[float], seconds: float, met: bool) -> None:
    from fathom.training import Expect

    given = {k: float(v) if k == "minutes" else v for k, v in given.items()}
    runs = [{"metrics": {"m": v}, "seconds": float(seconds)} for v in values]
    assert verify.judge(Expect(metric="m", **given), runs)["met"] is met


def test_documents_are_filled_and_hold_no_other_numbers() -> None:
    for file in documents.documents():
        text = file.read_text(encoding="utf-8")
        assert documents.check(file) == []
        assert documents.fill(text) == text, f"{file.name} is not up to date: fathom catalog --write"


@pytest.mark.parametrize(
    ("text", "bad"),
    [
        ("It is 3 % better.", 1), ("in 12 s", 1), ("200 MB of it", 1), ("2.5x faster", 1),
        ("0.99 accuracy", 1), ("`99 %` and\n```\n5 s\n```", 0), ("Python 3.11", 0),
        ("<!-- record: a.b -->0.99<!-- end --> accuracy", 0),
    ],
)  # fmt: skip
def test_stray_numbers_are_found(text: str, bad: int, tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text(text)
    assert len(documents.check(tmp_path / "page.md")) == bad


def test_convolutional_families_are_measured_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the same switches, and our defaults against each library at its best; a dash where not.

    A missed goal is marked in its own cell.
    """
    what = "ResNet-18: milliseconds, training step, batch 4"
    gate = "upper end <= 1.02"
    same = [
        {"what": what, "ratio": "1.001 (0.990 to 1.030)", "goal": gate},
        {"what": "ResNet-18: MB kept for the backward pass, batch 4", "ratio": "1.000", "goal": "<= 1.0"},
        {"what": "ResNet-18: milliseconds, ONNX inference, batch 4", "ratio": "0.997", "goal": "<= 1.0"},
        {"what": f"{what}, beside timm", "ratio": "1.002 (0.990 to 1.020)", "goal": gate},
    ]
    results = {"architectures": {"rows": same, "details": {}}}

    def result(name: str) -> dict[str, Any]:
        if name not in results:
            raise FileNotFoundError(name)
        return results[name]

    monkeypatch.setattr(documents, "result", result)
    first = (
        "| ResNet-18: training step, batch 4 | 1.001 (0.990 to 1.030) **missed** | 1.002 (0.990 to 1.020) | -"
    )
    assert documents.families_table().splitlines()[2:] == [f"{first} | - |"]
    timm = {"what": f"{what}, our defaults, timm at its best", "ratio": "1.130", "goal": "<= 0.95"}
    results["architecture_defaults"] = {"rows": [timm], "details": {}}
    assert documents.families_table().splitlines()[2:] == [f"{first} | 1.130 **missed** |"]


def test_models_of_text_are_measured_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """A row for what was measured both ways; of minutes or of tokens a second."""
    step, written = "BERT-base: milliseconds, training step, 4 x 128 tokens", "GPT-2: tokens written a second"
    gate = "ratio <= 1"
    rows = [{"what": what, "ratio": "0.99", "goal": gate} for what in (step, written, "x")]
    results = {"language_models": {"rows": rows, "details": {}}}

    def result(name: str) -> dict[str, Any]:
        if name not in results:
            raise FileNotFoundError(name)
        return results[name]

    monkeypatch.setattr(documents, "result", result)
    assert len(documents.texts_table().splitlines()) == 2
    goals = {step: "<= 0.95 (a goal, no gate)", written: ">= 1.05 (a goal, no gate)"}
    both = [{"what": f"{what}, our defaults", "ratio": "1.2", "goal": goal} for what, goal in goals.items()]
    results["language_defaults"] = {"rows": both, "details": {}}
    assert documents.texts_table().splitlines()[2:] == [
        "| BERT-base: training step, 4 x 128 tokens | 0.99 | 1.2 **missed** |",
        f"| {written} | 0.99 | 1.2 |",
    ]


def test_what_was_measured_on_two_processors_names_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And only that: most benchmarks were run on one."""
    folder = tmp_path / "benchmarks" / "results"
    folder.mkdir(parents=True)
    plain = {"ours": "3", "other": "2", "ratio": "1.5", "goal": "none"}
    for name, whats in (("first", ["writing", "reading"]), ("second", ["writing"])):
        about = {"machine": {"processor": f"{name} processor"}}
        rows = [{"what": what, **plain, "about": about} for what in whats]
        (folder / f"{name}.json").write_text(json.dumps({"rows": rows, "details": {}}), encoding="utf-8")
    monkeypatch.setattr(documents, "ROOT", tmp_path)
    told = [row.split(" | ")[0] for row in documents.benchmarks_table().splitlines()[2:]]
    assert told == ["| writing (first processor)", "| reading", "| writing (second processor)"]


def test_what_has_no_record_names_the_claim_that_measures_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A recipe that is an arm of a claim, or that a claim opens; a system through any of its recipes."""
    monkeypatch.setenv("FATHOM_EVIDENCE", str(tmp_path))
    readers = "few_readers_beat_counts"
    said = catalog.claim("skips_train_56_layers").claim
    assert said.arms and not catalog.claim(readers).claim.arms

    def lines(table: str, name: str) -> str:
        (line,) = (line for line in documents.TABLES[table]().splitlines() if name in line)
        return line

    own = "no record of its own; measured by the claim"
    assert lines("unproven", "recipe `text_lstm`").endswith(f"{own} `{readers}` (not yet)")
    assert lines("unproven", "recipe `minilm_frozen`").endswith(f"{own} `{readers}` (not yet)")
    assert lines("unproven", "recipe `bert_captions`").endswith(f"{own} `both_sides_tell_more` (not yet)")
    assert lines("unproven", "`cifar10_residual56`").endswith(f"{own} `skips_train_56_layers` (not yet)")
    assert lines("unproven", "recipe `lenet_sparse`").endswith("`lenet_sparse`: no record")
    verify.store(f"claims/{readers}.json", claim_record(readers))
    state = "none of its own; measured by the claim"
    assert lines("systems", "[text_lstm.py]").endswith(f"| - | {state} `{readers}` (fresh) |")
    verify.store(f"claims/{readers}.json", claim_record(readers, code="0" * 64))
    both = f"{state}s `both_sides_tell_more` (not yet), `{readers}` (stale) |"
    assert lines("systems", "[bert.py]").endswith(both)
    # `lenet` is no recipe of any claim
    assert lines("systems", "[lenet.py]").endswith("| none yet |")


def test_a_recipe_that_promises_nothing_is_listed_with_what_is_quoted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FATHOM_EVIDENCE", str(tmp_path))
    values = {"seconds": 366.6, "test/accuracy": 0.7, "test/bleu": 31.99059, "valid/bleu": 32.0}
    summary = {name: {"mean": value, "median": value} for name, value in values.items()}
    record = fake_record(recipe="transformer_multi30k", expect=[], runs=[{}], summary=summary)
    verify.store("transformer_multi30k.json", record)
    row = "| `transformer_multi30k` | test/bleu | no promise | 31.9906 | 1 | 367 | - |"
    assert documents.promises_table().splitlines()[2:] == [row]
    assert documents.headline(record) == "test/bleu 31.99"
    del summary["test/bleu"]
    assert documents.headline(record) == "test/accuracy 0.7"


def test_every_record_stands_in_the_results() -> None:
    page = (documents.ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    assert not [name for name in evidence.records() if f"| `{name}` |" not in page]


def test_minutes_of_training_are_shown_with_their_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = {n: r for n, r in evidence.records().items() if r["data"].get("source") == "cifar10"}
    name, record = next(iter(kept.items()))
    record["summary"]["seconds"]["median"] = 270.0
    for threads, told in ((1, "4.5 (1 thread)"), (2, "4.5 (2 threads)")):
        monkeypatch.setattr(evidence, "records", lambda n=threads: {name: record | {"threads": n}})
        (row,) = documents.photographs_table().splitlines()[2:]
        assert f" | {told} | " in row


def test_parity_of_a_system_is_how_many_of_its_own_tests_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    from fathom.verbs import parity

    oracle = catalog.entry("lenet").card.oracle
    monkeypatch.setattr(parity, "tests_passed", lambda names: {name: 7 for name in names})
    file = "tests/architectures/convolutional/test_lenet.py"
    assert verify.parity("lenet") == {"oracle": oracle, "tests": file, "passed": 7}
    monkeypatch.setattr(parity, "tests_passed", lambda names: parity.test_file("no_such_system"))
    assert verify.parity("lenet") == {"oracle": oracle, "tests": None, "passed": 0}  # no tests are installed


@pytest.mark.slow
def test_tests_are_counted_and_one_that_fails_counts_for_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fathom.verbs import parity

    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_whole.py").write_text("def test_a(): pass\ndef test_b(): pass\n")
    (tmp_path / "tests" / "test_torn.py").write_text("def test_a(): pass\ndef test_b(): assert False\n")
    monkeypatch.setattr(catalog, "ROOT", tmp_path / "src" / "fathom")
    assert parity.tests_passed(["whole", "torn"]) == {"whole": 2, "torn": 0}
