"""The learner on the map: where each topic stands, what comes next, what comes back."""

import datetime
from dataclasses import dataclass
from pathlib import Path

from fathom.learn.engine import curriculum, exercise, progress
from fathom.learn.engine.exercise import Exercise
from fathom.learn.engine.progress import Asked, Log, Standing
from fathom.learn.engine.topic import Head, Question


@dataclass(frozen=True)
class Desk:
    """All that a learner did, folded: made anew whenever it is asked for."""

    standings: dict[str, Standing]
    at: datetime.datetime

    def state(self, slug: str) -> str:
        """One of STATES, or "coming" for a topic that is not written."""
        head = curriculum.find(slug)
        if not head.written:
            return "coming"
        state = progress.state(self.standings.get(slug), self.at)
        # A re-do writes an answer anew from nothing. In a project that would take a running program apart.
        return "done" if state == "due" and head.kind == "project" else state

    def done(self) -> set[str]:
        """Topics that need no more for others to begin; one that was skipped is taken as known."""
        return {slug for slug in self.standings if self.state(slug) in ("done", "due", "skipped")}

    def suggestions(self) -> list[Head]:
        """What to do now: what was begun, then what is due, then topics whose needs are done.

        Nothing is locked, so what was begun counts also where its needs are not done.
        """
        ready, found = curriculum.ready(self.done()), curriculum.heads().values()
        begun = [head for head in found if self.state(head.slug) in ("reading", "practising")]
        due = [head for head in found if self.state(head.slug) == "due"]
        return [*begun, *due, *(head for head in ready if head not in begun)]

    def left(self, slug: str) -> list[str]:
        """The exercises of a topic that are not solved; of one that is due, the one to do again."""
        standing = self.standings.get(slug, Standing())
        asked = asked_of(slug)
        if self.state(slug) == "due":
            return [progress.redo(standing, asked)]
        return [name for name in asked.exercises if name not in standing.passed]

    def milestones(self, slug: str) -> tuple[int, int]:
        """Of a project: how many milestones are passed, and how many there are; (0, 0) of anything else."""
        head = curriculum.find(slug)
        names = exercise.milestones(slug) if head.written and head.kind == "project" else []
        return len(self.standings.get(slug, Standing()).passed.keys() & set(names)), len(names)

    def open_questions(self, slug: str) -> list[str]:
        """The numbers of the questions that were not yet answered rightly."""
        answered = self.standings.get(slug, Standing()).answered
        return [number for number in asked_of(slug).questions if number not in answered]

    def seed(self, slug: str) -> int:
        """Other cases for each re-do."""
        return len(self.standings.get(slug, Standing()).solved_at)


def asked_of(slug: str) -> Asked:
    """What the page of a topic asks for; nothing where there is no page. Nobody must take an entry test."""
    head = curriculum.find(slug)
    if not head.written:
        return Asked()
    questions = list(curriculum.topic(slug).every(Question))
    wanted = [name for name in exercise.exercises(slug) if name not in head.entry]
    return Asked(wanted, [str(number) for number in range(1, len(questions) + 1)], tuple(head.entry))


def place(home: Path, made: Exercise) -> list[str]:
    """After a passed exercise: take the topics as known that it vouches for, and return those.

    What is done stays done. Whoever looked at the solution first is not placed by it.
    """
    head = curriculum.heads().get(made.topic)
    vouched = head.entry.get(made.name, ()) if head else ()
    here = desk(home)
    if not vouched or made.name in here.standings.get(made.topic, Standing()).seen:
        return []
    known = [slug for slug in vouched if here.state(slug) not in ("done", "due", "skipped")]
    for slug in known:
        Log(home).append("skip", slug)
    return known


def desk(home: Path, at: datetime.datetime | None = None) -> Desk:
    """The learner whose progress lies in ``home``, now."""
    events = [event for event in Log(home).events() if event.topic in curriculum.heads()]
    pages = {slug: asked_of(slug) for slug in {event.topic for event in events}}
    return Desk(progress.standings(events, pages), at or progress.now())
