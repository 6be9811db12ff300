"""``fathom learn [list|next|watch|check|reset|selftest]``: the curriculum in a terminal."""

import argparse
import json

from fathom.errors import InputError

HELP = "the curriculum: a map, pages with real code, exercises graded here"
ACTIONS = ("list", "next", "watch", "check", "reset", "selftest")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", nargs="?", choices=ACTIONS, help="what to do (see below)")
    parser.add_argument("name", nargs="?", help="a topic, an exercise, topic/exercise or topic/quiz")
    parser.add_argument("--track", metavar="LEVEL", help="list: beginner, intermediate or advanced")
    parser.add_argument("--roadmap", metavar="CODE", help="list: in the order of a roadmap, 000 to 004")
    parser.add_argument("--to", metavar="TOPIC", help="list: all that leads to a topic")
    parser.add_argument("--hours", type=float, metavar="H", help="list: as a plan, at H hours a week")
    parser.add_argument("--json", action="store_true", help="list, check: one object a line")
    parser.add_argument("--bless", metavar="TOPIC", help="authors: its notes fit the code that they quote")
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = """\
  list       the map, and where you stand      check     grade an answer, or take a quiz
  next       the page to read or go on with    reset     begin an exercise anew
  watch      grade again at each save          selftest  prove that every exercise works"""


def run(args: argparse.Namespace) -> int:
    if args.bless is not None:
        return bless(args.bless)
    views = [name for name in ("track", "roadmap", "to") if getattr(args, name) is not None]
    if len(views) > 1:
        raise InputError(f"--{views[0]} and --{views[1]} are two ways to list; give one")
    if args.action == "list":
        return list_topics(args)
    if views or args.hours is not None:
        raise InputError(f"--{(views or ['hours'])[0]} belongs to: fathom learn list")
    return welcome()


def welcome() -> int:
    print("The pages for the browser come with a later version. Everything works in the terminal today:\n")
    print("  fathom learn list      the map of all topics, and where you stand")
    print("  fathom learn next      the page to read now, with its exercises")
    print("  fathom learn watch     grade your answer again at each save")
    print("  fathom learn check     grade it once, or take the quiz of a topic")
    print("  fathom learn reset     begin an exercise anew; what you wrote is kept beside it")
    return 0


def list_topics(args: argparse.Namespace) -> int:
    from fathom.learn.engine.progress import home
    from fathom.learn.engine.standing import desk
    from fathom.learn.terminal import listing

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


def bless(slug: str) -> int:
    from fathom.learn.engine.curriculum import topic
    from fathom.learn.engine.source import bless

    changed = bless(topic(slug))
    for reference in changed:
        print(f"vouched for {reference}")
    if not changed:
        print(f"{slug} quotes nothing that changed")
    return 0
