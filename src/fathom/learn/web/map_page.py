"""The map: one graph, seen as tracks, as one of five roadmaps, as the way to a topic, or as weeks."""

from collections.abc import Mapping, Sequence
from html import escape
from urllib.parse import urlencode

from fathom.errors import InputError
from fathom.learn.engine import exercise, roadmaps
from fathom.learn.engine.curriculum import find, heads
from fathom.learn.engine.progress import Standing
from fathom.learn.engine.standing import Desk
from fathom.learn.engine.topic import LEVELS, Head
from fathom.learn.terminal.listing import counted, stage_title, written
from fathom.learn.web.exercises import title as name_of
from fathom.learn.web.layout import BOX, Drawing, Place, Section, layout
from fathom.learn.web.shell import SIGNS, WORDS, chip, length, link, page
from fathom.learn.web.ways import Bend, path, ways

LINE = 22  # characters of a title that fit into a box
FIRST = {(1, 1): 24, (2, 1): 18, (1, 2): 20, (2, 2): 14}  # line of a title, by its lines and those below
SHOWN = 3  # suggestions


def map_page(desk: Desk, query: Mapping[str, str]) -> str:
    """The page for a query: track, roadmap, to, hours. ``InputError`` for a value that is none."""
    title, sections = sections_of(query)
    hours = hours_of(query)
    planned = weeks(desk, sections, hours) if hours is not None else ""
    body = (
        f'<div class="wide"><h1>{escape(title)}</h1>{summary(desk, sections)}{suggestions(desk)}'
        f"{views(query)}{planned}<learn-map>{picture(layout(sections), desk)}</learn-map>"
        f"{listing(desk, sections)}</div>"
    )
    return page(title, body, here="/", kind="map")


def sections_of(query: Mapping[str, str]) -> tuple[str, Sequence[Section]]:
    """What to show, under headings."""
    given = [name for name in ("track", "roadmap", "to") if query.get(name)]
    if len(given) > 1:
        raise InputError(f"{given[0]} and {given[1]} are two views; choose one")
    if query.get("roadmap"):
        stages = roadmaps.stages(query["roadmap"])
        return roadmaps.ROADMAPS[query["roadmap"]].title, [(stage_title(s), topics) for s, topics in stages]
    if query.get("to"):
        slug = query["to"]
        return f"The way to {find(slug).title}", [("All that it needs", roadmaps.way_to(slug))]
    if query.get("track"):
        name = query["track"].capitalize()
        return f"{name} track", [(name, roadmaps.track(query["track"]))]
    return "The map", roadmaps.lanes()


def hours_of(query: Mapping[str, str]) -> float | None:
    given = query.get("hours", "").strip()
    if not given:
        return None
    try:
        return float(given)
    except ValueError:
        raise InputError(f"{given!r} is no number of hours a week") from None


def summary(desk: Desk, sections: Sequence[Section]) -> str:
    topics = [head for _, listed in sections for head in listed]
    done = [head for head in topics if head.slug in desk.done()]
    left = sum(head.minutes for head in topics) - sum(head.minutes for head in done)
    return (
        f'<p class="lead">{len(topics)} topics, {len(done)} of them done or taken as known,'
        f" about {length(left)} to go. Nothing is locked: begin where you like.</p>"
    )


def suggestions(desk: Desk) -> str:
    """What to do now."""
    cards = "".join(
        f'<li><a class="card" href="/topic/{head.slug}"><b>{escape(head.title)}</b>'
        f"<span>After it you can {escape(head.goal)}.</span>{chip(desk.state(head.slug))}"
        f" <small>{length(head.minutes)}</small></a></li>"
        for head in desk.suggestions()[:SHOWN]
    )
    listed = f'<ul class="cards">{cards}</ul>' if cards else "<p>Everything that is written is done.</p>"
    return f'<section aria-labelledby="next"><h2 id="next">Next for you</h2>{listed}</section>'


def views(query: Mapping[str, str]) -> str:
    """Links to the other views, and hours per week for the present one."""
    choices: list[tuple[str, dict[str, str]]] = [("Everything", {})]
    choices += [(level.capitalize(), {"track": level}) for level in LEVELS]
    choices += [(roadmap.title, {"roadmap": code}) for code, roadmap in roadmaps.ROADMAPS.items()]
    present = {name: value for name, value in query.items() if name in ("track", "roadmap", "to") and value}
    links = "".join(
        f'<li><a href="/?{urlencode(wanted)}"{" aria-current=true" if wanted == present else ""}>'
        f"{escape(name)}</a></li>"
        for name, wanted in choices
    )
    kept = "".join(f'<input type="hidden" name="{n}" value="{escape(v)}">' for n, v in present.items())
    hours = escape(query.get("hours", ""))
    low, high = roadmaps.HOURS
    return (
        f'<nav class="views" aria-label="Views of the map"><ul>{links}</ul>'
        f'<form method="get" action="/">{kept}<label>Plan for <input type="number" name="hours"'
        f' min="{low:g}" max="{high:g}" step="0.5" value="{hours}" placeholder="5"> hours a week</label>'
        f' <button class="quiet">Plan</button></form></nav>'
    )


def weeks(desk: Desk, sections: Sequence[Section], hours: float) -> str:
    """What is left of each section, spread over weeks."""
    number, found = 0, []
    for title, topics in sections:
        left = [head for head in topics if head.slug not in desk.done()]
        plan = roadmaps.plan(left, hours)
        if not plan:
            continue
        items = "".join(
            f'<li value="{number + week.number}">'
            + ", ".join(planned(head, minutes) for head, minutes in week.topics)
            + "</li>"
            for week in plan
        )
        number += len(plan)
        found.append(f"<h3>{escape(title)} <small>{written(left)}</small></h3><ol>{items}</ol>")
    return (
        '<section class="plan" aria-labelledby="plan">'
        f'<h2 id="plan">{number} {"week" if number == 1 else "weeks"} at {hours:g} h a week</h2>'
        f"<p>What is done or taken as known is left out; the plan is made anew each time.</p>"
        f"{''.join(found)}</section>"
    )


def planned(head: Head, minutes: int) -> str:
    """A topic in a week; one that has no page yet says so."""
    return f"{link(head)} <small>{length(minutes)}</small>{'' if head.written else ' ' + chip('coming')}"


def picture(drawing: Drawing, desk: Desk) -> str:
    """The map as SVG: links row by row, so that keys and screen readers meet nothing before what it needs."""
    found = ways(drawing)
    lines = "".join(edge(drawing.places[s], drawing.places[e], bends) for (s, e), bends in found.items())
    boxes = "".join(box(place, desk) for place in drawing.places.values())
    titles = "".join(
        f'<line class="band" x1="0" y1="{y + 8:g}" x2="{drawing.width:g}" y2="{y + 8:g}"/>'
        f'<text class="band" x="0" y="{y + 32:g}">{escape(title)}</text>'
        for title, y in drawing.titles
    )
    return (
        f'<svg class="atlas" viewBox="-4 0 {drawing.width + 8:g} {drawing.height:g}" role="group"'
        f' aria-label="Map of topics">{lines}{titles}{boxes}</svg>'
    )


def edge(start: Place, end: Place, bends: Sequence[Bend]) -> str:
    far = ' class="far"' if len(bends) > 2 else ""
    way = path(start, end, bends)
    return f'<path{far} d="{way}" data-from="{start.head.slug}" data-to="{end.head.slug}"/>'


def box(place: Place, desk: Desk) -> str:
    """A topic; what is written in the box is also its name for those who hear it."""
    head, state = place.head, desk.state(place.head.slug)
    sign = f'<tspan aria-hidden="true">{SIGNS[state]} </tspan>'
    lines, told = wrapped(head.title), standing(desk, head)
    first = place.y + FIRST[len(lines), len(told)]
    title = "".join(
        f'<text x="{place.x + 10:g}" y="{first + 15 * row:g}">{escape(part)} </text>'
        for row, part in enumerate(lines)
    )
    last = place.y + BOX[1] - (9 if len(told) == 1 else 6)
    small = "".join(
        f'<text class="small" x="{place.x + 10:g}" y="{last - 12 * (len(told) - 1 - row):g}">'
        f"{'' if row else sign}{escape(part)} </text>"
        for row, part in enumerate(told)
    )
    return (
        f'<a class="box {state}" href="/topic/{head.slug}" data-slug="{head.slug}">'
        f'<rect x="{place.x:g}" y="{place.y:g}" width="{BOX[0]:g}" height="{BOX[1]:g}" rx="8"/>'
        f"{title}{small}</a>"
    )


def standing(desk: Desk, head: Head) -> list[str]:
    """How a topic stands and how long it takes; of a project how far it is, on a line of its own."""
    passed, milestones = desk.milestones(head.slug)
    word = WORDS[desk.state(head.slug)]
    if milestones:
        return [f"{word},", f"{passed} of {milestones} milestones"]
    return [f"{word}, {length(head.minutes)}"]


def wrapped(title: str) -> list[str]:
    """A title on one line or two."""
    if len(title) <= LINE:
        return [title]
    words = title.split()
    cut = min(
        range(1, len(words)), key=lambda at: max(map(len, (" ".join(words[:at]), " ".join(words[at:]))))
    )
    return [" ".join(words[:cut]), " ".join(words[cut:])]


def listing(desk: Desk, sections: Sequence[Section]) -> str:
    """The same as a list."""
    parts = []
    for title, topics in sections:
        minutes = length(sum(head.minutes for head in topics))
        items = "".join(item(desk, head) for head in topics)
        parts.append(
            f"<section><h3>{escape(title)} <small>{counted(topics)}, {minutes}</small></h3>"
            f'<ul class="topics">{items}</ul></section>'
        )
    return (
        '<section class="list" aria-labelledby="list"><h2 id="list">As a list</h2>'
        '<p class="hint narrow">A wider screen shows these topics as a map, too.</p>'
        f"{''.join(parts)}</section>"
    )


def item(desk: Desk, head: Head) -> str:
    needs = ", ".join(escape(heads()[need].title) for need in head.needs)
    needed = f" <small>needs {needs}</small>" if needs else ""
    return (
        f"<li>{link(head)} {chip(desk.state(head.slug))} <small>{length(head.minutes)}</small>{needed}"
        f"{milestones(desk, head)}</li>"
    )


def milestones(desk: Desk, head: Head) -> str:
    """The milestones of a project that is written, each with a link and whether it is passed."""
    if not desk.milestones(head.slug)[1]:
        return ""
    passed = desk.standings.get(head.slug, Standing()).passed
    items = "".join(
        f'<li><a href="/topic/{head.slug}#exercise-{name}">{name_of(name)}</a>'
        f" {chip('done' if name in passed else 'new')}</li>"
        for name in exercise.milestones(head.slug)
    )
    return f'<ol class="milestones">{items}</ol>'
