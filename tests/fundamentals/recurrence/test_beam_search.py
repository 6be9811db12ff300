"""Beam search against every text of a toy vocabulary, and against transformers' own."""

import math
import random

import pytest
import torch
from torch import Tensor

from fathom.fundamentals.recurrence.beam_search import (
    Hypothesis,
    Score,
    beam_search,
    beam_search_by_hand,
    length_penalty,
)


def language(seed: int, size: int, rows: int = 1, sharp: float = 1.5) -> Score:
    """Log probabilities that depend on the row and on the whole text before."""

    def score(written: Tensor, row: Tensor, parent: Tensor) -> Tensor:
        lines = []
        for text, r in zip(written.tolist(), row.tolist(), strict=True):
            dice = torch.Generator().manual_seed(random.Random(f"{seed} {r} {text}").getrandbits(60))
            lines.append(sharp * torch.randn(size, generator=dice))
        return torch.stack(lines).log_softmax(dim=-1)

    assert rows
    return score


def same(ours: list[list[Hypothesis]], theirs: list[list[Hypothesis]]) -> None:
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        assert [(h.tokens, h.ended) for h in one] == [(h.tokens, h.ended) for h in other]
        assert [h.score for h in one] == pytest.approx([h.score for h in other], abs=1e-5)


@pytest.mark.parametrize("alpha", [0.0, 0.6, 2.0])
def test_with_beams_enough_it_finds_the_best_of_all_texts(alpha: float) -> None:
    """3 tokens and an end, at most 4 of them: 27 beginnings with 108 candidates are the most there are."""
    for seed in range(5):
        settings = {"start": 0, "end": 1, "longest": 4, "rows": 2, "alpha": alpha}
        theirs = beam_search_by_hand(language(seed, 4), beams=108, **settings)  # type: ignore[arg-type]
        ours = beam_search(language(seed, 4), beams=108, **settings)  # type: ignore[arg-type]
        same(ours, theirs)


def test_one_beam_is_greedy_and_the_best_of_all_is_better() -> None:
    better = 0
    for seed in range(20):
        score = language(seed, 6)
        written = [0]
        total = 0.0
        while len(written) <= 5:
            likely = score(torch.tensor([written]), torch.tensor([0]), torch.tensor([0]))[0]
            written.append(int(likely.argmax()))
            total += float(likely.max())
            if written[-1] == 1:
                break
        ((first, *_),) = beam_search(score, start=0, end=1, beams=1, longest=5)
        assert first.score == pytest.approx(total, abs=1e-5)
        assert [*first.tokens, *([1] if first.ended else [])] == written[1:]
        ((best, *_),) = beam_search(score, start=0, end=1, beams=4000, longest=5)
        assert best.score >= first.score - 1e-9
        better += best.score > first.score + 1e-3
    assert better > 5


def test_a_garden_path_misleads_one_beam_and_not_two() -> None:
    """Token 2 is likelier at first, but what follows it is a lottery; after 3 the end is sure."""
    log = math.log
    first = torch.tensor([-math.inf, -math.inf, log(0.6), log(0.4)])
    after = {2: torch.tensor([log(0.25)] * 4), 3: torch.tensor([-math.inf, 0.0, -math.inf, -math.inf])}

    def score(written: Tensor, row: Tensor, parent: Tensor) -> Tensor:
        return torch.stack([first if len(text) == 1 else after[text[1]] for text in written.tolist()])

    ((misled, *_),) = beam_search(score, start=0, end=1, beams=1, longest=2)
    ((found, *_),) = beam_search(score, start=0, end=1, beams=2, longest=2)
    assert misled.tokens[0] == 2 and misled.score == pytest.approx(log(0.15))
    assert found.tokens == (3,) and found.ended and found.score == pytest.approx(log(0.4))


def test_rows_do_not_meet_and_parents_lead_back() -> None:
    """A cache that is kept in step through ``parent`` holds the same beginnings as ``written``."""
    inner, cache = language(3, 5), [[0], [0], [0]]

    def score(written: Tensor, row: Tensor, parent: Tensor) -> Tensor:
        nonlocal cache
        if written.shape[1] > 1:
            cache = [
                [*cache[k], token] for k, token in zip(parent.tolist(), written[:, -1].tolist(), strict=True)
            ]
        assert cache == written.tolist()
        return inner(written, row, parent)

    together = beam_search(score, start=0, end=1, beams=3, longest=6, rows=3)
    for r in range(3):

        def alone(written: Tensor, row: Tensor, parent: Tensor, r: int = r) -> Tensor:
            return inner(written, row + r, parent)

        same(beam_search(alone, start=0, end=1, beams=3, longest=6), together[r : r + 1])


def test_it_stops_as_soon_as_nothing_better_can_come() -> None:
    calls = 0

    def score(written: Tensor, row: Tensor, parent: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return torch.tensor([[0.05, 0.9, 0.05]]).log().expand(len(written), 3)

    ((best,),) = beam_search(score, start=0, end=1, beams=1, longest=100)
    assert best.tokens == () and best.score == pytest.approx(math.log(0.9)) and calls == 1


def test_length_penalty_prefers_longer_texts() -> None:
    assert length_penalty(1, 0.7) == 1.0 and length_penalty(7, 1.0) == 2.0
    table = torch.tensor([[-9.0, math.log(0.5), math.log(0.5)]])

    def score(written: Tensor, row: Tensor, parent: Tensor) -> Tensor:
        return table.expand(len(written), 3)

    lengths = []
    for alpha in (0.0, 3.0):
        ((best, *_),) = beam_search(score, start=0, end=1, beams=4, longest=6, alpha=alpha)
        lengths.append(len(best.tokens))
    assert lengths[0] == 0 and lengths[1] >= 5


def test_a_text_without_an_end_is_cut_off_and_one_that_is_forbidden_is_not_there() -> None:
    def endless(written: Tensor, row: Tensor, parent: Tensor) -> Tensor:
        return torch.tensor([[-math.inf, -math.inf, 0.0]]).expand(len(written), 3)

    cut = Hypothesis((2, 2, 2, 2), 0.0, False)
    assert beam_search(endless, start=0, end=1, beams=2, longest=4) == [[cut]]

    def dead(written: Tensor, row: Tensor, parent: Tensor) -> Tensor:
        return torch.full((len(written), 3), -math.inf)

    assert beam_search(dead, start=0, end=1, beams=2, longest=4) == [[]]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_it_writes_what_transformers_writes() -> None:
    """A tiny random GPT-2, three beams, sums as they are."""
    import transformers

    torch.manual_seed(2)
    sizes = {"vocab_size": 9, "n_positions": 16, "n_embd": 16, "n_layer": 1, "n_head": 2}
    config = transformers.GPT2Config(**sizes, bos_token_id=0, eos_token_id=1, pad_token_id=1)
    model = transformers.GPT2LMHeadModel(config).eval()
    for weight in model.parameters():
        weight.data += 0.4 * torch.randn_like(weight)

    @torch.inference_mode()
    def score(written: Tensor, row: Tensor, parent: Tensor) -> Tensor:
        return model(written).logits[:, -1].log_softmax(dim=-1)

    for first in range(2, 9):
        made = model.generate(
            torch.tensor([[first]]), num_beams=3, max_new_tokens=5, do_sample=False, early_stopping="never",
            length_penalty=0.0, return_dict_in_generate=True, output_scores=True, num_return_sequences=1,
        )  # fmt: skip
        ((best, *_),) = beam_search(score, start=first, end=1, beams=3, longest=5)
        theirs = [token for token in made.sequences[0, 1:].tolist() if token != 1]
        assert list(best.tokens) == theirs
        assert best.score == pytest.approx(made.sequences_scores[0].item(), abs=1e-4)


def test_bad_input_is_refused() -> None:
    good = language(0, 4)
    settings = {"start": 0, "end": 1, "beams": 2, "longest": 3}
    for changed, words in (
        ({"beams": 0}, "beams is 0"),
        ({"longest": 0}, "longest is 0"),
        ({"rows": 0}, "rows is 0"),
        ({"alpha": -0.5}, "alpha is -0.5"),
        ({"end": 4}, r"score gave \(1, 4\); .* end 4"),
    ):
        with pytest.raises(ValueError, match=words):
            beam_search(good, **(settings | changed))  # type: ignore[arg-type]
    for given, words in (
        (torch.zeros(2, 4), r"score gave \(2, 4\); it must give \(1, v\)"),
        (torch.ones(1, 4), "score gave 1; log probabilities are 0 or less"),
        (torch.full((1, 4), math.nan), "score gave nan"),
    ):
        with pytest.raises(ValueError, match=words):
            beam_search(lambda written, row, parent, g=given: g, **settings)  # type: ignore[arg-type, misc]
