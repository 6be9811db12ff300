"""Movie Review sentence polarity, version 1.0."""

from dataclasses import dataclass

from fathom.data import places
from fathom.data.places import DataSet

SET = DataSet(
    name="rt_polarity",
    title="Movie Review sentence polarity, version 1.0",
    tasks=("sentiment classification",),
    licence="none stated; research use, cite the paper",
    redistributable=False,
    citation=(
        "B. Pang, L. Lee: Seeing stars: exploiting class relationships for sentiment "
        "categorization with respect to rating scales, ACL 2005"
    ),
    home="http://www.cs.cornell.edu/people/pabo/movie-review-data/",
    files={
        "rt-polarity.neg.txt": ("23fa54c80cd71ee3e670a8dcb10f78ae65c0678a51fa8f0164e3deb129063c64", 607196),
        "rt-polarity.pos.txt": ("9f904dbab17a3d84ba837829ecd80dbb86f5194f5d08fbca3abd1e6a755a0304", 621085),
    },
    counts={
        "pos": 5331,
        "neg": 5331,
    },
    notes=("UTF-8, one lower-case tokenised sentence a line, spaces at the line ends removed."),
)


@dataclass(frozen=True)
class Reviews:
    """Sentences and what each says of its film: 0 negative, 1 positive."""

    texts: tuple[str, ...]
    labels: tuple[int, ...]


def read() -> Reviews:
    """5,331 negative sentences, then as many positive ones."""
    folder = places.find(SET)
    parts = [
        (folder / f"rt-polarity.{n}.txt").read_text(encoding="utf-8").splitlines() for n in ("neg", "pos")
    ]
    return Reviews((*parts[0], *parts[1]), (0,) * len(parts[0]) + (1,) * len(parts[1]))
