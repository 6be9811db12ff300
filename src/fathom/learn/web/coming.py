"""The page of a topic that is not written yet: its goal, and what to read until it is."""

from html import escape

from fathom import catalog
from fathom.learn.engine import curriculum
from fathom.learn.engine.topic import Head
from fathom.learn.web.shell import chip, length, link, page
from fathom.learn.web.study import Study


def coming_page(head: Head, study: Study) -> str:
    files, papers = [file(e) for e in curriculum.files(head)], [paper(p) for p in curriculum.papers(head)]
    needs = [f"{link(o)} {chip(study.desk.state(o.slug))}" for o in map(curriculum.find, head.needs)]
    body = (
        f'<div class="column"><p class="where"><a href="/?track={head.level}">{head.level.capitalize()}</a> ·'
        f" {head.group} · {length(head.minutes)} {chip('coming')}</p><h1>{escape(head.title)}</h1>"
        f'<p class="goal">This page is still to come. After it you can <b>{escape(head.goal)}</b>.</p>'
        f"{listed('It will need', needs)}{listed('Read until then', files)}"
        f"{listed('Where it comes from', papers)}"
        f'<p><a href="/?to={head.slug}">The way to this topic</a></p></div>'
    )
    return page(head.title, body, kind="coming")


def listed(title: str, items: list[str]) -> str:
    return f"<h2>{title}</h2><ul>{''.join(f'<li>{item}</li>' for item in items)}</ul>" if items else ""


def file(entry: catalog.Entry) -> str:
    place = entry.path.relative_to(catalog.ROOT).as_posix()
    return (
        f'<a href="/library/{entry.name}">{escape(entry.card.title)}</a>: {escape(entry.card.summary)}'
        f" <small><code>{escape(place)}</code></small>"
    )


def paper(found: curriculum.Paper) -> str:
    return (
        f'<a href="{escape(found.address)}" rel="noreferrer" target="_blank">{escape(found.title)}</a>'
        f" <small>{escape(found.address)}</small>"
    )
