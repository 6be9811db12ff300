"""Multi30k, task 1, English-German-French."""

import gzip
from dataclasses import dataclass

from fathom.data import places
from fathom.data.places import DataSet
from fathom.errors import InputError

SET = DataSet(
    name="multi30k",
    title="Multi30k, task 1, English-German-French",
    tasks=("machine translation",),
    licence="derived from Flickr30k: for non-commercial research and education",
    redistributable=False,
    citation=(
        "D. Elliott, S. Frank, K. Sima'an, L. Specia; French: D. Elliott, S. Frank, L. "
        "Barrault, F. Bougares, L. Specia: Multi30K: Multilingual English-German Image "
        "Descriptions, VL 2016; Findings of the Second Shared Task on Multimodal Machine "
        "Translation and Multilingual Image Description, WMT 2017"
    ),
    home="https://github.com/multi30k/dataset",
    address=(
        (
            "https://raw.githubusercontent.com/multi30k/dataset/a3d2e0d26b56f3846f66a952536ffed4e"
            "401d05a/data/task1/raw/{file}"
        ),
    ),
    files={
        "test_2016_flickr.de.gz": ("9204244e408ccb38d2a55cfcd344df15005fc42a07a6e55ca6c52b6ababb8cc8", 22890),
        "test_2016_flickr.en.gz": ("611d361c6334bc7246101d48097c13cf5c4413c5befc793cc629934359d532d9", 21077),
        "test_2016_flickr.fr.gz": ("6d326e188d259fb1d04ac19eae3af956559b3a0b93d7635e56c90987c40c8b90", 22310),
        "train.de.gz": ("726e39b2fa9eb9ffb6dc763fb35a179f80fae06ffc5d28b6ace5faa883de28a6", 637044),
        "train.en.gz": ("d79cfa999dd4c51d2cb42499b6796d5a882c3a8a961923c25a898c90f8bbd56f", 568929),
        "train.fr.gz": ("622e75069e9f4c577425c4f277116ce66e63a2401c0a2312d90073cb12379a3c", 604242),
        "val.de.gz": ("f0cba2f995189cf5770f29a8a9a537a3ad3f51657ad873405082ff6863a5e75a", 24681),
        "val.en.gz": ("14f7d25ddd868909a9213e361768460edcacdd6ab9d1e77b92560dc10c10dc28", 21650),
        "val.fr.gz": ("ca3106f1a72390591d25f6c45cb4cd39dec4cd3f123e099748a3ce5256c160e9", 23001),
    },
    counts={
        "train": 29000,
        "val": 1014,
        "test_2016_flickr": 1000,
    },
    notes=("Unchanged gzip files, UTF-8, one sentence a line; line n of en, de and fr say the same."),
)

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Sentences:
    """Sentences in two languages, line by line, for each split."""

    train: Pairs
    valid: Pairs
    test: Pairs


def read(source: str = "en", target: str = "de") -> Sentences:
    """Captions of photographs in ``source`` and ``target``, each "en", "de" or "fr"."""
    if source == target or not {source, target} <= {"en", "de", "fr"}:
        raise InputError(f"from {source!r} to {target!r} is not possible; choose two of en, de and fr")
    folder = places.find(SET)

    def lines(split: str, language: str) -> list[str]:
        text = gzip.decompress((folder / f"{split}.{language}.gz").read_bytes()).decode("utf-8")
        return [line.strip() for line in text.rstrip("\n").split("\n")]

    splits = [
        tuple(zip(lines(s, source), lines(s, target), strict=True))
        for s in ("train", "val", "test_2016_flickr")
    ]
    return Sentences(*splits)
