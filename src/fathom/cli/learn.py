"""``fathom learn``: the curriculum in a browser; ``list|next|watch|check|reset|selftest``: in a terminal."""

import argparse
import json
import sys
from typing import Any

from fathom.errors import InputError

HELP = "the curriculum: a map, pages with real code, exercises graded here"
ACTIONS = {
    "list": "the map, and where you stand",
    "next": "the page to read now, or the one you name",
    "watch": "grade your answer again at each save",
    "check": "grade it once, or take the quiz of a topic",
    "reset": "begin an exercise anew; what you wrote is kept beside it",
    "selftest": "prove that exercises, quotes and code of every page hold",
}
BELONGS = {  # option -> the actions that know it
    "track": ("list",), "roadmap": ("list",), "to": ("list",), "hours": ("list",), "json": ("list", "check"),
    "skip": ("next",), "hint": ("check",), "solution": ("check",), "answers": ("check",),
    "record": ("selftest",), "port": (None,), "no_open": (None,),
}  # fmt: skip


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", nargs="?", choices=ACTIONS, help="see below; without one, the pages open")
    parser.add_argument(
        "name", nargs="*", help="a topic, an exercise, topic/exercise or topic/quiz; of selftest, topics"
    )
    parser.add_argument("--track", metavar="LEVEL", help="list: beginner, intermediate or advanced")
    parser.add_argument("--roadmap", metavar="CODE", help="list: in the order of a roadmap, 000 to 004")
    parser.add_argument("--to", metavar="TOPIC", help="list: all that leads to a topic")
    parser.add_argument("--hours", type=float, metavar="H", help="list: as a plan, at H hours a week")
    parser.add_argument("--skip", action="store_true", help="next: take a topic as known")
    parser.add_argument("--hint", action="store_true", help="check: say a little more instead")
    parser.add_argument("--solution", action="store_true", help="check: show one way to do it instead")
    parser.add_argument("--answers", metavar="B,A,C", help="check: the letters for a quiz, for scripts")
    parser.add_argument("--json", action="store_true", help="list, check: one object a line")
    parser.add_argument(
        "--record",
        action="store_true",
        help="selftest, authors: keep what came of it, where that is not fresh",
    )
    parser.add_argument("--port", type=int, help="of the pages (default: 8642, or a free one; 0: a free one)")
    parser.add_argument("--no-open", action="store_true", help="print the address of the pages, open nothing")
    parser.add_argument("--bless", metavar="TOPIC", help="authors: its notes fit the code that they quote")
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = "\n".join(f"  {name:<10} {text}" for name, text in ACTIONS.items())


def run(args: argparse.Namespace) -> int:
    for option, actions in BELONGS.items():
        if getattr(args, option) not in (None, False) and args.action not in actions:
            known = " or ".join(f"fathom learn {action or ''}".rstrip() for action in actions)
            raise InputError(f"--{option.replace('_', '-')} belongs to: {known}")
    if args.bless is not None:
        return bless(args.bless)
    if args.action != "selftest":
        if len(args.name) > 1:
            raise InputError(f"one name at a time; {' and '.join(args.name)} are {len(args.name)}")
        args.name = next(iter(args.name), None)
    if args.action is None:
        return open_pages(args)
    return {
        "list": list_topics, "next": next_page, "watch": watch, "check": check, "reset": reset,
        "selftest": selftest,
    }[args.action](args)  # fmt: skip


def open_pages(args: argparse.Namespace) -> int:
    """Serve the pages until Ctrl-C."""
    from fathom.learn.engine.progress import home
    from fathom.learn.web import server

    def started(address: str) -> None:
        print(f"page      {address}\nprogress  {home()}\nstop      Ctrl-C", flush=True)
        if not args.no_open and not server.show(address):
            print("There is no screen here; open the address in a browser. It lets one in.", flush=True)

    server.run(home(), args.port, started)
    return 0


def list_topics(args: argparse.Namespace) -> int:
    from fathom.learn.engine.progress import home
    from fathom.learn.engine.standing import desk
    from fathom.learn.terminal import listing

    views = [name for name in ("track", "roadmap", "to") if getattr(args, name) is not None]
    if len(views) > 1:
        raise InputError(f"--{views[0]} and --{views[1]} are two ways to list; give one")
    if args.name is not None:
        raise InputError(f"list takes no name; the way to {args.name} is: fathom learn list --to {args.name}")
    here, listed = desk(home()), listing.sections(args.track, args.roadmap, args.to)
    if args.json:
        for row in listing.as_json(here, listed):
            print(json.dumps(row, ensure_ascii=False))
        return 0
    shown = listing.lines(here, listed) if args.hours is None else listing.weeks(here, listed, args.hours)
    for line in shown:
        print(line)
    return 0


def next_page(args: argparse.Namespace) -> int:
    """Print a page: the one that is named, or the first that the standing suggests."""
    from rich.console import Console

    from fathom.learn.engine import curriculum
    from fathom.learn.engine.progress import Log, home
    from fathom.learn.engine.standing import desk
    from fathom.learn.engine.worker import Worker
    from fathom.learn.terminal.page import Page, coming

    here, console = desk(home()), Console(highlight=False)
    wanted = [curriculum.find(args.name)] if args.name else here.suggestions()[:1]
    if not wanted:
        print("Everything that is written is done. fathom learn list shows what is to come.")
        return 0
    (head,) = wanted
    if args.skip:
        Log(home()).append("skip", head.slug)
        print(f"{head.slug} is taken as known; fathom learn next {head.slug} brings it back")
        return 0
    if not head.written:
        coming(head, console)
        return 0
    if here.state(head.slug) == "due" and not args.name:
        name = f"{head.slug}/{here.left(head.slug)[0]}"
        print(f"{head.title} is due: write {name} once more from nothing.\n")
        print(f"  fathom learn reset {name}\n  fathom learn check {name}")
        return 0
    Page(curriculum.topic(head.slug), here, Worker(), console).print()
    Log(home()).append("read", head.slug)
    return 0


def watch(args: argparse.Namespace) -> int:
    from fathom.learn.engine.progress import home
    from fathom.learn.engine.worker import Worker
    from fathom.learn.terminal.watching import watch

    watch(Worker(), home(), args.name)
    return 0


def check(args: argparse.Namespace) -> int:
    """0 when it passed, or when only a hint was asked for; 1 when it did not."""
    from fathom.learn.engine import exercise
    from fathom.learn.engine.progress import home
    from fathom.learn.engine.standing import desk
    from fathom.learn.engine.worker import Worker
    from fathom.learn.terminal import practice

    here = desk(home())
    slug, name = practice.chosen(args.name, here)
    if name == practice.QUIZ:
        ask = practice.from_answers(args.answers) if args.answers else practice.ask
        return 0 if practice.take_quiz(home(), slug, ask, print) else 1
    if args.answers:
        raise InputError(f"--answers are those of a quiz; {slug}/{name} is an exercise")
    made = exercise.exercise(slug, name)
    if args.hint or args.solution:
        print(practice.hint(home(), made) if args.hint else practice.solution(home(), made))
        return 0
    verdict = practice.grade(Worker(many=False), home(), made, here)
    if args.json:
        said: dict[str, Any] = verdict.as_message() | {"exercise": made.key}
        print(json.dumps(said, ensure_ascii=False))
    else:
        for line in practice.report(verdict, made, home()):
            print(line)
    return 0 if verdict.passed else 1


def reset(args: argparse.Namespace) -> int:
    from fathom.learn.engine import exercise
    from fathom.learn.engine.progress import home
    from fathom.learn.terminal import practice

    if not args.name:
        raise InputError("reset takes the exercise to begin anew: fathom learn reset topic/exercise")
    slug, name = exercise.locate(args.name)
    for inner in exercise.exercises(slug) if name is None else [name]:
        made = exercise.exercise(slug, inner)
        kept = practice.reset(home(), made)
        print(f"{made.key} is begun anew" + (f"; what you wrote is in {kept}" if kept else ""))
    return 0


def selftest(args: argparse.Namespace) -> int:
    """0 when all holds, 1 when something does not."""
    from fathom.learn.engine.curriculum import heads, topic
    from fathom.learn.engine.worker import Worker
    from fathom.learn.terminal import proving

    slugs = list(dict.fromkeys(args.name)) or [slug for slug, head in heads().items() if head.written]
    for slug in slugs:
        topic(slug)
    if args.record:
        proving.must_have_a_ledger()
    worker, failed = Worker(), 0
    for slug in slugs:
        if args.record and proving.proven(slug):
            print(f"fresh   {slug}", flush=True)
            continue
        told = proving.prove(worker, slug)
        for what, complaint in proving.recorded(slug, told) if args.record else told:
            failed += bool(complaint)
            print(f"{'FAILED' if complaint else 'holds '}  {slug}/{what}  {complaint}".rstrip(), flush=True)
    if failed:
        print(f"{failed} of these do not hold what they promise", file=sys.stderr)
    return 1 if failed else 0


def bless(slug: str) -> int:
    from fathom.learn.engine.curriculum import topic
    from fathom.learn.engine.source import bless

    changed = bless(topic(slug))
    for reference in changed:
        print(f"vouched for {reference}")
    if not changed:
        print(f"{slug} quotes nothing that changed")
    return 0
