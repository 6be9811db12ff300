"""The section on attention: what it shows of every kind of model that looks; no report fails of it."""

import itertools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fathom import catalog
from fathom.data.split import Tensors
from fathom.data.windows import Windows
from fathom.report import head_maps
from fathom.report.blocks import Table
from fathom.report.head_maps import PLACES, Reading, evenly, head_map_sections, measures, table
from fathom.report.page import Section, page
from fathom.report.square_maps import NAMED, SquareMap, SquareMaps, cells
from fathom.tasks.language_modelling import LanguageModelling
from fathom.tasks.text_classification import SPECIAL, TextClassification

LOOKING = ("gpt2", "llama", "bert", "minilm")
WORDS = tuple(f"word{i}" for i in range(30))
TASK = TextClassification(labels=("bad", "good"), vocabulary=(*SPECIAL, *WORDS), length=12)


def built(system: str) -> tuple[Any, nn.Module, Any]:
    """Task, fresh model and held-out rows of the smallest run of ``system``."""
    run: Any = catalog.systems()[system].load().tiny()
    return run.task, run.model.build(), run.data.load().valid


def sentences(count: int = 40) -> Tensors:
    """Of 1 to 12 words, filled up."""
    dice = torch.Generator().manual_seed(0)
    token = torch.randint(2, 32, (count, 12), generator=dice)
    lengths = torch.arange(count) % 12 + 1
    token[torch.arange(12) >= lengths[:, None]] = 0
    return Tensors((token, torch.arange(count) % 2))


class Own(nn.Module):
    """A module of one's own, of torch's layers; it looks at filling unless told where it is."""

    def __init__(self, masked: bool = True, depth: int = 2) -> None:
        super().__init__()
        self.masked = masked
        self.words, self.head = nn.Embedding(32, 8), nn.Linear(8, 2)
        layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, depth, enable_nested_tensor=False)

    def forward(self, token: Tensor) -> Tensor:
        x = self.encoder(self.words(token), src_key_padding_mask=(token == 0) if self.masked else None)
        return self.head(x.mean(dim=1))


def parts(sections: list[Section]) -> tuple[list[SquareMaps], Table]:
    (section,) = sections
    assert section.title == "Where it looks" and "not why" in section.intro
    *maps, last = section.blocks
    assert isinstance(last, Table) and all(isinstance(m, SquareMaps) for m in maps)
    return maps, last  # type: ignore[return-value]


@pytest.mark.parametrize("system", LOOKING)
def test_every_model_that_looks_has_it(system: str, read: Callable[[str], Any]) -> None:
    task, model, split = built(system)
    begun = time.perf_counter()
    sections = head_map_sections(task, model, split)
    assert time.perf_counter() - begun < 5
    maps, shares = parts(sections)
    cfg: Any = model.cfg
    assert len(maps) == 2
    for one in maps:
        titles = [f"Layer {n} of {cfg.layers}" for n in sorted({1, cfg.layers})]
        assert list(one.groups) == (titles if cfg.layers > 1 else ["The only layer"])
        for group in one.groups.values():
            assert [m.title for m in group] == [f"Head {n}" for n in range(1, cfg.heads + 1)]
            for m in group:
                np.testing.assert_allclose(m.weights.sum(axis=1), 1, atol=1e-5)
                assert system in ("bert", "minilm") or not np.triu(m.weights, 1).any()
    assert len(shares.rows) == cfg.layers * cfg.heads + 1
    assert "script" not in read(page("A run", "of a test", sections)).tags


@pytest.mark.parametrize("system", ["char_lstm", "text_cnn", "transformer", "mnist", "gcn", "image_text"])
def test_what_does_not_look_from_token_to_token_has_none(system: str) -> None:
    """Nor has a translator: its task shows alignments."""
    assert head_map_sections(*built(system)) == []


def test_modules_of_ones_own_are_looked_into() -> None:
    maps, shares = parts(head_map_sections(TASK, Own(), sentences()))
    assert [len(m.names) for m in maps] == [8, 9]  # short ones, without what fills them up
    assert all(name.startswith("word") for m in maps for name in m.names)
    assert len(shares.rows) == 5 and "16 held-out texts" in shares.caption
    blind, _ = parts(head_map_sections(TASK, Own(masked=False), sentences()))
    assert [len(m.names) for m in blind] == [12, 12] and blind[0].names[-1] == "<padding>"


def test_the_model_stays_as_it_is() -> None:
    model = Own().train()
    model.encoder.layers[0].eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    dice = torch.get_rng_state()
    assert head_map_sections(TASK, model, sentences())
    assert model.training and not model.encoder.layers[0].training and model.encoder.layers[1].training
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters()) and torch.equal(torch.get_rng_state(), dice)


class Strange(nn.Module):
    """Looks, but not as a report can show: by what is asked for."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how, self.words = how, nn.Embedding(32, 8)
        self.calls = itertools.count()

    def forward(self, token: Tensor) -> Tensor:
        x = self.words(token)
        if self.how == "fails":
            raise RuntimeError("only in batches of 64")
        if self.how == "wants more":
            raise TypeError("forward() missing 1 required positional argument: 'state'")
        if self.how == "pools first":
            x = x[:, ::2]
        if self.how == "broken":
            x = x * torch.nan
        query = x[:, :1] if self.how == "one query" else x
        made = nn.functional.scaled_dot_product_attention(query, x, x)
        if self.how == "by length" and next(self.calls) % 2:
            made = nn.functional.scaled_dot_product_attention(made, made, made)
        return made.mean(dim=1)


@pytest.mark.parametrize("how", ["fails", "wants more", "pools first", "broken", "one query"])
def test_no_report_fails_of_it(how: str) -> None:
    assert head_map_sections(TASK, Strange(how), sentences()) == []


def test_texts_that_are_read_in_fewer_layers_are_not_counted() -> None:
    _, shares = parts(head_map_sections(TASK, Strange("by length"), sentences()))
    assert len(shares.rows) == 2 and "8 held-out texts" in shares.caption


def test_empty_splits_and_single_words_have_none() -> None:
    empty = Tensors((torch.zeros(0, 12, dtype=torch.int64), torch.zeros(0, dtype=torch.int64)))
    assert head_map_sections(TASK, Own(), empty) == []
    word = Tensors((torch.tensor([[5] + [0] * 11]), torch.tensor([1])))
    assert head_map_sections(TASK, Own(), word) == []


def test_running_text_is_shown_from_the_beginning_of_a_line() -> None:
    text = "out of it\nTo be or not to be, that is the question:\nWhether it is nobler\n" * 3
    vocabulary = tuple(sorted(set(text)))
    _, model, _ = built("gpt2")
    task = LanguageModelling(vocabulary=vocabulary, states=())
    split = Windows(torch.tensor([vocabulary.index(c) for c in text]), length=64)
    shown, counted = head_maps.lines(split.rows(torch.arange(3))[0], vocabulary)
    assert "".join(vocabulary[n] for n in shown[0].tolist()) == "To be or not to be, "
    assert len(counted[0]) == 64
    wide = type(model)(model.cfg.__class__(vocabulary=40, context=64, width=8, layers=1, heads=2)).eval()  # type: ignore
    maps, shares = parts(head_map_sections(task, wide, split))
    assert maps[0].caption == "“To be or not to be,”" and maps[0].names[2] == "·"
    assert "tokens back" in shares.caption


def test_long_texts_are_drawn_without_names() -> None:
    count = NAMED + 1
    maps = SquareMaps([f"w{i}" for i in range(count)], {"": [SquareMap(np.eye(count), "Head 1")]})
    html = maps.html()
    assert f"{count} places, in order" in html and ">w3<" not in html
    assert ">w3<" in SquareMaps(maps.names[:9], {"": [SquareMap(np.eye(9), "Head 1")]}).html()


def test_many_heads_are_drawn_in_part_and_counted_in_whole() -> None:
    layers = [torch.full((20, 4, 4), 0.25)] * 5
    one = Reading(["a", "few", "words", "more"], layers)
    assert head_maps.titled(layers, 4) == "Layer 5 of 5, 16 of 20 heads"
    assert len(head_maps.drawn(one, 0)) == 16
    rows = table([one]).rows
    assert len(rows) == 41 and {str(r[0]).split(",")[0] for r in rows[:-1]} == {"layer 1", "layer 5"}


def test_of_a_model_of_many_heads_one_text_is_drawn() -> None:
    model = catalog.systems()["bert"].load().Config(vocabulary=32, context=12, width=36, layers=1, heads=9)
    maps, shares = parts(head_map_sections(TASK, model.build(), sentences()))
    assert len(maps) == 1 and "16 held-out texts" in shares.caption and len(shares.rows) == 10


def test_numbers_of_a_head_are_those_that_were_planted() -> None:
    n = 6
    before = torch.eye(n).roll(1, dims=0)
    before[0] = torch.eye(n)[0]  # the first has none before it
    first = torch.zeros(n, n)
    first[:, 0] = 1
    after = torch.eye(n).roll(-1, dims=0)
    heads = torch.stack([before, torch.eye(n), first, after, torch.full((n, n), 1 / n)])
    found = measures(heads)
    assert found[:, 0].tolist() == pytest.approx([5 / 6, 0, 2.5, (5 + 5) / 6, 35 / 18])
    assert found[:4, 1].eq(0).all() and float(found[4, 1].exp()) == pytest.approx(6)
    best = [PLACES[int(row[2:].argmax())] for row in found[:4]]
    assert best == ["the one before", "itself", "the first", "the one after"]
    (even,) = evenly(Reading(["w"] * n, [torch.stack([before, torch.ones(n, n).tril() / 6])]))
    torch.testing.assert_close(even, torch.ones(n, n).tril() / torch.arange(1, n + 1)[:, None])


def test_a_shade_is_the_root_of_a_weight_and_nothing_is_drawn_of_none() -> None:
    drawn = cells(np.array([[1.0, 0.0, 0.0], [0.25, 0.25, 0.0], [0.0, 1e-9, 0.04]]))
    assert drawn == [
        '<path class="h1" d="M1,2h1v1h-1z"/>',
        '<path class="h3" d="M2,2h1v1h-1z"/>',
        '<path class="h8" d="M0,1h2v1h-2z"/>',
        '<path class="h15" d="M0,0h1v1h-1z"/>',
    ]


def test_maps_of_another_size_are_refused() -> None:
    from fathom.errors import InputError

    with pytest.raises(InputError, match=r"'Head 1' has shape \(2, 2\) for 3 names"):
        SquareMaps("abc", {"Layer 1": [SquareMap(np.eye(2), "Head 1")]}).html()
    assert "No values were recorded" in SquareMaps("abc", {}).html()


@pytest.mark.slow
@pytest.mark.parametrize("system", ["gpt2", "bert"])
def test_the_report_of_a_run_has_it(system: str, tmp_path: Path) -> None:
    from fathom.verbs.train import train

    run = train(catalog.systems()[system].load().tiny(), out=tmp_path / "run", export=False)
    text = run.report.read_text(encoding="utf-8")
    assert text.count(">Where it looks<") == 2  # the contents, and the section
