"""``fathom learn check``, ``reset`` and ``selftest``: answers, quizzes, and the proof of the exercises."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fathom.errors import InputError
from fathom.learn.engine import curriculum, exercise, plain_maths, project
from fathom.learn.engine.exercise import Exercise
from fathom.learn.engine.progress import Log
from fathom.learn.engine.standing import Desk, desk
from fathom.learn.engine.topic import Question
from fathom.learn.engine.verdict import Verdict, check, judge, judge_twin

if TYPE_CHECKING:
    from fathom.learn.engine.worker import Worker

QUIZ = "quiz"
LETTERS = "abcdefgh"
SEEDS = (0, 1, 2)


def chosen(name: str | None, here: Desk) -> tuple[str, str]:
    """The topic and exercise that a name means; without one, what is to be done next.

    ``InputError`` for a name that does not exist, and where nothing is left to do.
    """
    slug, inner = exercise.locate(name) if name else (None, None)
    if slug is None:
        slug = next((h.slug for h in here.suggestions() if here.left(h.slug)), None)
        if slug is None:
            raise InputError("all exercises are solved; name one to check it again: fathom learn list")
    if inner is not None:
        return slug, inner
    curriculum.topic(slug)  # says that a page is still to come
    left = here.left(slug)
    if left:
        return slug, left[0]
    if here.open_questions(slug):
        return slug, QUIZ
    return slug, exercise.exercises(slug)[0]


def grade(worker: "Worker", home: Path, made: Exercise, here: Desk) -> Verdict:
    """Check the learner's file, on other cases at each re-do."""
    return check(worker, home, made, here.seed(made.topic))


def report(verdict: Verdict, made: Exercise, home: Path) -> Iterator[str]:
    """A verdict as lines. Words of an author may hold formulas; those of a check or of Python stay."""
    written = verdict.passed or bool(verdict.mistake)
    message = plain_maths.text(verdict.message) if written else verdict.message
    if verdict.output.strip():
        yield "your code printed:"
        yield from (f"  {line}" for line in verdict.output.rstrip().splitlines()[-40:])
    if verdict.passed:
        yield f"passed  {made.key}: {message}"
        return
    yield f"not yet {made.key} ({verdict.check}): {message}"
    yield f"edit    {exercise.answer_path(home, made)}"
    yield f"hint    fathom learn check {made.key} --hint"


def hint(home: Path, made: Exercise) -> str:
    """The next hint; after the last one, that one again."""
    log = Log(home)
    given = sum(e.kind == "hint" and (e.topic, e.item) == (made.topic, made.name) for e in log.events())
    log.append("hint", made.topic, made.name)
    place = min(given, len(made.hints) - 1)
    return f"hint {place + 1} of {len(made.hints)}: {plain_maths.text(made.hints[place])}"


def solution(home: Path, made: Exercise) -> str:
    """One way to do it; that it was looked at is remembered, and shown."""
    Log(home).append("solution", made.topic, made.name)
    return made.solution


def reset(home: Path, made: Exercise) -> Path | None:
    """Begin an exercise anew; the place where the old answer is kept, if there was one."""
    kept = exercise.reset(home, made)
    Log(home).append("reset", made.topic, made.name)
    return kept


def take_quiz(home: Path, slug: str, ask: Callable[[str], str], say: Callable[[str], None]) -> bool:
    """Put the questions of a topic that are still open, or all of them; True when all were right."""
    questions = list(curriculum.topic(slug).every(Question))
    open_ = desk(home).open_questions(slug) or [str(n) for n in range(1, len(questions) + 1)]
    right = 0
    for number in open_:
        question = questions[int(number) - 1]
        say(f"\n{number}. {plain_maths.text(question.text)}")
        for letter, option in zip(LETTERS, question.options, strict=False):
            say(f"   {letter}) {plain_maths.text(option.text)}")
        letters = LETTERS[: len(question.options)]
        answer = ask(f"your answer ({letters[0]} to {letters[-1]}): ").strip().lower()
        if len(answer) != 1 or answer not in letters:
            raise InputError(f"{answer!r} is no answer; give one letter of {', '.join(letters)}")
        option = question.options[letters.index(answer)]
        say(f"{'right' if option.right else 'no'}: {plain_maths.text(option.why)}")
        Log(home).append("quiz", slug, number, passed=option.right, answer=answer)
        right += option.right
    say(f"\n{right} of {len(open_)} right")
    return right == len(open_)


def from_answers(answers: str) -> Callable[[str], str]:
    """Answers given in advance, ``--answers b,a``."""
    left = [answer.strip() for answer in answers.split(",")]

    def ask(text: str) -> str:
        if not left:
            raise InputError("--answers has fewer letters than there are open questions")
        return left.pop(0)

    return ask


def ask(text: str) -> str:
    try:
        return input(text)
    except EOFError:
        raise InputError("the quiz asks at the terminal; in a script give --answers b,a,c") from None


def selftest(
    worker: "Worker", slugs: Sequence[str], seeds: Sequence[int] = SEEDS
) -> Iterator[tuple[str, str]]:
    """Prove every exercise of some topics through the real sandbox: (exercise, complaint or "").

    The solution passes as the text of an answer, the starter is told that nothing is there yet, and each
    wrong twin its own mistake; on every seed.
    """
    for slug in slugs:
        if exercise.milestones(slug):
            yield from selftest_project(worker, slug, seeds[:1])
            continue
        for name in exercise.exercises(slug):
            made = exercise.exercise(slug, name)
            yield made.key, next(complaints(worker, made, seeds), "")


def selftest_project(worker: "Worker", slug: str, seeds: Sequence[int]) -> Iterator[tuple[str, str]]:
    """The same for a project: its solutions in a folder of their own, where the whole program was run.

    It trains, so one seed is enough. A folder that does not run is a complaint about each milestone.
    """
    with tempfile.TemporaryDirectory(prefix="fathom-project-") as place:
        folder = Path(place).resolve() / slug
        broken = project.run(folder, exercise.project_files(slug, solved=True))
        for name in exercise.milestones(slug):
            made = exercise.exercise(slug, name)
            yield made.key, broken or next(complaints(worker, made, seeds, folder), "")


def complaints(
    worker: "Worker", made: Exercise, seeds: Sequence[int], folder: Path | None = None
) -> Iterator[str]:
    if len(made.mistakes) < 3:
        yield f"it has {len(made.mistakes)} wrong twins; at least 3 are wanted"
    if not made.hints:
        yield "it has no hints"
    for seed in seeds:
        verdict = judge(worker, made, made.solution, seed, folder=folder)
        if not verdict.passed:
            yield f"seed {seed}: the solution fails at {verdict.check}: {verdict.message}"
        verdict = judge(worker, made, made.starter, seed, folder=folder)
        if verdict.passed or not verdict.message.startswith("Nothing here yet"):
            yield f"seed {seed}: the starter is told: {verdict.message}"
        for twin in made.mistakes:
            verdict = judge_twin(worker, made, f"wrong_{twin}", seed, folder)
            if verdict.passed or verdict.mistake != twin:
                yield f"seed {seed}: the twin {twin} is taken for {verdict.mistake or verdict.message}"
