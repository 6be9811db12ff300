"""Fine-tuning an encoder of texts: a folder with its tokenizer, what may move and when, what is refused."""

import csv
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from fathom.applications.language import minilm
from fathom.cli.command import main
from fathom.errors import InputError
from fathom.training.piece_folder import read_pieces
from fathom.training.run import Run
from fathom.verbs import encoders
from fathom.verbs.fit import fit
from fathom.verbs.predict import predict
from fathom.verbs.train import resume
from fathom.verbs.transfer import source

WORDS = ("the", "film", "plot", "is", "was", "so", "good", "bad", "dull", "fine", ",", "##ly", "!")
VOCABULARY = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS)


def save(folder: Path, **changes: Any) -> Path:
    """A random BERT of four layers as transformers saves it, with a list of pieces."""
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    settings: dict[str, Any] = {
        "vocab_size": len(VOCABULARY), "max_position_embeddings": 16, "hidden_size": 24,
        "num_hidden_layers": 4, "num_attention_heads": 2, "intermediate_size": 32, "initializer_range": 0.3,
    }  # fmt: skip
    BertModel(BertConfig(**settings | changes)).save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("encoder"))


def write(path: Path, rows: int, empty: int = 0) -> Path:
    """Is it good? Four words around one that tells; a few texts are empty."""
    dice = torch.Generator().manual_seed(1)
    with path.open("w", newline="", encoding="utf-8") as file:
        sheet = csv.writer(file)
        sheet.writerow(("text", "label"))
        for i in range(rows):
            words = [WORDS[n] for n in torch.randint(6, (5,), generator=dice).tolist()]
            words[i % 5] = ("good", "bad")[i % 2]
            sheet.writerow(("" if i < empty else " ".join(words) + f", {i}", ("yes", "no")[i % 2]))
    return path


@pytest.fixture(scope="module")
def reviews(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("reviews") / "reviews.csv", 240, empty=3)


def weights(run: Run) -> dict[str, torch.Tensor]:
    return load_file(run.model / "weights.safetensors")


def fitted(reviews: Path, encoder: Path, out: Path, **options: Any) -> tuple[Run, list[str]]:
    said: list[str] = []
    options = {"steps": 4, "export": False, "target": "label", "text": "text"} | options
    return fit(reviews, start=encoder, out=out, say=said.append, **options), said


def test_the_last_blocks_move_and_the_rest_is_the_folder(
    encoder: Path, reviews: Path, tmp_path: Path
) -> None:
    run, said = fitted(reviews, encoder, tmp_path / "run")
    task = json.loads((run.model / "artifact.json").read_text())["task"]["settings"]
    assert task["vocabulary"] == list(VOCABULARY) and (task["unit"], task["length"]) == ("piece", 16)
    given, made = source(encoder).state, weights(run)
    moved = {n for n in made if made[n].shape != given[n].shape or not torch.equal(made[n], given[n])}
    assert {n.rpartition(".")[0].rpartition(".")[0] for n in moved} >= {"body.1", "body.3"}
    assert "head.weight" in moved and not [n for n in moved if n.startswith(("body.embedding", "body.0"))]
    assert run.record["system"] == "minilm" and set(run.load_report.new) == {"head.weight", "head.bias"}
    assert [line for line in said if line.startswith(("start", "head", "freezing", "rates"))] == [
        f"start: minilm, {encoder}",
        "head: drawn anew for 2 classes; the 2 it knew are others",
        "freezing: the head alone for the first 10%, then the last 3 of 4 blocks too, 2 times over all texts,"
        " for 96 rows a class are enough; below them each text is read once",
        "rates: 0.001 in the head, times 0.4 from each block to the one below it",
    ]


@pytest.mark.slow
def test_with_little_time_or_few_rows_the_head_alone_learns(
    encoder: Path, reviews: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoders, "SPEED", 1e5)
    run, said = fitted(reviews, encoder, tmp_path / "short", steps=None, time="20s")
    given, made = source(encoder).state, weights(run)
    assert all(torch.equal(made[n], given[n]) for n in made if n.startswith("body."))
    assert run.record["learned"] == made["head.weight"].numel() + 2 and run.record["steps"] > 50
    assert any(
        "reads each text once; the head alone learns, since to move its last 3 blocks" in s for s in said
    )
    few = write(tmp_path / "few.csv", 60)
    _, said = fitted(few, encoder, tmp_path / "few")
    assert any(s.endswith("24 rows a class are too few to move it") for s in said)


@pytest.mark.slow
def test_a_run_stopped_at_any_step_ends_in_the_same_bits(
    encoder: Path, reviews: Path, tmp_path: Path
) -> None:
    """What is remembered of texts is made again, to the bit; the folder is gone by then."""
    folder = shutil.copytree(encoder, tmp_path / "encoder")
    straight, _ = fitted(reviews, folder, tmp_path / "straight", steps=9)

    def stop(event: Any) -> None:
        if event.steps == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fitted(reviews, folder, tmp_path / "run", steps=9, observers=[stop])
    shutil.rmtree(folder)
    assert resume(tmp_path / "run", export=False).digest == straight.digest


@pytest.mark.slow
def test_it_is_tuned_by_an_adaptation_too(encoder: Path, reviews: Path, tmp_path: Path) -> None:
    """All blocks, by a change of low rank beside them; and stopped on the way."""
    how = [("frozen", "none"), ("learning.adaptation", "LoRA"), ("learning.adaptation.whole", "('head',)")]
    run, _ = fitted(reviews, encoder, tmp_path / "run", steps=9, settings=how)
    given, made = source(encoder).state, weights(run)
    still = {n: made[n.replace(".weight", ".base.weight")] for n in given if n.endswith("query.weight")}
    assert len(still) == 4 and all(torch.equal(tensor, given[n]) for n, tensor in still.items())
    assert all(made[n.replace(".weight", ".up.weight")].abs().max() > 0 for n in still)
    assert run.predict("so good")["label"] in ("yes", "no")

    def stop(event: Any) -> None:
        if event.steps == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fitted(reviews, encoder, tmp_path / "halted", steps=9, settings=how, observers=[stop])
    assert resume(tmp_path / "halted", export=False).digest == run.digest


@pytest.mark.parametrize("how", ["LoRA", "IA3", "Prefix", "Adapters"])
def test_an_adaptation_is_named_on_the_command_line(
    encoder: Path, reviews: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], how: str
) -> None:
    """Nothing else is set: what was learned beside the last blocks moves, and the new head, and no more."""
    command = ["fit", str(reviews), "--text", "text", "--target", "label", "--from", str(encoder)]
    command += ["--set", "steps=3", "--set", f"learning.adaptation={how}", "--no-export"]
    assert main([*command, "--out", str(tmp_path / "run")]) == 0
    told = capfd.readouterr().err
    assert f"{how}: beside the last 3 of 4 blocks, below which each text is read once" in told
    assert f"freezing: all that the weights bring; {how} and the new head learn from the first step" in told
    run, given = Run(tmp_path / "run"), source(encoder).state
    made = {n.replace(".base.", "."): tensor for n, tensor in weights(run).items()}
    same = {n for n in given if given[n].shape == made[n].shape and torch.equal(given[n], made[n])}
    assert given.keys() - same == {"head.weight", "head.bias"}
    added = [made[n] for n in made.keys() - given.keys()]
    head = sum(made[n].numel() for n in ("head.weight", "head.bias"))
    assert added and run.record["learned"] == head + sum(tensor.numel() for tensor in added)
    assert run.record["settings"]["learning.unfreezing.stages"] == []
    assert run.predict({"text": "so good"})["label"] in ("yes", "no")


@pytest.mark.slow
def test_such_a_run_evaluates_predicts_exports_and_is_begun_from(
    encoder: Path, reviews: Path, tmp_path: Path
) -> None:
    command = ["fit", str(reviews), "--text", "text", "--target", "label", "--from", str(encoder)]
    assert (
        main(
            [
                *command,
                "--set",
                "steps=300",
                "--set",
                "learning_rate=0.01",
                "--out",
                str(tmp_path / "run"),
                "--json",
            ]
        )
        == 0
    )
    run = Run(tmp_path / "run")
    assert run.metrics["valid/accuracy"] > 0.75
    assert json.loads((run.model / "equality.json").read_text())["largest"] < 1e-4
    assert run.evaluate(reviews)["metrics"]["accuracy"] > 0.75
    [answer] = predict(run.folder, ["The film was so GOOD!"])
    assert answer["label"] == "yes"
    [empty] = predict(run.folder, [""])
    assert set(empty["probabilities"]) == {"yes", "no"}
    other = tmp_path / "other.csv"
    other.write_text(reviews.read_text().replace("text,label", "said,mood"))
    again = fit(
        other, start=run.folder, target="mood", text="said", steps=2, out=tmp_path / "again", export=False
    )
    assert again.load_report.new == {}  # the same classes: the head is kept, whatever the columns are called


@pytest.mark.slow
def test_the_published_encoder_reads_in_its_own_pieces(reviews: Path, tmp_path: Path) -> None:
    """A linear layer on 96 texts a label, with the real weights."""
    run, said = fitted(reviews, Path("minilm"), tmp_path / "run", steps=40, settings=[("frozen", "6"),
        ("learning.unfreezing.stages", "()")])  # fmt: skip
    assert said[2].startswith("start: minilm, ALL_V2") or "start: minilm, ALL_V2" in said
    task = json.loads((run.model / "artifact.json").read_text())["task"]["settings"]
    assert len(task["vocabulary"]) == 30522 and task["vocabulary"][103] == "[MASK]"
    assert run.metrics["valid/accuracy"] > 0.9


# -- the model ---------------------------------------------------------------------------------------
def tiny(frozen: int | None) -> minilm.MiniLM:
    torch.manual_seed(2)
    config = minilm.Config(
        vocabulary=19, context=12, width=16, layers=2, heads=2, hidden=24, dropout=0.2, frozen=frozen
    )
    return config.build()


TOKENS = torch.tensor([[2, 7, 8, 9, 3, 0, 0, 0], [2, 5, 3, 0, 0, 0, 0, 0], [2, 18, 17, 16, 15, 14, 13, 3]])


@pytest.mark.parametrize("frozen", [0, 1, 2])
def test_what_is_remembered_is_what_the_whole_encoder_makes(frozen: int) -> None:
    model = tiny(frozen)
    for block in model.body:
        if block not in model.still:
            for layer in block.modules():  # dropout is for what learns; here it would hide a difference
                if isinstance(layer, torch.nn.Dropout):
                    layer.p = 0.0
            attention: Any = getattr(block, "attention", None)
            if attention is not None:
                attention.dropout = 0.0
    wanted = model.eval()(TOKENS)
    for _ in range(2):
        torch.testing.assert_close(model.train()(TOKENS), wanted, rtol=1e-5, atol=1e-6)
    assert len(model.memory) == 3
    model(TOKENS).sum().backward()
    moved = {n for n, p in model.named_parameters() if p.grad is not None}
    assert {n.split(".")[1] for n in moved if n.startswith("body.")} == {str(i) for i in range(frozen, 2)}
    model.load_state_dict(tiny(frozen).state_dict())
    assert not model.memory and not model.held


def test_memory_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny(1).train()
    monkeypatch.setattr(minilm, "ROOM", 16 * (5 + 3))
    first = model(TOKENS)
    assert len(model.memory) == 2  # the shortest come first
    model.eval()
    torch.testing.assert_close(first.shape, model(TOKENS).shape)
    with pytest.raises(ValueError, match="frozen is 3; it must be 0 to layers, 2, or None"):
        tiny(3)


def test_without_anything_frozen_nothing_is_remembered_and_all_learns() -> None:
    model = tiny(None).train()
    model(TOKENS).sum().backward()
    assert not model.memory and all(p.grad is not None for p in model.parameters())


# -- folders -----------------------------------------------------------------------------------------
def test_both_files_of_a_tokenizer_tell_the_same(encoder: Path, tmp_path: Path) -> None:
    from transformers import BertTokenizer

    found = read_pieces(encoder, len(VOCABULARY))
    assert (found.vocabulary, found.cased) == (VOCABULARY, False)
    BertTokenizer(str(encoder / "vocab.txt"), do_lower_case=False).save_pretrained(tmp_path)
    (tmp_path / "vocab.txt").unlink(missing_ok=True)
    told = read_pieces(tmp_path, len(VOCABULARY))
    assert (told.vocabulary, told.cased) == (VOCABULARY, True)
    (tmp_path / "tokenizer.json").unlink()
    shutil.copy(encoder / "vocab.txt", tmp_path)
    assert read_pieces(
        tmp_path, len(VOCABULARY) + 50
    ).cased  # from tokenizer_config.json; spare rows are allowed


def change(file: str, edit: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        found = json.loads((folder / file).read_text())
        edit(found)
        (folder / file).write_text(json.dumps(found))

    return apply


def tokenizer(model: str = "WordPiece", **normal: Any) -> Callable[[Path], int]:
    told = {
        "model": {"type": model, "vocab": {word: i for i, word in enumerate(VOCABULARY)}},
        "normalizer": {"type": "BertNormalizer", "lowercase": True} | normal,
        "pre_tokenizer": {"type": "BertPreTokenizer"},
    }
    return lambda folder: (folder / "tokenizer.json").write_text(json.dumps(told))


def pooling(folder: Path) -> None:
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode_mean_tokens": false}')


def broken(folder: Path) -> None:
    """One number of one tensor is none."""
    state = load_file(folder / "model.safetensors")
    state["embeddings.word_embeddings.weight"][3, 5] = float("nan")
    save_file(state, folder / "model.safetensors")


def sharded(folder: Path) -> None:
    """In two shards, the second of them lost."""
    state = load_file(folder / "model.safetensors")
    names = sorted(state)
    save_file({n: state[n] for n in names[:9]}, folder / "model-00001-of-00002.safetensors")
    places = {n: f"model-0000{1 if n in names[:9] else 2}-of-00002.safetensors" for n in names}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    (folder / "model.safetensors").unlink()


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda f: (f / "vocab.txt").unlink(), r"holds no tokenizer\.json and no vocab\.txt: an encoder"),
        (broken, r"1 of \d+ tensors hold NaN, embeddings\.word_embeddings\.weight in 1 of 432 numbers"),
        (sharded, r"lacks the shard model-00002-of-00002\.safetensors"),
        (lambda f: (f / "vocab.txt").write_text("\n".join([*VOCABULARY, "more"])),
         "has 19 pieces and the weights have vectors of 18: the tokenizer is of another model"),
        (lambda f: (f / "vocab.txt").write_text("\n".join(VOCABULARY[1:])), r"vocab\.txt has no \[PAD\]"),
        (lambda f: (f / "vocab.txt").write_text("\n".join(["a", *VOCABULARY[1:], "[PAD]"])), "with 'a'"),
        (lambda f: (f / "vocab.txt").write_text("a\na\n"), "has 2 lines, 1 different; each is a piece"),
        (lambda f: (f / "vocab.txt").write_bytes(b"\xff\xfe"), r"vocab\.txt cannot be read"),
        (lambda f: (f / "tokenizer.json").write_text("{"), r"tokenizer\.json is no JSON"),
        (tokenizer("BPE"), r"model\.type is 'BPE'; texts are read with 'WordPiece' here"),
        (tokenizer(type="Lowercase"), r"normalizer\.type is 'Lowercase'"),
        (tokenizer(strip_accents=False), "lowercase is True, strip_accents False"),
        (pooling, "does not gather texts by the mean of their states"),
        (change("config.json", lambda c: c.update(model_type="gpt2")), "model_type is 'gpt2'; to begin from"),
        (change("config.json", lambda c: c.update(vocab_size=20)), "says that vocab_size is 20"),
        (change("config.json", lambda c: c.update(num_hidden_layers=5)), "num_hidden_layers is 5"),
        (lambda f: (f / "model.safetensors").write_bytes(b"\x10\x00"), r"model\.safetensors is damaged"),
    ],
)  # fmt: skip
def test_folders_that_do_not_fit_are_refused(
    encoder: Path, reviews: Path, tmp_path: Path, spoil: Callable[[Path], Any], said: str
) -> None:
    folder = shutil.copytree(encoder, tmp_path / "encoder")
    spoil(folder)
    with pytest.raises(InputError, match=said):
        fit(reviews, start=folder, target="label", steps=2, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_names_and_data_that_do_not_fit_are_refused(encoder: Path, tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("a,b\n" + "1,2\n2,3\n" * 30)
    write(tmp_path / "blank.csv", 40, empty=40)
    cases = (
        ("table.csv", encoder, "was trained for text_classification, and this is data for tabular_"),
        ("table.csv", "minilm:ALL_V1", "no published weights file named 'ALL_V1'"),
        ("table.csv", "minilmm", "there is no published size 'minilmm'; did you mean 'minilm'"),
        ("table.csv", tmp_path, "is neither a run folder nor an artifact folder"),
    )
    for data, start, said in cases:
        with pytest.raises(InputError, match=re.escape(said)):
            fit(tmp_path / data, start=start, target="b", steps=2, out=tmp_path / "run")
    with pytest.raises(InputError, match=r"text"):  # nothing but empty texts
        fit(tmp_path / "blank.csv", start=encoder, target="label", steps=2, out=tmp_path / "run")
