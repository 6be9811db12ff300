"""From texts to packed rows: nothing is lost or told twice, and rows teach what documents alone would."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F

from fathom.architectures.transformers.llama import Config
from fathom.data.documents import MARK, PARTS, Collection, collected, laid_out, one_a_row, packed
from fathom.data.split import Data, Tensors
from fathom.errors import InputError
from fathom.fundamentals.corpora.packing import NONE, Packed, own_document_mask, rows_in_order, unpack
from fathom.training.objectives import IGNORE


def texts() -> list[str]:
    """600 reviews and 200 captions, some of them twice, some nearly; and empty ones."""
    from fathom.data.sets import multi30k, rt_polarity

    reviews = list(rt_polarity.read().texts[:600])
    captions = [english for english, _ in multi30k.read("en", "de").train[:200]]
    again = [f"{review} ." for review in reviews[:40]] + [f"so {caption}" for caption in captions[:30]]
    return [*reviews, *captions, "", *again, "  \n"]


@pytest.fixture(scope="module")
def collection() -> Collection:
    return collected(texts(), 600, share=0.1)


@pytest.fixture(scope="module")
def data(collection: Collection) -> Data:
    return packed(collection, 64)


def documents(rows: Tensors) -> list[torch.Tensor]:
    """What stands in the rows, by document."""
    token, document, place, _ = rows.columns
    return unpack(Packed(token, document, place))


@pytest.mark.parametrize("part", PARTS)
def test_every_token_of_a_document_is_in_a_row_once(collection: Collection, data: Data, part: str) -> None:
    rows, facts = getattr(data, part), data.facts[part]
    token, document, _, target = rows.columns
    held = document != NONE
    encoded = [n for text in collection.texts[part] for n in collection.pairs.encode(text)]
    assert facts["documents"] == len(collection.texts[part]) > 50
    assert facts["tokens"] == len(encoded)
    assert facts["targets"] == facts["tokens"] + facts["documents"] == int(held.sum())
    assert facts["places"] == facts["targets"] + facts["filling"] == 64 * facts["rows"] == token.numel()
    assert torch.equal(target == IGNORE, ~held) and token[~held].eq(collection.mark).all()
    marks = [collection.mark] * facts["documents"]
    counts = torch.tensor(encoded + marks).bincount(minlength=600)
    for column in (token, target):
        assert torch.equal(column[held].bincount(minlength=600), counts)


@pytest.mark.parametrize("length", [256, 20])
def test_rows_are_read_back_as_the_texts(collection: Collection, length: int) -> None:
    """Long documents in pieces: the end of one piece foretells the beginning of the next."""
    rows, facts = laid_out(collection, "train", length, rows_in_order)
    pieces, wanted = documents(rows), documents(Tensors((rows.columns[3], *rows.columns[1:])))
    assert facts["cuts"] > 100 if length == 20 else facts["cuts"] == 0
    found, ahead = torch.cat(pieces).tolist(), torch.cat(wanted).tolist()
    mark = collection.mark
    assert found[0] == mark and ahead == [*found[1:], mark], "the target is what comes next"
    whole = "\0".join(collection.texts["train"])
    begins = [i for i, token in enumerate(found) if token == mark]
    read = [found[i + 1 : j] for i, j in zip(begins, [*begins[1:], len(found)], strict=True)]
    assert "\0".join(map(collection.pairs.decode, read)) == whole


def test_what_repeats_is_taken_out_before_anything_is_held_out(collection: Collection) -> None:
    facts = collection.facts
    assert (facts["documents"], facts["empty"]) == (872, 2)
    assert facts["exact_duplicates"] >= 40 and facts["near_duplicates"] >= 20
    kept = [text for part in PARTS for text in collection.texts[part]]
    assert len(kept) == len(set(kept)) == 870 - facts["exact_duplicates"] - facts["near_duplicates"]
    sizes = [len(collection.texts[part]) for part in PARTS]
    assert sizes[1] == pytest.approx(sizes[2], abs=1) and sizes[2] == round(len(kept) / 10)
    assert set(kept) <= set(texts())


def test_a_seed_divides_and_another_divides_otherwise(collection: Collection) -> None:
    again = collected(texts(), 600, share=0.1)
    assert again.texts == collection.texts and again.pairs == collection.pairs
    assert again.facts == collection.facts
    assert collected(texts(), 600, share=0.1, seed=1).texts["valid"] != collection.texts["valid"]


def test_the_mark_is_no_piece_of_a_text(collection: Collection) -> None:
    assert collection.pairs.vocabulary[collection.mark] == MARK and collection.facts["pieces"] == 600
    assert collection.mark not in collection.pairs.encode(f"a {MARK} b")


def test_packed_rows_teach_what_padded_ones_do(collection: Collection) -> None:
    """The same documents in fewer rows: loss and gradients are equal, the places a fraction."""
    few = Collection(
        {part: tuple(t for t in collection.texts[part] if len(t) < 60)[:40] for part in PARTS},
        collection.pairs, collection.facts,
    )  # fmt: skip
    model = Config(vocabulary=600, context=64, width=16, layers=2, heads=2, groups=1, hidden=24).build()
    found, slopes = [], []
    for rows, facts in (laid_out(few, "train", 64, one_a_row), laid_out(few, "train", 64, rows_in_order)):
        token, document, place, target = rows.columns
        assert facts["targets"] == int((target != IGNORE).sum())
        logits = model.scores(model.body(token, place[:, None], own_document_mask(document)[:, None]))
        loss = F.cross_entropy(logits.flatten(0, 1), target.flatten(), ignore_index=IGNORE)
        model.zero_grad()
        loss.backward()
        found.append((float(loss.detach()), facts["places"]))
        slopes.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
    (padded, many), (shared, fewer) = found
    assert shared == pytest.approx(padded, abs=1e-5) and fewer < 0.7 * many
    for one, other in zip(*slopes, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: collected(["a b c"] * 50, 300), "of 50 texts 1 differ; give 10"),
        (lambda: collected([], 300), "of 0 texts 0 differ"),
        (lambda: collected([f"text {i}" for i in range(99)], 300, share=0.5), "share is 0.5"),
        (lambda: collected([f"text {i}" for i in range(99)], 100), "size is 100"),
        (lambda: collected([f"text {i} \ud800" for i in range(99)], 300), "Unicode"),
    ],
)
def test_what_cannot_be_made_rows_is_refused(make: Callable[[], object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        make()
