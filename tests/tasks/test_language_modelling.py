"""Language modelling: a text is scored whole, and written by counted dice."""

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from fathom.architectures.recurrent import char_lstm
from fathom.architectures.transformers import gpt2, llama
from fathom.data.split import Part
from fathom.data.windows import Windows, running_text
from fathom.deployment import artifact, preprocessing
from fathom.deployment.export import export
from fathom.deployment.writing import Sampling, choose
from fathom.errors import InputError, RunError
from fathom.fundamentals.decoding.contrastive_search import contrastive_search
from fathom.fundamentals.recurrence.beam_search import beam_search
from fathom.task import Arrays, Boundary, Options
from fathom.tasks.language_modelling import LanguageModelling, scored, surprise
from fathom.training import train
from fathom.training.randomness import scramble

POEM = "The cat sat on the mat; the dog did not.\nWhy? It had no mat.\n" * 60


@pytest.fixture(scope="module")
def trained() -> tuple[Any, Any, Any]:
    """The tiny run: experiment, data, model."""
    experiment = char_lstm.tiny()
    data = experiment.data.load()
    learner = experiment.learner()
    train(learner, experiment.source(data), steps=experiment.steps)
    return experiment, data, learner.model


def ask(task: LanguageModelling, network: Any, *wishes: dict[str, Any]) -> list[dict[str, Any]]:
    return task.respond(network, [preprocessing.apply(task.preprocessing(), wish) for wish in wishes])


def uniform(task: LanguageModelling) -> Any:
    def network(arrays: Arrays) -> Arrays:
        count = len(arrays["token"])
        states = {f"next_{name}": arrays[name] for name, _ in task.states}
        return {"logits": np.zeros((count, len(task.vocabulary)), np.float32), **states}

    return network


# -- data ---------------------------------------------------------------------------------------------
def test_recognises_texts_but_no_labelled_folders(tmp_path: Path) -> None:
    file = tmp_path / "poem.txt"
    file.write_text(POEM)
    saw = LanguageModelling.recognise(file, Options())
    assert saw is not None and "text file" in saw.saw[0]
    assert LanguageModelling.recognise(tmp_path, Options()) is not None
    assert LanguageModelling.recognise(file, Options(target="label")) is None
    (tmp_path / "glad").mkdir()
    (tmp_path / "glad" / "one.txt").write_text("hurray")
    assert LanguageModelling.recognise(tmp_path, Options()) is None
    (tmp_path / "table.csv").write_text("a,b\n1,2\n")
    assert LanguageModelling.recognise(tmp_path / "table.csv", Options()) is None


def test_reads_a_text_in_order_and_learns_from_it(tmp_path: Path) -> None:
    file = tmp_path / "poem.txt"
    file.write_text(POEM)
    task, data = LanguageModelling.read(file, Options())
    whole = torch.cat([running_text(s) for s in (data.train, data.valid, data.test)])
    assert "".join(task.vocabulary[i] for i in whole) == POEM
    experiment = task.experiment(data, seed=3)
    assert experiment.seed == 3
    learner = experiment.learner()
    losses: list[float] = []
    train(
        learner, experiment.source(data), steps=6,
        observers=[lambda event: losses.append(float(event.metrics["loss"]))],
    )  # fmt: skip
    assert losses[-1] < losses[0]
    assert task.evaluate(Boundary(task, learner.model), data.valid).metrics["loss"] > 0


def test_a_longer_text_gets_a_wider_model(tmp_path: Path) -> None:
    widths = []
    for copies in (1, 90):
        (tmp_path / "text.txt").write_text(POEM * copies)
        task, _ = LanguageModelling.read(tmp_path / "text.txt", Options())
        widths.append(dict(task.states)["state_c"][1])
    assert widths[0] < widths[1]


@pytest.mark.parametrize(
    ("text", "reason"), [("short", "at least 2,000"), ("a" * 5000, "only the character")]
)
def test_texts_that_teach_nothing_are_refused(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "text.txt").write_text(text)
    with pytest.raises(InputError, match=reason):
        LanguageModelling.read(tmp_path / "text.txt", Options())


def test_another_text_is_read_in_the_same_characters(tmp_path: Path) -> None:
    task = LanguageModelling(vocabulary=("a", "b"), states=(("state", (1, 2)),))
    file = tmp_path / "other.txt"
    file.write_text("abba baab")
    with pytest.raises(InputError, match=r"never saw: ' '.*--skip-bad"):
        task.read_labelled(file, Options())
    found = task.read_labelled(file, Options(skip_bad=True))
    assert found.facts["skipped"] == 1
    assert running_text(found.test).tolist() == [0, 1, 1, 0, 1, 0, 0, 1]
    file.write_text("xyz")
    with pytest.raises(InputError, match="0 characters"):
        task.read_labelled(file, Options(skip_bad=True))


@pytest.mark.parametrize("vocabulary", [("a",), ("a", "b", "a")])
def test_vocabularies_that_cannot_be(vocabulary: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="vocabulary"):
        LanguageModelling(vocabulary=vocabulary, states=(("state", (1, 2)),))


def test_states_without_size_are_refused() -> None:
    with pytest.raises(ValueError, match="states"):
        LanguageModelling(vocabulary=("a", "b"), states=(("state", (0, 2)),))


# -- scoring ------------------------------------------------------------------------------------------
def test_one_lane_equals_the_whole_text_in_one_pass(trained: tuple[Any, Any, Any]) -> None:
    experiment, data, model = trained
    text = data.train.text
    with torch.inference_mode():
        scores = model(text[None, :-1])[0].log_softmax(dim=-1)
    expected = -scores.gather(1, text[1:, None])[:, 0].numpy()
    network, zeros = Boundary(experiment.task, model), experiment.task.zeros
    loss, right = surprise(network, zeros, text[:-1].numpy(), text[1:].numpy(), lanes=1)
    np.testing.assert_allclose(loss, expected, atol=1e-4)
    np.testing.assert_array_equal(right, (scores.argmax(dim=-1) == text[1:]).numpy())
    for lanes in (3, 5):
        side_by_side, _ = surprise(network, zeros, text[:-1].numpy(), text[1:].numpy(), lanes=lanes)
        assert side_by_side.mean() == pytest.approx(loss.mean(), abs=2e-3)
        first = math.ceil(len(loss) / lanes)  # the first lane has nothing before it either way
        np.testing.assert_allclose(side_by_side[:first], loss[:first], atol=1e-4)


def test_a_network_that_knows_nothing_costs_the_logarithm_of_the_vocabulary() -> None:
    task = LanguageModelling(vocabulary=tuple("abcd"), states=(("state", (1, 2)),))
    found = task.evaluate(uniform(task), Windows(torch.arange(50) % 4, 8))
    assert found.metrics["loss"] == pytest.approx(math.log(4))
    assert found.metrics["bits_per_character"] == pytest.approx(2.0)
    assert len(found.detail["loss"]) == 49


def test_items_are_windows_and_their_mean_is_the_metric(trained: tuple[Any, Any, Any]) -> None:
    experiment, data, model = trained
    split = Windows(data.train.text[:200], 32)
    found = experiment.task.evaluate(Boundary(experiment.task, model), split)
    assert len(found.items["loss"]) == len(split) == 7
    for name, values in found.items.items():
        assert values.mean() == pytest.approx(found.metrics[name])
    assert not found.higher_is_better and found.score == -found.metrics["loss"]


def test_a_short_row_weighs_by_its_length() -> None:
    found = scored({"loss": np.array([1.0, 1.0, 1.0, 1.0, 1.0, 6.0])}, np.array([3, 2, 1]))
    assert found.metrics["loss"] == pytest.approx(11 / 6)
    beyond = np.array([3, 2, 6]) - 11 / 6 * np.array([3, 2, 1])
    np.testing.assert_allclose(found.items["loss"], 11 / 6 + beyond / 2)
    even = scored({"loss": np.full(6, 2.0)}, np.array([3, 2, 1]))
    np.testing.assert_allclose(even.items["loss"], 2.0)  # length alone makes no spread


def test_a_part_of_the_rows_is_scored_too(trained: tuple[Any, Any, Any]) -> None:
    experiment, data, model = trained
    found = experiment.task.evaluate(Boundary(experiment.task, model), Part(data.valid, torch.arange(2)))
    assert len(found.detail["loss"]) == 64


def test_baselines_are_ordered_and_share_the_items(trained: tuple[Any, Any, Any]) -> None:
    experiment, data, _ = trained
    found = experiment.task.baselines(data)
    losses = [evaluation.metrics["loss"] for evaluation in found.values()]
    assert list(found) == ["unigram counts", "bigram counts", "trigram counts"]
    assert losses == sorted(losses, reverse=True)
    assert all(len(e.items["loss"]) == len(data.valid) for e in found.values())


# -- writing ------------------------------------------------------------------------------------------
def test_together_and_alone_items_get_the_same_text(trained: tuple[Any, Any, Any]) -> None:
    experiment, _, model = trained
    network = Boundary(experiment.task, model)
    wishes = [
        {"prompt": "row, row", "length": 50, "seed": 1},
        {"prompt": "m", "length": 9, "temperature": 1.0, "seed": 2},
        {"length": 1},
    ]
    together = ask(experiment.task, network, *wishes)
    assert together == [ask(experiment.task, network, wish)[0] for wish in wishes]
    assert [len(answer["text"]) for answer in together] == [58, 10, 1]
    assert [answer["tokens"] for answer in together] == [50, 9, 1]
    assert together[0]["text"].startswith("row, row")


def test_seeds_and_nothing_else_decide() -> None:
    task = LanguageModelling(vocabulary=tuple("abcdefgh\n"), states=(("state", (1, 2)),))
    wish = {"length": 60, "temperature": 1.0}
    first = ask(task, uniform(task), wish | {"seed": 5})
    scramble("between")
    assert ask(task, uniform(task), wish | {"seed": 5}) == first
    assert ask(task, uniform(task), wish | {"seed": 6}) != first
    assert ask(task, uniform(task), wish | {"seed": 5, "length": 30})[0]["text"] == first[0]["text"][:30]


def test_cold_dice_and_few_choices_take_the_likeliest(trained: tuple[Any, Any, Any]) -> None:
    experiment, _, model = trained
    network = Boundary(experiment.task, model)
    wishes = [
        {"prompt": "merrily", "length": 40, "temperature": 0, "seed": 1},
        {"prompt": "merrily", "length": 40, "temperature": 0, "seed": 2},
        {"prompt": "merrily", "length": 40, "top_k": 1, "seed": 3},
    ]
    texts = {answer["text"] for answer in ask(experiment.task, network, *wishes)}
    assert len(texts) == 1
    assert texts.pop().startswith("merrily, merrily, life is but a dream.")


def test_chosen_as_often_as_likely() -> None:
    logits = np.log(np.array([0.5, 0.3, 0.2], dtype=np.float32))
    points = (np.arange(1000) + 0.5) / 1000
    for how, wanted in (
        (Sampling(), [500, 300, 200]),
        (Sampling(top_k=2), [625, 375]),
        (Sampling(nucleus=0.7), [625, 375]),
        (Sampling(min_p=0.5), [625, 375]),
        (Sampling(temperature=0), [1000]),
    ):
        assert np.bincount([choose(logits, [], how, u) for u in points]).tolist() == wanted
    squared = np.bincount([choose(logits, [], Sampling(temperature=0.5), u) for u in points]) / 1000
    np.testing.assert_allclose(squared, np.array([25, 9, 4]) / 38, atol=2e-3)
    assert choose(logits, [], Sampling(), 1.0 - 2**-53) == 2
    assert choose(logits, [0, 0], Sampling(temperature=0, repetition_penalty=3.0), 0.5) == 1


@pytest.mark.parametrize(
    ("wish", "reason"),
    [
        ({"length": 0}, "length takes a whole number from 1 to 2000"),
        ({"length": 2001}, "length"),
        ({"length": 1.5}, "length"),
        ({"temperature": -0.1}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"top_k": 99}, "top_k"),
        ({"top_p": 0}, "top_p takes a number from 1e-06 to 1"),
        ({"min_p": 1.5}, "min_p"),
        ({"repetition_penalty": 0}, "repetition_penalty"),
        ({"beams": 0}, "beams takes a whole number from 1 to 32"),
        ({"contrast": 1.5}, "contrast takes a number from 0 to 1"),
        ({"temperature": -1}, "temperature takes a number from 0 to 10"),
        ({"trace": 99}, "trace"),
        ({"seed": "one"}, "seed"),
        ({"prompt": "0"}, "does not know '0'"),
        ({"prompt": 7}, "text"),
        ("row", "field 'prompt'"),
    ],
)
def test_wishes_that_cannot_be_granted(wish: Any, reason: str) -> None:
    task = char_lstm.tiny().task
    with pytest.raises(InputError, match=reason):
        preprocessing.apply(task.preprocessing(), wish)


def test_beams_find_the_likeliest_of_all_texts() -> None:
    """Three tokens whose next depends on the last only: every text of four tokens is scored by hand."""
    task = LanguageModelling(vocabulary=tuple("abc"), states=(("state", (1, 2)),))
    table = np.log(np.array([[0.34, 0.33, 0.33], [0.05, 0.9, 0.05], [0.4, 0.3, 0.3]])).astype(np.float32)

    def network(arrays: Arrays) -> Arrays:
        return {"logits": table[arrays["token"]], "next_state": arrays["state"]}

    def likelihood(text: tuple[int, ...]) -> float:
        return sum(float(table[a, b]) for a, b in itertools.pairwise((0, *text)))

    best = max(itertools.product(range(3), repeat=4), key=likelihood)
    wish = {"prompt": "a", "length": 4}
    searched, drawn = ask(task, network, wish | {"beams": 9, "seed": 4}, wish | {"temperature": 0})
    assert searched["text"] == "a" + "".join("abc"[n] for n in best) == "abbbb" and searched["tokens"] == 4
    assert drawn["text"] == "aaaaa"  # greedy takes the first step that looks best
    assert ask(task, network, wish | {"beams": 9, "seed": 5})[0] == searched  # no dice


def test_beams_carry_each_beginning_with_its_own_states(trained: tuple[Any, Any, Any]) -> None:
    """The same search over the whole window, computed anew each time."""
    experiment, _, model = trained
    task = experiment.task
    prompt = [task.start, *(task.vocabulary.index(c) for c in "row, ro")]

    def score(written: torch.Tensor, row: torch.Tensor, parent: torch.Tensor) -> torch.Tensor:
        text = torch.cat([torch.tensor([prompt[:-1]]).expand(len(written), -1), written], dim=1)
        with torch.inference_mode():
            return F.pad(model(text)[:, -1].double().log_softmax(-1), (0, 1), value=-math.inf)

    found = beam_search(score, start=prompt[-1], end=len(task.vocabulary), beams=4, longest=25)[0][0]
    answer = ask(task, Boundary(task, model), {"prompt": "row, ro", "length": 25, "beams": 4})[0]
    assert answer["text"] == "row, ro" + "".join(task.vocabulary[n] for n in found.tokens)


@pytest.mark.parametrize(
    ("wish", "reason"),
    [
        ({"beams": 3, "temperature": 0.5}, r"temperature is 0\.5 and beams 3: several beams .* draw nothing"),
        (
            {"beams": 3, "temperature": 0.8},
            r"temperature is 0\.8 and beams 3: .*leave out temperature, or beams",
        ),
        (
            {"beams": 2, "top_k": 2, "min_p": 0.1},
            "top_k is 2 and beams 2: .*leave out top_k and min_p, or beams",
        ),
        ({"beams": 2, "top_p": 0.9}, r"top_p is 0\.9 and beams 2"),
        ({"beams": 2, "contrast": 0.6}, r"contrast is 0\.6 and beams 2: .*leave out contrast, or beams"),
        ({"contrast": 0.6, "temperature": 0}, r"temperature is 0.* and contrast 0\.6: contrastive search"),
        ({"contrast": 0.6, "min_p": 0.2}, r"min_p is 0\.2 and contrast 0\.6: .*leave out min_p, or contrast"),
    ],
)
def test_what_a_search_would_pass_over_is_refused(wish: dict[str, Any], reason: str) -> None:
    task = LanguageModelling(vocabulary=tuple("abcd\n"), states=(("state_h", (1, 2)),))
    with pytest.raises(InputError, match=reason):
        ask(task, uniform(task), {"length": 2} | wish)


def test_what_asks_for_nothing_may_stand_beside_a_search() -> None:
    task = LanguageModelling(vocabulary=tuple("abcd\n"), states=(("state_h", (1, 2)),))
    idle = {"top_k": 0, "top_p": 1.0, "min_p": 0, "contrast": 0, "seed": 4, "repetition_penalty": 1.0}
    plain, more = ask(task, uniform(task), {"length": 5, "beams": 2}, {"length": 5, "beams": 2} | idle)
    assert plain == more


# -- contrastive search ---------------------------------------------------------------------------
GPT = gpt2.Config(vocabulary=8, context=32, width=16, layers=2, heads=2, dropout=0.0)
LLAMA = llama.Config(vocabulary=8, context=32, width=16, layers=2, heads=2, groups=1, hidden=24)


@pytest.mark.parametrize("cfg", [GPT, LLAMA], ids=["gpt2", "llama"])
def test_contrastive_search_equals_reading_all_again(cfg: Any) -> None:
    """The primitive, which reads every text whole, against a cache that is told which candidate was best."""
    model = cfg.build().eval()
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    task = LanguageModelling(vocabulary=tuple("\nabcdefg"), states=cfg.states)
    network = Boundary(task, model)

    def read(text: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        vectors = model.vectors(text, model.cache(len(text), text.shape[1]))
        return model.scores(vectors).double(), vectors.double()

    prompt = torch.tensor([[task.start, *map(task.vocabulary.index, "bcab")]])
    texts = set()
    for count, alpha in ((4, 0.6), (3, 0.9), (2, 0.3)):
        wanted = contrastive_search(read, prompt, longest=20, count=count, alpha=alpha)[0]
        wish = {"prompt": "bcab", "length": 20, "contrast": alpha} | ({"top_k": count} if count != 4 else {})
        answer, again = ask(task, network, wish | {"seed": 1, "trace": 1}, wish | {"seed": 2})
        assert answer["text"] == again["text"] == "".join(task.vocabulary[n] for n in wanted[1:])
        assert len(answer["trace"]) == answer["tokens"] == 20
        texts.add(answer["text"])
    assert len(texts) > 1, "how much it weighs and how many candidates there are makes a difference"


def test_a_recurrent_network_is_asked_for_contrast(trained: tuple[Any, Any, Any]) -> None:
    """A recurrent network carries what its scores are made of, and so an exported one can be asked too."""
    experiment, _, model = trained
    task = experiment.task
    network = Boundary(task, model)
    wish = {"prompt": "row, ro", "length": 25}

    def read(text: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        with torch.inference_mode():
            return model(text).double(), model.lstm.window(model.embedding(text)).double()

    prompt = torch.tensor([[task.start, *map(task.vocabulary.index, "row, ro")]])
    wanted = contrastive_search(read, prompt, longest=25, alpha=0.95)[0].tolist()
    found = ask(task, network, wish | {"contrast": 0.95})[0]
    assert found["text"] == "".join(task.vocabulary[n] for n in wanted[1:])
    assert found["text"] != ask(task, network, wish | {"temperature": 0})[0]["text"]
    assert ask(task, lambda arrays: network(arrays), wish | {"contrast": 0.95})[0] == found


def test_contrast_without_vectors_is_refused() -> None:
    task = LanguageModelling(vocabulary=tuple("\nabcdefg"), states=GPT.states)
    network = Boundary(task, GPT.build())
    wish = {"prompt": "ab", "contrast": 0.6}
    with pytest.raises(
        InputError, match="the whole text, 33 tokens here, and this model keeps 32; ask for a"
    ):
        ask(task, network, wish | {"length": 30})
    assert ask(task, network, wish | {"length": 29})[0]["tokens"] == 29
    with pytest.raises(
        InputError, match="does not show, as an exported one does not; answer with --backend t"
    ):
        ask(task, lambda arrays: network(arrays), wish | {"length": 4})


def test_a_penalty_ends_repetition(trained: tuple[Any, Any, Any]) -> None:
    experiment, _, model = trained
    network = Boundary(experiment.task, model)
    for more in ({"temperature": 0}, {"beams": 3}):
        wish = {"prompt": "row", "length": 10} | more
        plain, penalised = ask(experiment.task, network, wish, wish | {"repetition_penalty": 10.0})
        assert len(set(penalised["text"])) > len(set(plain["text"]))


def test_a_trace_tells_what_there_was_to_choose_from(trained: tuple[Any, Any, Any]) -> None:
    experiment, _, model = trained
    task = experiment.task
    wish = {"prompt": "row, ", "length": 12, "temperature": 2.0, "top_k": 4, "trace": 3}
    answer = ask(task, Boundary(task, model), wish)[0]
    assert answer["text"] == ask(task, Boundary(task, model), wish | {"trace": 0})[0]["text"]
    assert "".join(one["token"] for one in answer["trace"]) == answer["text"][5:]
    text = torch.tensor([[task.start, *map(task.vocabulary.index, answer["text"])]])
    with torch.inference_mode():
        scores = model(text[:, :-1])[0, 5:].double()
    kept = scores.masked_fill(scores < scores.topk(4).values[:, -1:], -math.inf)
    likely, share = scores.softmax(-1), (kept / 2).softmax(-1)
    for k, one in enumerate(answer["trace"]):
        token = task.vocabulary.index(one["token"])
        assert one["probability"] == pytest.approx(float(likely[k, token]), abs=1e-5)
        assert one["share"] == pytest.approx(float(share[k, token]), abs=1e-5)
        best = [task.vocabulary[n] for n in likely[k].topk(3).indices.tolist()]
        assert [other["token"] for other in one["likeliest"]] == best
    greedy = ask(task, Boundary(task, model), {"length": 3, "temperature": 0, "trace": 1})[0]["trace"]
    assert all(one["share"] == 1.0 and one["likeliest"][0]["token"] == one["token"] for one in greedy)


@pytest.mark.parametrize(
    "cfg",
    [
        gpt2.Config(vocabulary=9, context=24, width=16, layers=2, heads=2, dropout=0.1),
        llama.Config(vocabulary=9, context=24, width=16, layers=2, heads=2, groups=1, hidden=32),
        llama.Config(vocabulary=9, context=24, width=16, layers=2, heads=2, groups=1, hidden=32, window=5),
    ],
    ids=["GPT-2", "LLaMA", "LLaMA with a window"],
)
def test_a_models_own_cache_writes_what_its_steps_write(cfg: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawn, searched for and traced, for prompts of several lengths; beyond the context by steps alone."""
    torch.manual_seed(0)
    model = cfg.build()
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.4)  # so that choices are clear
    task = LanguageModelling(vocabulary=tuple("abcdefgh\n"), states=cfg.states)
    network, read = Boundary(task, model), []
    ahead = model.read
    monkeypatch.setattr(model, "read", lambda *given: read.append(given[0].shape[1]) or ahead(*given))
    wishes = [
        {"prompt": "abcabc", "length": 9, "seed": 1, "trace": 2},
        {"prompt": "h", "length": 3, "seed": 2, "temperature": 0.0},
        {"prompt": "", "length": 15, "seed": 3, "repetition_penalty": 1.3},
        {"prompt": "abba", "length": 6, "beams": 3, "trace": 9},
    ]
    kept = ask(task, network, *wishes)
    assert read and max(read) == 16 - 9  # the trace reads a prompt at once, with the new line before it
    read.clear()
    carried = ask(task, lambda arrays: network(arrays), *wishes)
    assert not read
    for one, other in zip(kept, carried, strict=True):
        assert one["text"] == other["text"]
        for a, b in zip(one.get("trace", ()), other.get("trace", ()), strict=True):
            assert a["token"] == b["token"] and a["share"] == pytest.approx(b["share"], abs=1e-5)
            assert a["probability"] == pytest.approx(b["probability"], abs=1e-5)

    ask(task, network, {"prompt": "ab", "length": 21})
    assert read
    read.clear()
    assert len(ask(task, network, {"prompt": "ab", "length": 22})[0]["text"]) == 24 and not read


def test_an_older_artifact_knows_fewer_wishes() -> None:
    task = LanguageModelling(vocabulary=tuple("abcd\n"), states=(("state", (1, 2)),))
    whole = preprocessing.apply(task.preprocessing(), {"length": 20, "seed": 3})
    old = {name: whole[name] for name in ("prompt", "length", "temperature", "top_k", "seed")}
    assert task.respond(uniform(task), [old]) == task.respond(uniform(task), [whole])


def test_an_older_artifact_refuses_a_temperature_beside_beams() -> None:
    """It does not tell whether the usual temperature was said, only that another was."""
    task = LanguageModelling(vocabulary=tuple("abcd\n"), states=(("state", (1, 2)),))

    def old(wish: dict[str, Any]) -> Any:
        return preprocessing.apply(
            [o for o in task.preprocessing() if o["input"] != "temperature_said"], wish
        )

    assert task.respond(uniform(task), [old({"length": 4, "beams": 2})])[0]["tokens"] == 4
    with pytest.raises(InputError, match=r"temperature is 0\.5 and beams 2"):
        task.respond(uniform(task), [old({"length": 4, "beams": 2, "temperature": 0.5})])


@pytest.mark.parametrize("more", [{}, {"temperature": 0}, {"beams": 2}, {"top_p": 0.5}])
def test_a_network_that_gives_no_numbers_is_said_to_be_damaged(more: dict[str, Any]) -> None:
    task = LanguageModelling(vocabulary=tuple("abcd\n"), states=(("state", (1, 2)),))
    plain = uniform(task)

    def broken(arrays: Arrays) -> Arrays:
        made = plain(arrays)
        return made | {"logits": made["logits"] * np.nan}

    with pytest.raises(RunError, match=r"logits holds nan.*overflowed or its weights are damaged"):
        ask(task, broken, {"length": 3} | more)


@pytest.mark.slow
def test_torch_and_onnx_write_the_same_text(trained: tuple[Any, Any, Any], tmp_path: Path) -> None:
    experiment, _, model = trained
    artifact.write(
        tmp_path,
        task=experiment.task,
        model=model,
        system="char_lstm",
        digest="0" * 64,
        name="rhyme",
        facts={},
    )
    assert export(tmp_path, experiment.task, model)["equal"]
    wishes = [{"prompt": "boat", "length": 300, "temperature": 1.0, "seed": s} for s in range(3)]
    ours = artifact.open_artifact(tmp_path, "torch").predict(wishes)
    assert ours == artifact.open_artifact(tmp_path, "onnx").predict(wishes)
    assert len({answer["text"] for answer in ours}) == 3


def test_the_report_shows_samples_bits_and_surprises(trained: tuple[Any, Any, Any]) -> None:
    experiment, data, model = trained
    found = experiment.task.evaluate(Boundary(experiment.task, model), data.valid)
    sections = experiment.task.sections(found, data.valid)
    assert [s.title for s in sections] == ["Writing samples", "Bits", "Most surprising characters"]
    page = "".join(block.html() for section in sections for block in section.blocks)
    assert "Temperature 0.8" in page and "every character equally likely" in page
    worst = experiment.task.surprises(found.detail).rows[0]
    assert float(worst[2]) == pytest.approx(found.detail["loss"].max() / math.log(2), abs=0.051)


def test_line_ends_stand_as_signs_in_the_table() -> None:
    task = LanguageModelling(vocabulary=("\n", "a"), states=(("state", (1, 2)),))
    detail = {"token": np.array([1, 0]), "target": np.array([0, 1]), "loss": np.array([2.0, 1.0])}
    assert task.surprises(detail).rows[0][:2] == ("a", "\\n")
