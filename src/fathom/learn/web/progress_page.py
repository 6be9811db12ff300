"""The page of what was done: where each topic stands, what comes back, which mistakes were made."""

from html import escape

from fathom.learn.engine import curriculum, exercise
from fathom.learn.engine.progress import Log
from fathom.learn.engine.topic import Head
from fathom.learn.web import prose
from fathom.learn.web.shell import SIGNS, chip, length, link, page
from fathom.learn.web.study import Study, asked, mistakes

SHOWN = 12  # mistakes
LATEST = 15  # events
COLUMNS = ("Topic", "State", "Exercises or milestones", "Questions", "Length", "Aside")
SAID = {
    "read": "read", "predict": "guessed", "quiz": "answered", "check": "checked", "hint": "took a hint for",
    "solution": "looked at a solution of", "reset": "began anew", "skip": "took as known",
}  # fmt: skip


def progress_page(study: Study) -> str:
    heads = curriculum.heads()
    states = {slug: study.desk.state(slug) for slug in heads}
    counts = "".join(
        f'<li class="card"><b>{sum(state == own for own in states.values())}</b> {chip(state)}</li>'
        for state in SIGNS
        if state in states.values()
    )
    begun = [heads[slug] for slug in heads if states[slug] not in ("new", "coming")]
    nothing = "<p>Nothing is begun yet. <a href='/'>The map</a> says where to begin.</p>"
    table = topics(study, begun) if begun else nothing
    body = (
        f'<div class="column"><h1>Your progress</h1><ul class="counts">{counts}</ul>{table}{slips(study)}'
        f"{latest(study)}<h2>Where it is kept</h2><p>In <code>{escape(str(Log(study.home).file))}</code>,"
        " a line for each thing you did, and your answers as files beside it. Nothing leaves this machine."
        " To begin again, delete the folder; to take it along, copy it.</p></div>"
    )
    return page("Progress", body, here="/progress", kind="progress")


def topics(study: Study, begun: list[Head]) -> str:
    rows = []
    for head in begun:
        solved, exercises, right, questions = asked(study, head.slug)
        standing = study.standing(head.slug)
        seen = sorted(standing.seen & set(exercise.exercises(head.slug)))
        aside = f"solution seen: {', '.join(seen)}" if seen else ""
        rows.append(
            f"<tr><th scope=row>{link(head)}</th><td>{chip(study.desk.state(head.slug))}</td>"
            f"<td>{solved} of {exercises}</td><td>{right} of {questions}</td>"
            f"<td class=short>{length(head.minutes)}</td><td>{escape(aside)}</td></tr>"
        )
    titles = "".join(f"<th scope=col>{title}</th>" for title in COLUMNS)
    return (
        '<div class="scroll" tabindex="0"><table><caption>Topics you began</caption>'
        f"<thead><tr>{titles}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def slips(study: Study) -> str:
    """The honest learning record: which mistakes were made."""
    found = mistakes(study)[:SHOWN]
    if not found:
        return ""
    items = "".join(
        f'<li>{prose.line(message)} <small><a href="/topic/{key.split("/")[0]}#exercise-{key.split("/")[1]}">'
        f"{key}</a>, {'once' if times == 1 else f'{times} times'}</small></li>"
        for key, message, times in found
    )
    return f"<h2>What went wrong on the way</h2><ul>{items}</ul>"


def latest(study: Study) -> str:
    told = [event for event in study.events if event.topic in curriculum.heads()][-LATEST:]
    if not told:
        return ""
    items = []
    for event in reversed(told):
        outcome = ("right" if event.passed else "not yet") if event.kind in ("check", "quiz") else ""
        own = {"quiz": f"question {event.item} of", "predict": "before a figure of", "skip": ""}
        what = own.get(event.kind, f"{event.item} of" if event.item else "in")
        where = link(curriculum.find(event.topic))
        items.append(
            f"<li><time datetime={event.at}>{event.at[:16].replace('T', ' ')} UTC</time> {SAID[event.kind]}"
            f" {escape(what)} {where}"
            f"{': ' + outcome if outcome else ''}</li>"
        )
    return f'<h2>The last things you did</h2><ul class="log">{"".join(items)}</ul>'
