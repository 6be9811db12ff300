"""Lower-case words become a text again, as texts like it are written."""

import pytest
from hypothesis import given
from tests.fundamentals.tokenizers.texts import ANY, NASTY

from fathom.deployment.preprocessing import words
from fathom.deployment.spelling import forms, learn_spelling, spell

TEXTS = (
    "Ein Mann mit T-Shirt (rot) läuft.", "Der Mann, der läuft, sieht Rot.", "Das ist d'or, Mann!",
    "Mann um Mann läuft.", "Ein ein-facher MANN", "Es läuft (ein) Band.",
)  # fmt: skip


def learned(texts: tuple[str, ...] = TEXTS) -> tuple[list[str], tuple[str, ...], bool]:
    known = sorted({word for text in texts for word in words(text)})
    return known, *learn_spelling(texts, known)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("ein mann, der läuft.", "Ein Mann, der läuft."),  # the usual form; spaces after signs alone
        ("der mann (rot) mit t-shirt", "Der Mann (rot) mit T-Shirt"),  # none inside brackets, nor by hyphens
        ("mann ! mann", "Mann! Mann"),
        ("das ist d ' or", "Das ist d'or"),
        ("", ""),
    ],
)
def test_texts_are_spelled_as_they_usually_are(text: str, wanted: str) -> None:
    known, spelling, capitals = learned()
    assert spell((known.index(word) for word in words(text)), spelling, capitals) == wanted


def test_the_first_word_tells_little_of_its_case() -> None:
    known, spelling, capitals = learned(("Ein Haus", "Ein Haus", "Ist ein", "Zwei"))
    assert spelling[known.index("ein")] == " ein "  # though it has a capital twice
    assert spelling[known.index("zwei")] == " Zwei "  # that is all there is to know
    assert capitals
    assert not learned(("ein Haus", "Ein Haus", "ein"))[2]


def test_a_word_that_is_seen_before_signs_alone_still_has_a_space_after_it() -> None:
    known, spelling, capitals = learned(("Rotes Haus.", "Haus."))
    assert spell([known.index(w) for w in ("haus", "haus", ".")], spelling, capitals) == "Haus Haus."


def test_words_that_stand_nowhere_keep_their_form() -> None:
    assert learn_spelling(["A b"], ["<end>", "b", "c"]) == ((" <end> ", " b ", " c "), True)


def test_signs_that_become_two_in_lower_case_are_left_out() -> None:
    assert words("\u0130x") != [form.lower() for form, _ in forms("\u0130x")]
    assert learn_spelling(["\u0130x b"], ["b"]) == ((" b ",), False)


@given(ANY | NASTY)
def test_forms_are_words_before_they_are_lower_case(text: str) -> None:
    made = forms(text)
    assert "".join(form for form, _ in made) == "".join(text.split())
    if text.isascii():
        assert [form.lower() for form, _ in made] == words(text)


def test_most_of_real_captions_come_back_as_they_were() -> None:
    from fathom.data import places
    from fathom.data.sets import multi30k

    if places.locate("multi30k") is None:
        pytest.skip("the data set multi30k is in none of the places looked at")
    texts = [german for _, german in multi30k.read("en", "de").train[:4000]]
    known, spelling, capitals = learned(tuple(texts))
    number = {word: i for i, word in enumerate(known)}
    same = sum(spell((number[w] for w in words(t)), spelling, capitals) == t for t in texts) / len(texts)
    assert capitals and same > 0.8
