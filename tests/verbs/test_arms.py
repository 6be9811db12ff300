"""Arms: what a switch turns, what a promise needs, and a comparison from its command to its page."""

import json
import math
from pathlib import Path

import pytest

from fathom import catalog, evidence
from fathom.claim import promise
from fathom.cli.command import main
from fathom.errors import InputError
from fathom.training.trial import curve, trial
from fathom.verbs import arms as verb
from fathom.verbs import verify as checking


def test_a_switch_of_optimizers_lists_all_of_them() -> None:
    from fathom.training import optim

    found = verb.switched("lenet", "optimizer")
    assert list(found) == list(optim.choices())
    assert found["Lion"] == ("lenet", "learning.optimizer=Lion")
    assert type(verb.built(found["Lion"]).learning.optimizer).__name__ == "Lion"  # type: ignore[attr-defined]


def test_a_switch_of_a_bool_has_two_sides() -> None:
    found = verb.switched("lenet", "sparse")
    assert [verb.built(arm).model.sparse for arm in found.values()] == [False, True]  # type: ignore[attr-defined]


def test_settings_hold_for_every_arm() -> None:
    found = verb.switched("lenet", "batch_size", ["32", "64"], ["steps=7"])
    assert [(e.batch_size, e.steps) for e in map(verb.built, found.values())] == [(32, 7), (64, 7)]


def test_augmentation_is_switched_off() -> None:
    found = verb.switched("lenet", "augmentation")
    assert verb.built(found["with"]).augment and not verb.built(found["without"]).augment


@pytest.mark.parametrize(
    ("recipe", "switch", "values", "message"),
    [
        ("lenet", "learning_rate", [], "give two or more"),
        ("lenet", "optimizer", ["SGD"], "give two or more"),
        ("lenet", "optimizer", ["SGD", "Lyon"], "there is no optimizer 'Lyon'"),
        ("lenet", "nonsense", [], "there is no setting 'nonsense'"),
        ("lenet", "augmentation", ["half"], "'with' or 'without'"),
        ("char_lstm", "augmentation", [], "does not augment"),
        ("lenot", "optimizer", [], "did you mean 'lenet'"),
    ],
)
def test_what_cannot_be_switched_is_refused(
    recipe: str, switch: str, values: list[str], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        verb.switched(recipe, switch, values)


def test_widths_are_fitted_to_a_budget() -> None:
    arm = verb.at_budget("mnist", 60_000)
    sizes = {w: parameters(("mnist", f"model.width={w}")) for w in range(3, 40, 3)}
    assert parameters(arm) == min(sizes.values(), key=lambda n: abs(n - 60_000))
    with pytest.raises(InputError, match="has no width"):
        verb.at_budget("lenet", 60_000)


def parameters(arm: tuple[str, ...]) -> int:
    return sum(p.numel() for p in verb.built(arm).build().parameters())


def runs(**arms: list[float]) -> dict[str, list[dict[str, float]]]:
    return {
        arm: [{"loss": v} if math.isfinite(v) else {"diverged": 1.0} for v in values]
        for arm, values in arms.items()
    }


@pytest.mark.parametrize(
    ("text", "a", "b", "met"),
    [
        ("loss: a >= 0.5", [0.6, 0.5], [0, 0], True),
        ("loss: a >= 0.5", [0.6, 0.3], [0, 0], False),
        ("loss: a - b >= 0.1", [0.50, 0.51, 0.52], [0.3, 0.3, 0.3], True),
        ("loss: a - b >= 0.3", [0.50, 0.51, 0.52], [0.3, 0.3, 0.3], False),  # real, but too small
        ("loss: a - b >= 0.1", [0.9, 0.1, 0.5], [0.3, 0.3, 0.3], False),  # large enough, but it may be chance
        ("loss: a - b <= -0.1", [0.3, 0.3, 0.31], [0.5, 0.51, 0.5], True),
        ("loss: a - b <= 0.05", [0.31, 0.3, 0.3], [0.3, 0.3, 0.3], True),
        ("loss: a - b <= 0.05", [0.41, 0.3, 0.3], [0.3, 0.3, 0.3], False),
        ("loss: a - b >= -0.05", [0.31, 0.3, 0.3], [0.3, 0.3, 0.3], True),  # not worse by more than
        ("loss: a - b >= -0.05", [0.31, 0.1, 0.5], [0.3, 0.3, 0.3], False),
        ("loss: a - b >= 0.1", [0.5], [0.3], True),  # one measurement without chance in it
        ("loss: a - b >= 0.1", [0.5, math.inf], [0.3, 0.3], False),
    ],
)
def test_when_a_promise_is_kept(text: str, a: list[float], b: list[float], met: bool) -> None:
    found = verb.judged(promise(text), runs(a=a, b=b))
    assert found["met"] is met
    assert ("why" in found) == (math.inf in a)


def test_tests_are_paired_by_seed_and_corrected() -> None:
    from scipy import stats

    measured = runs(a=[0.1, 0.2, 0.4], b=[0.2, 0.33, 0.5], c=[0.1, 0.25, 0.4])
    found = verb.paired_tests(measured, ["loss"])
    raw = [stats.ttest_rel([0.2, 0.33, 0.5], [0.1, 0.2, 0.4]).pvalue,
           stats.ttest_rel([0.1, 0.25, 0.4], [0.1, 0.2, 0.4]).pvalue]  # fmt: skip
    assert [t["a"] for t in found] == ["b", "c"] and {t["b"] for t in found} == {"a"}
    assert found[0]["p_value"] == pytest.approx(min(1, 2 * min(raw)))
    assert found[1]["p_value"] == pytest.approx(max(2 * min(raw), max(raw)))
    assert verb.paired_tests(runs(a=[0.1], b=[0.2]), ["loss"]) == []


def test_a_learning_curve_keeps_every_loss() -> None:
    losses = [float(i) for i in range(123)]
    points = curve(losses)
    assert len(points) <= 50 and points[-1][0] == 123 and points[0] == (3, 1.0)
    assert curve([5.0]) == [(1, 5.0)]


def test_a_trial_that_diverges_says_so() -> None:
    broken = verb.built(("lenet", "learning.optimizer=SGD", "learning_rate=1e37", "steps=30"))
    found = trial(broken).metrics
    assert found["diverged"] == 1 and found["steps"] < 30
    assert "train/loss" not in found and "valid/accuracy" not in found


@pytest.mark.slow
def test_a_comparison_from_command_to_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.html"
    command = ["compare", "lenet", "--switch", "optimizer", "--values", "SGD,Lion", "--set", "steps=25",
               "--seeds", "2", "--processes", "1", "--out", str(page)]  # fmt: skip
    assert main(command) == 0
    shown = capsys.readouterr().out
    assert "valid/accuracy, Lion - SGD" in shown and f"page  {page}" in shown
    text = page.read_text(encoding="utf-8")
    assert "lenet: optimizer" in text and "Paired tests on the same seeds" in text
    record = json.loads(page.with_suffix(".json").read_text(encoding="utf-8"))
    again = trial(verb.built(("lenet", "steps=25", "learning.optimizer=Lion")), seed=1).metrics
    kept = record["runs"]["Lion"][1]
    assert {k: kept[k] for k in kept if k != "seconds"} == {k: again[k] for k in again if k != "seconds"}
    assert record["settings"]["learning.optimizer"] == ["SGD", "Lion"]


@pytest.mark.slow
def test_sizes_at_one_budget_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Before the first step, in the table, on the page and in the record beside it."""
    page = tmp_path / "page.html"
    command = ["compare", "mlp_mnist", "mnist", "--budget-params", "26000", "--set", "augment=()",
               "--set", "steps=2", "--seeds", "1", "--processes", "1", "--out", str(page)]  # fmt: skip
    assert main(command) == 0
    shown = capsys.readouterr()
    counts = {name: parameters(verb.at_budget(name, 26_000)) for name in ("mlp_mnist", "mnist")}
    assert all(abs(count - 26_000) < 260 for count in counts.values()) and len(set(counts.values())) == 2
    told = ", ".join(f"{name}: {count:,} parameters" for name, count in counts.items())
    assert shown.err.startswith(told)
    head, *rows = shown.out.splitlines()
    assert head.split()[0] == "parameters"
    for row, (name, count) in zip(rows[:2], counts.items(), strict=True):
        assert row.split()[:2] == [name, f"{count:,}"]
    assert json.loads(page.with_suffix(".json").read_text(encoding="utf-8"))["parameters"] == counts
    text = page.read_text(encoding="utf-8")
    assert "Parameters" in text and all(f"{count:,}" in text for count in counts.values())


def test_a_table_without_a_budget_tells_no_sizes(capsys: pytest.CaptureFixture[str]) -> None:
    from fathom.cli.compare import table

    score = {"valid/accuracy": {"mean": 0.5, "low": 0.4, "high": 0.6, "seeds": 2}}
    table({"summary": {"a": score, "b": score}, "parameters": {"a": 7, "b": 7}}, sized=False)
    assert "parameters" not in capsys.readouterr().out
    table({"summary": {"a": score, "b": score}, "parameters": {"a": 1234, "b": 7}}, sized=True)
    assert [line.split()[1] for line in capsys.readouterr().out.splitlines()[1:]] == ["1,234", "7"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["lenet"], "name another, or a switch"),
        (["lenet", "mnist", "--switch", "optimizer"], "turns one setting of one recipe"),
        (["lenet", "mnist", "--values", "a,b"], "--values belong to a switch"),
        (["mnist", "mnist_quick", "--budget-params", "0"], "must be 1 or more"),
        (["lenet", "--switch", "sparse", "--seeds", "0"], "must be 1 or more"),
        (["runs/a"], "name two, or a recipe"),
    ],
)
def test_bad_words_are_refused(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", *words]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.slow
def test_a_claim_is_verified_and_its_record_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from fathom.claim import Claim

    monkeypatch.setenv("FATHOM_EVIDENCE", str(tmp_path))
    claim = Claim(
        sentence="Steps help.", rows=("NF09",), source="this test", seeds=3,
        expect=("valid/accuracy: long - short >= 0.05", "diverged: long >= 1"),
        arms={"short": ("lenet", "steps=2"), "long": ("lenet", "steps=30")},
    )  # fmt: skip
    entry = catalog.ClaimEntry("steps_help", catalog.__name__, Path(catalog.__file__), claim)
    monkeypatch.setattr(catalog, "claims", lambda: {"steps_help": entry})
    assert main(["verify", "NF09x"]) == 2 and "there is no" in capsys.readouterr().err
    assert main(["verify", "steps_help", "--processes", "1"]) == 0  # what does not hold is an answer, too
    assert "did NOT hold" in capsys.readouterr().out  # the second promise cannot
    assert main(["list", "--claims"]) == 0 and "did NOT hold  Steps help." in capsys.readouterr().out
    assert main(["show", "steps_help", "--page", str(tmp_path / "claim.html")]) == 0
    assert "Steps help." in (tmp_path / "claim.html").read_text(encoding="utf-8")
    assert main(["show", "steps_help"]) == 0 and "did NOT hold" in capsys.readouterr().out
    record = evidence.claims()["steps_help"]
    assert [p["met"] for p in record["expect"]] == [True, False] and not record["met"]
    assert evidence.fresh(record) and len(record["curves"]["long"]) == 30
    row = evidence.table(["NF09"])[0]
    claim_row = evidence.parts(catalog.inventory()["NF04"], [], {}, evidence.claims())
    assert row["trained"] is None and claim_row["trained"] is not None
    sung = checking.canary(["steps_help"])
    assert sung["claims/steps_help"]["passed"] and sung["claims/steps_help"]["largest"] == 0
    assert checking.verify(["steps_help"])["steps_help"] == record  # fresh: not run again
