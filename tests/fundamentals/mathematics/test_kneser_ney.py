"""Kneser-Ney against nltk on random and on real words, and against what must hold of any such model."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from fathom.fundamentals.mathematics.kneser_ney import FALLBACK, KneserNey, discounts

ORDERS = pytest.mark.parametrize("order", [2, 3, 4])


def drawn(seed: int, words: int, vocabulary: int) -> Tensor:
    """Words of which some are frequent; the beginning comes again at the end.

    nltk has probabilities that do not sum to one after a beginning that occurs only there.
    """
    dice = torch.Generator().manual_seed(seed)
    text = (torch.rand(words, generator=dice) ** 2 * vocabulary).long()
    return torch.cat([text, torch.tensor([0]), text[:6]])


def theirs(text: Tensor, order: int, discount: float) -> Any:
    """The model of nltk, of the same words as texts."""
    from nltk.lm import KneserNeyInterpolated
    from nltk.util import everygrams

    words = [str(word) for word in text.tolist()]
    model = KneserNeyInterpolated(order, discount=discount)
    model.fit([list(everygrams(words, max_len=order))], vocabulary_text=words)
    return model


def windows(text: Tensor, order: int) -> list[tuple[str, ...]]:
    words = [str(word) for word in text.tolist()]
    return [tuple(words[max(0, i - order + 1) : i + 1]) for i in range(len(words))]


def agrees_with_nltk(text: Tensor, query: Tensor, vocabulary: int, order: int, discount: float) -> None:
    other, model = theirs(text, order, discount), KneserNey.fit(text, vocabulary, order, discount)
    asked = windows(query, order)
    wanted = torch.tensor([other.score(run[-1], run[:-1]) for run in asked], dtype=torch.float64)
    torch.testing.assert_close(model.probability(query), wanted, rtol=1e-9, atol=1e-12)
    assert model.perplexity(query) == pytest.approx(other.perplexity(asked), rel=1e-9)


@ORDERS
@pytest.mark.parametrize("discount", [0.1, 0.75])
def test_probabilities_and_perplexity_are_those_of_nltk(order: int, discount: float) -> None:
    for seed in range(3):
        text = drawn(seed, 150, 9)
        query = text[torch.randint(len(text), (60,), generator=torch.Generator().manual_seed(seed))]
        agrees_with_nltk(text, query, 9, order, discount)


def test_real_characters_are_scored_as_by_nltk() -> None:
    from fathom.data.sets import tiny_shakespeare
    from fathom.errors import InputError

    try:
        plays = tiny_shakespeare.read()
    except InputError as reason:
        pytest.skip(str(reason))
    signs = sorted(set(plays[:2200]))
    numbers = torch.tensor([signs.index(sign) for sign in plays[:2200]])
    text = torch.cat([numbers[:2000], numbers[:6]])
    query = numbers[2000:2100]
    known = torch.isin(query, text[1:])  # nltk has words that it never saw in one, called unknown
    agrees_with_nltk(text, query[known], len(signs), 3, 0.75)


@ORDERS
@pytest.mark.parametrize("discount", [None, 0.0, 0.4, 1.0])
def test_all_words_together_have_the_whole_probability(order: int, discount: float | None) -> None:
    """After contexts that were seen or not, at the text's beginning and end, too long, empty."""
    text = torch.cat([torch.tensor([7, 8]), drawn(1, 200, 6)])
    model = KneserNey.fit(text, 10, order, discount)
    contexts = [text[:2], text[-3:], torch.tensor([9, 9, 9]), text[:50], text[:0]]
    contexts += [text[i : i + 3] for i in range(40)]
    for context in contexts:
        likely = model.following(context)
        assert float(likely.sum()) == pytest.approx(1, abs=1e-12)
        assert bool((likely >= 0).all())
        if discount is None:
            assert bool((likely > 0).all())
        for word in (0, 5, 9):
            scored = model.probability(torch.cat([context, torch.tensor([word])]))[-1]
            assert float(scored) == pytest.approx(float(likely[word]), abs=1e-15)


def test_a_frequent_word_with_one_companion_is_worth_little_elsewhere() -> None:
    """The point of it all: 1 comes as often as 2, but after 0 alone."""
    text = torch.tensor([0, 1] * 8 + [3, 2, 4, 2, 5, 2, 6, 2] * 2 + [3])
    assert int((text == 1).sum()) == int((text == 2).sum()) == 8
    likely = KneserNey.fit(text, 9, 2).following(torch.tensor([8]))
    assert float(likely[2]) > 2 * float(likely[1])
    after = KneserNey.fit(text, 9, 2).following(torch.tensor([0]))
    assert float(after[1]) > 0.5


def test_counts_of_one_length_are_those_of_the_text() -> None:
    text = drawn(2, 100, 5)
    likely = KneserNey.fit(text, 5, 1, discount=0.5).following(text[:0])
    torch.testing.assert_close(likely, text.bincount(minlength=5).double() / len(text))


def test_discounts_are_told_by_how_many_counts_there_are_of_each() -> None:
    counts = torch.tensor([1] * 40 + [2] * 15 + [3] * 8 + [4] * 5 + [9] * 3)
    y = 40 / 70
    assert discounts(counts) == pytest.approx((1 - 2 * y * 15 / 40, 2 - 3 * y * 8 / 15, 3 - 4 * y * 5 / 8))
    assert discounts(torch.tensor([1, 1, 2, 3, 9])) == FALLBACK  # none of four
    assert discounts(torch.tensor([1] * 9 + [2] + [3] * 9 + [4])) == FALLBACK  # would be below 0


def test_more_text_and_three_discounts_predict_better() -> None:
    """Words of a chain that looks two back."""
    dice = torch.Generator().manual_seed(0)
    chain = torch.randn(8, 8, 8, generator=dice).mul(1.5).softmax(-1)
    words = [0, 1]
    for _ in range(6000):
        words.append(int(torch.multinomial(chain[words[-2], words[-1]], 1, generator=dice)))
    text, query = torch.tensor(words[:5000]), torch.tensor(words[5000:])
    few, many = (KneserNey.fit(text[:n], 8, 3).loss(query) for n in (500, 5000))
    assert many < few < math.log(8)
    assert many < KneserNey.fit(text, 8, 2).loss(query)


def test_what_cannot_be_is_refused() -> None:
    text = torch.tensor([0, 1, 2])
    refused: list[tuple[tuple[Any, ...], str]] = [
        ((text, 3, 0), "order is 0"),
        ((text, 3, 4), "order is 4; it must be between 1 and the 3 words"),
        ((text, 2, 2), r"text holds words 0 to 2; they must lie in \[0, 2\)"),
        ((text, 0, 2), "vocabulary is 0"),
        ((-text, 3, 2), "words -2 to 0"),
        ((text[:0], 3, 1), "text has shape"),
        ((text, 3, 2, 1.5), "discount is 1.5"),
        ((text, 3, 2, math.nan), "discount is nan"),
    ]
    for given, reason in refused:
        with pytest.raises(ValueError, match=reason):
            KneserNey.fit(*given)
    with pytest.raises(ValueError, match="words 3 to 3"):
        KneserNey.fit(text, 3, 2).probability(torch.tensor([3]))
    with pytest.raises(ValueError, match="words 7 to 7"):
        KneserNey.fit(text, 3, 2).following(torch.tensor([7]))
    assert KneserNey.fit(text, 4, 2, 0.5).perplexity(torch.tensor([3])) == math.inf
