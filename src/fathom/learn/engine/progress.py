"""What a learner did: a log that only grows, and the state that follows from it.

    <home>/progress.jsonl            one event a line: when, what, where, how it went
    <home>/answers/<topic>/<exercise>.py    ordinary files, edited in the browser or anywhere else

The state is a fold over the log, so nothing has to be kept consistent with anything. An event is one line,
written by one call in append mode and synced: a process that dies at any moment leaves the old lines whole,
and at most one that is not. Such a line is passed over when reading; the next event begins on a line of its
own. Lines of a later version, with kinds or fields that are not known here, are passed over and kept.

Nothing is locked: a topic can be read in any order, and skipped. One that is done comes back for a short
re-do after 2, 7 and 21 days; whoever ignores that loses nothing.
"""

import datetime
import json
import os
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from fathom.errors import RunError

VARIABLE = "FATHOM_LEARN"  # a folder of one's own for progress and answers
KINDS = ("read", "predict", "quiz", "check", "hint", "solution", "reset", "skip")
AGAIN = (2, 7, 21)  # days from done to the first re-do, from that to the second, ...
STATES = ("new", "reading", "practising", "done", "due", "skipped")


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that happened. ``item`` is an exercise, or the number of a question."""

    at: str  # UTC, to the second, as ISO 8601
    kind: str
    topic: str
    item: str = ""
    passed: bool = False  # of a check or a quiz
    mistake: str = ""  # the name of the wrong twin that the answer behaved like
    answer: str = ""  # digest of the answer; for a question the option that was chosen
    exercise: str = ""  # digest of the exercise as it was then


def home() -> Path:
    """Where progress and answers are kept; it need not exist yet."""
    given = os.environ.get(VARIABLE)
    if given:
        return Path(given)
    import platformdirs

    return Path(platformdirs.user_data_dir("fathom")) / "learn"


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC).replace(microsecond=0)


class Log:
    """The file of events. Several processes may append to it at once."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "progress.jsonl"

    def append(self, kind: str, topic: str, item: str = "", **facts: str | bool) -> Event:
        """Write down what happened, now. ``RunError`` where the disk does not take it."""
        event = Event(at=now().isoformat(), kind=kind, topic=topic, item=item, **facts)  # type: ignore[arg-type]
        said = {name: value for name, value in asdict(event).items() if value or name == "topic"}
        line = (json.dumps(said, ensure_ascii=False) + "\n").encode()
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                if torn(descriptor):
                    line = b"\n" + line
                if os.write(descriptor, line) < len(line):
                    raise OSError("only a part of the line was written")
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise RunError(f"progress could not be kept in {self.file}: {error}") from error
        return event

    def events(self) -> list[Event]:
        """Every whole line of a kind that is known, in the order of the file."""
        if not self.file.is_file():
            return []
        lines = self.file.read_bytes().split(b"\n")
        found = (read_event(line) for line in lines)
        return [event for event in found if event is not None]


def torn(descriptor: int) -> bool:
    """Whether the last line has no end: its writer died, or is another process that just writes it."""
    size = os.fstat(descriptor).st_size
    if not size:
        return False
    os.lseek(descriptor, size - 1, os.SEEK_SET)
    return os.read(descriptor, 1) != b"\n"


def read_event(line: bytes) -> Event | None:
    """The event of a line; None for one that is broken or of another kind."""
    try:
        said = json.loads(line)
        datetime.datetime.fromisoformat(said["at"])
        fields = {name: said[name] for name in said if name in Event.__dataclass_fields__}
        event = Event(**fields)
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    words = (event.topic, event.item, event.mistake, event.answer, event.exercise)
    whole = all(isinstance(word, str) for word in words) and isinstance(event.passed, bool)
    return event if whole and event.kind in KINDS else None


@dataclass
class Standing:
    """Where a learner stands with one topic."""

    read: bool = False
    skipped: bool = False
    tried: set[str] = field(default_factory=set)  # exercises
    passed: dict[str, str] = field(default_factory=dict)  # exercise -> its digest when it was solved last
    answered: set[str] = field(default_factory=set)  # questions that were once right
    seen: set[str] = field(default_factory=set)  # exercises whose solution was looked at before
    guesses: dict[str, str] = field(default_factory=dict)  # prediction -> the first guess
    mistakes: Counter[str] = field(default_factory=Counter)  # "exercise/twin" -> how often
    emptied: set[str] = field(default_factory=set)  # exercises begun anew since they were solved
    solved_at: list[str] = field(default_factory=list)  # when everything was right, then each re-do


@dataclass(frozen=True)
class Asked:
    """What a page asks for: its exercises and the numbers of its questions."""

    exercises: Sequence[str] = ()
    questions: Sequence[str] = ()
    entry: Collection[str] = ()  # exercises of an entry test: they place the learner, and are no work on it


def standings(events: Iterable[Event], pages: Mapping[str, Asked]) -> dict[str, Standing]:
    """The fold: a standing for each topic that has an event. ``pages`` are the written topics."""
    found: dict[str, Standing] = {}
    for event in events:
        standing = found.setdefault(event.topic, Standing())
        asked = pages.get(event.topic, Asked())
        take(standing, event, asked)
        complete(standing, event, asked)
    return found


def take(standing: Standing, event: Event, asked: Asked) -> None:
    """What one event changes. Work on a topic takes it up again; its entry test does not."""
    if event.kind == "skip":
        standing.skipped = True
        return
    if event.item not in asked.entry:
        standing.skipped = False
    if event.kind == "read":
        standing.read = True
    elif event.kind == "predict":
        standing.guesses.setdefault(event.item, event.answer)
    elif event.kind == "solution" and event.item not in standing.passed:
        standing.seen.add(event.item)
    elif event.kind == "reset" and event.item in standing.passed:
        standing.emptied.add(event.item)
    elif event.kind == "quiz" and event.passed:
        standing.answered.add(event.item)
    elif event.kind == "check":
        standing.tried.add(event.item)
        if event.passed:
            standing.passed[event.item] = event.exercise
        elif event.mistake:
            standing.mistakes[f"{event.item}/{event.mistake}"] += 1


def complete(standing: Standing, event: Event, asked: Asked) -> None:
    """Notes the moment when all was right for the first time, and each re-do after it."""
    if standing.solved_at:
        if event.kind == "check" and event.passed and event.item in standing.emptied:
            standing.emptied.discard(event.item)
            standing.solved_at.append(event.at)
    elif (
        (asked.exercises or asked.questions)
        and standing.passed.keys() >= set(asked.exercises)
        and standing.answered >= set(asked.questions)
    ):
        standing.emptied.clear()
        standing.solved_at.append(event.at)


def state(standing: Standing | None, at: datetime.datetime) -> str:
    """One of STATES."""
    if standing is None:
        return "new"
    if standing.skipped:
        return "skipped"
    if standing.solved_at:
        return "due" if due(standing, at) else "done"
    if standing.tried or standing.answered:
        return "practising"
    return "reading" if standing.read or standing.guesses else "new"


def due(standing: Standing, at: datetime.datetime) -> bool:
    """Whether a re-do is at hand."""
    rounds = len(standing.solved_at) - 1
    if not 0 <= rounds < len(AGAIN):
        return False
    last = datetime.datetime.fromisoformat(standing.solved_at[-1])
    return at - last >= datetime.timedelta(days=AGAIN[rounds])


def redo(standing: Standing, asked: Asked) -> str:
    """The exercise to do again: each in its turn."""
    return asked.exercises[(len(standing.solved_at) - 1) % len(asked.exercises)] if asked.exercises else ""


def changed(standing: Standing, digests: Mapping[str, str]) -> list[str]:
    """Exercises that are not any more what they were when they were solved; they stay solved."""
    return [name for name, digest in standing.passed.items() if digests.get(name, digest) != digest]
