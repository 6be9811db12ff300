"""``predict`` and ``generate``: files, folders and tables in, one answer for each."""

import csv
import json
from pathlib import Path

import pytest

from fathom import catalog
from fathom.cli.command import main
from fathom.deployment.artifact import describe
from fathom.errors import InputError
from fathom.training.run import Run
from fathom.verbs.generate import generate
from fathom.verbs.predict import predict, texts_of
from fathom.verbs.train import train

pytestmark = pytest.mark.slow
Shown = pytest.CaptureFixture[str]


def tiny(name: str, folder: Path) -> Run:
    """Two steps of the system's tiny run."""
    experiment = catalog.system(name).load().tiny()
    return train(experiment, out=folder / name, export=False, settings=[("steps", "2")])


def test_each_row_of_a_table_has_an_answer(tmp_path: Path, capsys: Shown) -> None:
    run = tiny("house_prices", tmp_path)
    columns = [c["name"] for c in run.record["experiment"]["task"]["columns"]]
    rows = [dict.fromkeys(columns, str(i)) for i in range(1, 4)]
    table, answers = tmp_path / "rows.csv", tmp_path / "answers.csv"
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
    assert main(["predict", str(run.folder), str(table)]) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [t["input"] for t in told] == [f"{table}:{i}" for i in (1, 2, 3)]
    assert [t["value"] for t in told] == pytest.approx([run.predict(row)["value"] for row in rows])
    assert main(["predict", str(run.folder), str(table), "--out", str(answers)]) == 0
    assert not capsys.readouterr().out
    with answers.open(newline="", encoding="utf-8") as file:
        kept = list(csv.DictReader(file))
    assert [float(row["value"]) for row in kept] == pytest.approx([t["value"] for t in told])
    assert [row["input"] for row in kept] == [t["input"] for t in told]


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl"])
def test_texts_of_a_table_are_read_as_they_stand(tmp_path: Path, capsys: Shown, suffix: str) -> None:
    """They had been taken for missing cells; an empty one is a text without words, as it is to a server."""
    run = tiny("text_cnn", tmp_path)
    (name,) = texts_of(describe(run.folder / "model")["preprocessing"])
    odd = ["", "NA", "None", "null", "nan", "?", "007"]
    file = tmp_path / f"odd{suffix}"
    if suffix == ".jsonl":
        file.write_text("".join(json.dumps({name: text, "other": None}) + "\n" for text in odd))
    else:
        with file.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream, delimiter="," if suffix == ".csv" else "\t")
            writer.writerows([(name, "other"), *((text, "") for text in odd)])
    assert main(["predict", str(run.folder), str(file)]) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    wanted = run.predict(*({name: text} for text in odd))
    assert [{**answer, "input": one["input"]} for answer, one in zip(wanted, told, strict=True)] == told


def test_a_text_that_is_no_text_is_refused(tmp_path: Path, capsys: Shown) -> None:
    run = tiny("text_cnn", tmp_path)
    (name,) = texts_of(describe(run.folder / "model")["preprocessing"])
    file = tmp_path / "null.jsonl"
    file.write_text(json.dumps({name: None}) + "\n")
    assert main(["predict", str(run.folder), str(file)]) == 2
    assert "a text is a JSON string, not null" in capsys.readouterr().err


def test_a_language_model_writes_and_a_seed_repeats_it(tmp_path: Path, capsys: Shown) -> None:
    run = tiny("char_lstm", tmp_path)
    command = ["generate", str(run.folder), "--prompt", "a", "--length", "12"]
    texts = []
    for seed in ("3", "3", "4"):
        assert main([*command, "--seed", seed]) == 0
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1] != texts[2]
    assert len(texts[0].rstrip("\n")) >= 12
    assert main([*command, "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)) >= {"text"}


@pytest.mark.parametrize(
    ("system", "seen"),
    [
        ("gpt2", "only the last 16 to 32 were seen at each step"),
        ("llama", "each layer saw only the last 12 at each step"),
        ("char_lstm", None),
    ],
)
def test_a_text_beyond_the_context_is_told(
    tmp_path: Path, capsys: Shown, system: str, seen: str | None
) -> None:
    folder = tiny(system, tmp_path).folder
    capsys.readouterr()
    for length in (30, 31):
        told = f"prompt and answer have 2 + 31 tokens, the context of this model 32: {seen}"
        beyond = length == 31 and seen is not None
        for words in ([], ["--json"], ["--beams", "2"]):
            command = ["generate", str(folder), "--prompt", "he", "--length", str(length), *words]
            assert main(command) == 0
            out, err = capsys.readouterr()
            assert err == (f"{told}\n" if beyond else "") and ("tokens, the context" in out) == (
                beyond and words == ["--json"]
            )
        answer = generate(folder, prompt="he", length=length)
        assert answer.get("cut") == (told if beyond else None)


def test_a_trace_shows_tokens_and_probabilities_at_each_step(tmp_path: Path, capsys: Shown) -> None:
    run = tiny("char_lstm", tmp_path)
    command = ["generate", str(run.folder), "--length", "6", "--top-p", "0.9", "--min-p", "0.01"]
    assert main([*command, "--repetition-penalty", "1.2", "--trace"]) == 0
    text, table = capsys.readouterr().out.split("\n\n  step")
    rows = table.splitlines()[1:]
    assert len(rows) == 6 and [int(row.split()[0]) for row in rows] == [1, 2, 3, 4, 5, 6]
    assert main([*command, "--repetition-penalty", "1.2"]) == 0
    assert capsys.readouterr().out == f"{text}\n"
    plain = [*command[:4], "--beams"]
    assert main([*plain, "3", "--trace", "2", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert [len(one["likeliest"]) for one in answer["trace"]] == [2] * 6
    assert all(set(one) == {"token", "probability", "share", "likeliest"} for one in answer["trace"])
    assert main([*plain, "99"]) == 2
    assert "beams takes a whole number from 1 to 32, not 99" in capsys.readouterr().err


def test_beams_and_what_says_how_to_draw_do_not_go_together(tmp_path: Path, capsys: Shown) -> None:
    """A temperature had been passed over in silence."""
    folder = str(tiny("char_lstm", tmp_path).folder)
    command = ["generate", folder, "--length", "4"]
    for wish, value in (("temperature", "0.5"), ("top-k", "3"), ("top-p", "0.9"), ("min-p", "0.1")):
        assert main([*command, "--beams", "3", f"--{wish}", value]) == 2
        name = wish.replace("-", "_")
        reason = f"{name} is {value} and beams 3: several beams look for the likeliest text and draw nothing"
        assert f"{reason}; leave out {name}, or beams" in capsys.readouterr().err
        assert main([*command, "--beams", "1", f"--{wish}", value]) == 0  # one beam draws
    assert main([*command, "--contrast", "0.6", "--top-k", "3"]) == 0
    assert main([*command, "--contrast", "0.6", "--temperature", "0.5"]) == 2
    assert "temperature is 0.5 and contrast 0.6: contrastive search" in capsys.readouterr().err
    assert main(["predict", folder, "--json-item", '{"length": 3, "beams": 2, "temperature": 0.5}']) == 2
    assert "item 1: temperature is 0.5 and beams 2: several beams" in capsys.readouterr().err
    good, bad = '{"length": 3, "beams": 2}', '{"length": 3, "beams": 2, "min_p": 0.5}'
    assert main(["predict", folder, "--skip-bad", "--json-item", bad, "--json-item", good]) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert told[0]["error"].startswith("min_p is 0.5 and beams 2") and told[1]["tokens"] == 3
    with pytest.raises(InputError, match=r"temperature is 0\.8 and beams 2"):
        predict(folder, [{"length": 3, "beams": 2, "temperature": 0.8}])
    assert main([*command, "--beams", "0", "--temperature", "0.5"]) == 2
    assert "beams takes a whole number from 1 to 32, not 0" in capsys.readouterr().err
    with pytest.raises(InputError, match="leave out temperature and min_p, or beams"):
        generate(folder, beams=2, min_p=0.1, temperature=1.0)
    assert generate(folder, beams=2, length=4, seed=1) == generate(folder, beams=2, length=4, seed=2)
    assert generate(folder, beams=2, length=4, repetition_penalty=1.5)["tokens"] == 4


def test_a_generator_of_pictures_writes_files(tmp_path: Path, capsys: Shown) -> None:
    from PIL import Image

    run = tiny("dcgan", tmp_path)
    assert main(["generate", str(run.folder), "--count", "2", "--out", str(tmp_path / "drawn")]) == 0
    files = capsys.readouterr().out.splitlines()
    assert len(files) == 2
    for file in files:
        with Image.open(file) as picture:
            assert picture.size == (run.record["experiment"]["task"]["width"],) * 2


def test_what_generates_nothing_is_refused_with_the_way(tmp_path: Path, capsys: Shown) -> None:
    run = tiny("gcn", tmp_path)
    assert main(["generate", str(run.folder), "--prompt", "a"]) == 2
    assert capsys.readouterr().err.strip()
