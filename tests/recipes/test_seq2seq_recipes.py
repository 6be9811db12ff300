"""The data that the recipes for sequence to sequence learn from, and what they promise."""

import pytest
import torch

from fathom.data import places
from fathom.recipes.seq2seq import Captions, Dates, dates, seq2seq_multi30k
from fathom.tasks.sequence_to_sequence import UNKNOWN
from fathom.training.objectives import IGNORE


def test_dates_are_known_characters_and_days_are_new() -> None:
    config = Dates(learned=2000, held_out=200)
    data, task = config.load(), config.task()
    assert data.valid is not None and data.test is not None
    assert task.unit == "character" and task.target_vocabulary[4:] == tuple("-0123456789")
    assert (len(data.train), len(data.valid), len(data.test)) == (2000, 200, 200)
    for split in (data.train, data.valid, data.test):
        source, _, target = split.rows(torch.arange(len(split)))
        assert not (source == UNKNOWN).any()
        assert ((target != IGNORE).sum(dim=1) == 11).all()  # ten characters and the end
        assert [task.shown(row, task.target_vocabulary) for row in target[:9].tolist()] == [
            iso
            for _, iso in split.texts[:9]  # type: ignore[attr-defined]
        ]
    days = [{iso for _, iso in split.texts} for split in (data.train, data.valid, data.test)]  # type: ignore[attr-defined]
    assert not days[0] & (days[1] | days[2]) and not days[1] & days[2]
    assert data.facts["scored"].keys() == {"chrf"}


@pytest.mark.parametrize("field", ["learned", "held_out"])
def test_no_dates_are_refused(field: str) -> None:
    with pytest.raises(ValueError, match=field):
        Dates(**{field: 0})


def test_the_recipe_for_dates_promises_what_the_inventory_asks() -> None:
    experiment = dates()
    (promise,) = experiment.expect
    assert (promise.metric, promise.at_least) == ("test/exact", 0.99)
    assert experiment.model.source_vocabulary == len(experiment.task.source_vocabulary)  # type: ignore[attr-defined]


def test_captions_are_scored_against_sentences_as_they_stand() -> None:
    if places.locate("multi30k") is None:
        pytest.skip("the data set multi30k is in none of the places looked at")
    from fathom.data.sets import multi30k

    config = Captions(longest=8)
    data = config.load()
    given = {german for _, german in multi30k.read("en", "de").valid}
    assert data.valid is not None
    texts = data.valid.texts  # type: ignore[attr-defined]
    assert {german for _, german in texts} <= given and any(german[0].isupper() for _, german in texts)
    assert data.facts["scored"]["bleu"] == "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp"
    task = config.task()
    assert task.capitals and " Mann " in task.spelling and ". " in task.spelling
    assert seq2seq_multi30k().expect[0].metric == "test/bleu"
