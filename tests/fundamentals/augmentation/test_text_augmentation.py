"""EDA: what each change keeps, labels and protected words, and refusals."""

from collections import Counter

import numpy as np
import pytest

from fathom.fundamentals.augmentation.text_augmentation import (
    OPERATIONS,
    augment_labelled,
    delete_words,
    easy_data_augmentation,
    insert_words,
    numbers_needed,
    replace_words,
    swap_words,
)

SYNONYMS = {"good": ["fine", "great"], "film": ["movie"], "long": ["lengthy", "slow", "tall"]}
SENTENCE = "this film is not good but it is long and the end is near".split()


def drawn(seed: int, count: int = 60) -> np.ndarray:
    return np.random.default_rng(seed).random(count)


def test_each_change_keeps_what_it_must() -> None:
    """Over 300 draws: swaps keep the words, deletions their order, insertions all of both."""
    table = {word: set(others) for word, others in SYNONYMS.items()}
    added = set().union(*table.values())
    for seed in range(300):
        for alpha in (0.0, 0.1, 0.3, 1.0):
            made = {
                o: easy_data_augmentation(SENTENCE, drawn(seed), o, alpha=alpha, synonyms=SYNONYMS)
                for o in OPERATIONS
            }
            count = max(1, int(alpha * len(SENTENCE))) if alpha else 0
            assert Counter(made["swap"]) == Counter(SENTENCE)
            assert sum(a != b for a, b in zip(made["swap"], SENTENCE, strict=True)) <= 2 * count
            rest = iter(SENTENCE)
            assert made["delete"] and all(word in rest for word in made["delete"])
            assert len(made["insert"]) == len(SENTENCE) + count
            assert [w for w in made["insert"] if w not in added] == SENTENCE
            changed = [(a, b) for a, b in zip(SENTENCE, made["replace"], strict=True) if a != b]
            assert len(changed) == min(count, 3) and all(b in table[a] for a, b in changed)


def test_protected_words_stay_and_labels_stay() -> None:
    """A label that hangs on one word is safe when that word is protected, and not when it is not."""
    sentences = [(SENTENCE, 0), ("good film".split(), 1), (["fine"], 1)]
    lost = 0
    for seed in range(100):
        numbers = np.random.default_rng(seed).random((3, 4, 50))
        made = augment_labelled(sentences, numbers, alpha=0.3, synonyms=SYNONYMS, protected=("not", "good"))
        assert [label for _, label in made] == [0] * 5 + [1] * 10
        for words, _ in made[:5]:
            assert words.count("not") == 1 and words.count("good") == 1
        free = augment_labelled(sentences, numbers, alpha=0.3, synonyms=SYNONYMS)
        lost += sum("not" not in words for words, _ in free[:5])
    assert lost > 10


def test_same_numbers_same_sentence() -> None:
    for operation in OPERATIONS:
        first, again, other = (
            easy_data_augmentation(SENTENCE, drawn(s), operation, alpha=0.5, synonyms=SYNONYMS)
            for s in (1, 1, 2)
        )
        assert first == again != other


def test_how_often_words_go() -> None:
    kept = sum(len(easy_data_augmentation(SENTENCE, drawn(s), "delete", alpha=0.2)) for s in range(2000))
    assert kept / (2000 * len(SENTENCE)) == pytest.approx(0.8, abs=0.01)


def test_extremes() -> None:
    for operation in OPERATIONS:
        assert easy_data_augmentation([], drawn(0), operation) == []
        assert easy_data_augmentation(["one"], np.zeros(3), operation, alpha=1.0) == ["one"]
        assert easy_data_augmentation(SENTENCE, drawn(0), operation, alpha=0.0, synonyms=SYNONYMS) == SENTENCE
    assert delete_words(["a", "b"], [False, False]) == ["a"]
    largest = np.full(numbers_needed(14, 1.0), 1 - 2.0**-53)
    for operation in OPERATIONS:
        assert easy_data_augmentation(SENTENCE, largest, operation, alpha=1.0, synonyms=SYNONYMS)


def test_bad_input_is_refused() -> None:
    for wrong, words in (
        (lambda: swap_words(["a"], [(0, 1)]), r"pairs holds place 1; it must be in \[0, 1\)"),
        (lambda: delete_words(["a", "b"], [True]), "kept has 1 entries; there are 2 words"),
        (lambda: insert_words(["a"], [(2, "b")]), "inserts holds place 2"),
        (lambda: replace_words(["a"], {-1: "b"}), "replacements holds place -1"),
        (lambda: easy_data_augmentation(SENTENCE, drawn(0), "spell"), "operation is 'spell'"),
        (lambda: easy_data_augmentation(SENTENCE, drawn(0), "swap", alpha=1.5), "alpha is 1.5"),
        (lambda: easy_data_augmentation(SENTENCE, drawn(0, 3), "swap"), "14 words need 14"),
        (lambda: easy_data_augmentation(SENTENCE, drawn(0) + 1, "swap"), r"outside \[0, 1\)"),
        (lambda: easy_data_augmentation(SENTENCE, drawn(0), "swap", synonyms={"a": []}), "no words for 'a'"),
        (lambda: augment_labelled([(SENTENCE, 0)], drawn(0)), "numbers has shape"),
    ):
        with pytest.raises(ValueError, match=words):
            wrong()
