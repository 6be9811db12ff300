"""A classifier that is too sure of itself: trained long and without dropout on texts that tell little."""

import csv
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

LABELS = ("sea", "sky", "wood")
WORDS = [f"{label}{i}" for label in LABELS for i in range(10)]
SETTINGS = [
    ("steps", "150"),
    ("model.dropout", "0"),
    ("model.word_dropout", "0"),
    ("learning.optimizer.learning_rate", "0.005"),
]


def write_texts(path: Path, rows: int, seed: int, own: float = 0.25, splits: tuple[str, ...] = ()) -> Path:
    """A CSV of texts of eight words; ``own`` is the share drawn from the label's words, the rest from all.

    With ``splits`` a third column deals them out in turn.
    """
    dice = np.random.default_rng(seed)
    with path.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(("text", "label", *(["split"] if splits else [])))
        for i in range(rows):
            label = i % 3
            mine, any_word = 10 * label + dice.integers(10, size=8), dice.integers(30, size=8)
            pick = np.where(dice.random(8) < own, mine, any_word)
            text = " ".join(WORDS[p] for p in pick)
            writer.writerow((text, LABELS[label], *([splits[i // 3 % len(splits)]] if splits else [])))
    return path


@pytest.fixture(scope="session")
def overconfident(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """Its ``run``, the ``home`` that it lies in, and ``write``, which makes more such texts."""
    from fathom.verbs.fit import fit

    torch.manual_seed(0)
    torch.set_num_threads(1)
    home = tmp_path_factory.mktemp("overconfident")
    data = write_texts(home / "texts.csv", 1200, seed=0, splits=("train", "train", "valid", "test"))
    run = fit(data, text="text", target="label", settings=SETTINGS, out=home / "run", export=False)
    return SimpleNamespace(run=run, home=home, write=write_texts)
