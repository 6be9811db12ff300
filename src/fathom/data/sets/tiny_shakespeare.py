"""Tiny Shakespeare."""

from fathom.data import places
from fathom.data.places import DataSet

SET = DataSet(
    name="tiny_shakespeare",
    title="Tiny Shakespeare",
    tasks=("language modelling",),
    licence="public domain text",
    redistributable=True,
    citation=(
        "text by W. Shakespeare, excerpt by A. Karpathy: The Unreasonable Effectiveness of "
        "Recurrent Neural Networks (article), 2015"
    ),
    home="https://github.com/karpathy/char-rnn",
    address=(
        (
            "https://raw.githubusercontent.com/karpathy/char-"
            "rnn/6f9487a6fe5b420b7ca9afb0d7c078e37c1d1b4e/data/tinyshakespeare/{file}"
        ),
    ),
    files={
        "input.txt": ("86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed", 1115394),
    },
    counts={
        "bytes": 1115394,
        "lines": 40000,
    },
    notes="Unchanged; 65 different characters, ASCII.",
)


def read() -> str:
    """1.1 million characters of plays."""
    return (places.find(SET) / "input.txt").read_text(encoding="utf-8")
