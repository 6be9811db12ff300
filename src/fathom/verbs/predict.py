"""Predict: answers of a run's artifact for new items."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from fathom.data.formats import image_folder, jsonl, table
from fathom.deployment.artifact import Artifact, open_artifact
from fathom.errors import InputError

CHUNK = 64  # items answered together
TABLES: dict[str, Callable[..., table.Table]] = {
    ".csv": table.read, ".tsv": table.read, ".parquet": table.read, ".jsonl": jsonl.read,
    ".ndjson": jsonl.read,
}  # fmt: skip


def predict(
    run: str | Path | Artifact,
    items: Sequence[Any],
    *,
    backend: str = "auto",
    skip_bad: bool = False,
    calibrated: bool = True,
) -> list[dict[str, Any]]:
    """One JSON answer for each item: bytes, a path to a file, text, rows of numbers, or a mapping.

    ``run`` is a run folder or an artifact folder; an artifact that is open already answers as it was opened.
    An item that cannot be read raises ``InputError`` naming it; with ``skip_bad`` its answer is
    ``{"error": reason}``. Probabilities are those of the temperature that ``fathom explain calibration``
    found, where it did, unless ``calibrated`` is False.
    """
    artifact = run if isinstance(run, Artifact) else open_artifact(Path(run), backend, calibrated=calibrated)
    if artifact.temperature and not calibrated:
        raise InputError(f"this artifact answers {artifact.temperature}; open it with calibrated=False")
    answers: list[dict[str, Any]] = []
    for first in range(0, len(items), CHUNK):
        answers += _chunk(artifact, items[first : first + CHUNK], first, skip_bad)
    return answers


def _chunk(artifact: Artifact, items: Sequence[Any], first: int, skip_bad: bool) -> list[dict[str, Any]]:
    decoded: dict[int, Any] = {}
    answers: dict[int, dict[str, Any]] = {}

    def refuse(i: int, error: InputError) -> None:
        item = items[i]
        name = item if isinstance(item, str | Path) and len(str(item)) < 200 else f"item {first + i}"
        if not skip_bad:
            raise InputError(f"{name}: {error}") from error
        answers[i] = {"error": str(error)}

    for i, item in enumerate(items):
        try:
            decoded[i] = artifact.decode(as_item(item))
        except InputError as error:
            refuse(i, error)
    try:
        answers |= (
            dict(zip(decoded, artifact.respond(list(decoded.values())), strict=True)) if decoded else {}
        )
    except InputError:  # some wishes contradict each other, which the task sees: each alone, to name it
        for i, arrays in decoded.items():
            try:
                answers[i] = artifact.respond([arrays])[0]
            except InputError as error:
                refuse(i, error)
    return [answers[i] for i in range(len(items))]


def as_item(item: Any) -> Any:
    """A path given as text, when such a file exists, is the file."""
    if isinstance(item, str) and len(item) < 4096 and "\n" not in item:
        try:
            if Path(item).is_file():
                return Path(item)
        except OSError:
            return item
    return item


def texts_of(operations: Sequence[Mapping[str, Any]]) -> set[str]:
    """The parts of an item that are texts, by the preprocessing of a model."""
    return {o["field"] for o in operations if o["operation"] in ("tokens", "word_pieces") and o.get("field")}


def takes_pictures(operations: Sequence[Mapping[str, Any]]) -> bool:
    """Whether an item of the model is one picture, by its preprocessing."""
    return any(o["operation"] == "image" and not o.get("field") for o in operations)


def items_of(
    place: Path,
    texts: Collection[str] = (),
    *,
    pictures: bool = False,
    skip_bad: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> Iterator[tuple[str, Any]]:
    """(name, item) of everything in a file or folder: pictures, rows of a table, lines of text.

    In the columns ``texts`` of a table, "NA" and the like are texts as others are, and so is an empty cell.
    A folder with any picture is one of pictures where the model takes ``pictures``: its other files are
    passed over, as ``fit`` does, and counted. With ``skip_bad`` so are lines of a table that are no rows.
    """
    if not place.exists():
        raise InputError(f"{place} does not exist; give files, a folder, a CSV or a JSONL file")
    if place.is_dir():
        for file in files_in(place, pictures, say):
            yield from items_of(file, texts, skip_bad=skip_bad, say=say)
    elif place.suffix.lower() in TABLES:
        found = TABLES[place.suffix.lower()](place, texts=texts, skip_bad=skip_bad)
        for reason in found.bad:
            say(reason)
        for i, row in enumerate(found.rows()):
            yield f"{place}:{i + 1}", row
    elif place.suffix.lower() == ".txt":
        for i, line in enumerate(lines_of(place)):
            if line.strip():
                yield f"{place}:{i + 1}", line
    else:
        yield str(place), place


def lines_of(place: Path) -> list[str]:
    try:
        return place.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"{place} is no text in UTF-8, byte {error.start}; save it as such") from error


def files_in(place: Path, pictures: bool, say: Callable[[str], None]) -> list[Path]:
    """The files below a folder, without what systems leave behind; only its pictures, if it has any."""
    below = [(f, f.relative_to(place).parts) for f in sorted(place.rglob("*")) if f.is_file()]
    files = [f for f, parts in below if not any(image_folder.hidden(Path(part)) for part in parts)]
    if not files:
        raise InputError(f"{place} is empty: there is nothing to predict")
    shown = [f for f in files if image_folder.is_picture(f)] if pictures else []
    if not shown:
        return files
    other = Counter(f.suffix.lower() or "without ending" for f in files if not image_folder.is_picture(f))
    if other:
        told = ", ".join(f"{n} {ending}" for ending, n in sorted(other.items())[:6])
        say(f"{place}: files that are no pictures are passed over: {told}")
    return shown
