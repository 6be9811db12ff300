"""A page: header with headline numbers, contents, sections of blocks, footer. Text in, one file out."""

import contextlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from fathom.report.intervals import Interval
from fathom.report.markup import Block, escape, number, tag
from fathom.report.style import POLICY, SHEET


@dataclass(frozen=True)
class Section:
    """A titled part of a page."""

    title: str
    blocks: Sequence[Block]
    intro: str = ""


def page(
    title: str,
    subtitle: str,
    sections: Sequence[Section],
    *,
    headline: Sequence[tuple[str, object, str]] = (),
    language: str = "en",
    command: str = "",
) -> str:
    """A whole HTML document that loads nothing and needs no script.

    ``headline`` holds (name, value, note) of the numbers a reader comes for, where an Interval is written
    with its ends; ``command`` is what
    generated the page, for the footer. The same arguments give the same bytes: no date is written.
    """
    anchors = _anchors([section.title for section in sections])
    links = [
        tag("li", tag("a", escape(section.title), href=f"#{anchor}"))
        for section, anchor in zip(sections, anchors, strict=True)
    ]
    body = [
        tag("a", "Skip to the results", href="#content", class_="skip"),
        tag("div", _header(title, subtitle, headline), class_="frame"),
        tag(
            "div",
            tag("nav", tag("ul", *links), aria_label="Contents"),
            tag("main", *map(_section, sections, anchors), id="content"),
            class_="frame columns",
        ),
        tag("div", _footer(command), class_="frame"),
    ]
    document = tag("html", _head(title), tag("body", *body), lang=language)
    return f"<!DOCTYPE html>\n{document}\n"


def _head(title: str) -> str:
    return tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("title", escape(title)),
        f"<style>{SHEET}</style>",
    )


def _header(title: str, subtitle: str, headline: Sequence[tuple[str, object, str]]) -> str:
    cards = [
        tag(
            "div",
            tag("dt", escape(name)),
            tag(
                "dd", escape(number(value.estimate if isinstance(value, Interval) else value)), class_="value"
            ),
            *(tag("dd", escape(line), class_="note") for line in (_ends(value), note) if line),
            class_="card",
        )
        for name, value, note in headline
    ]
    return tag(
        "header",
        tag("h1", escape(title)),
        tag("p", escape(subtitle), class_="subtitle") if subtitle else "",
        tag("dl", *cards, class_="cards") if cards else "",
    )


def _ends(value: object) -> str:
    if not isinstance(value, Interval):
        return ""
    return f"{100 * value.level:g}%: {number(value.low)} to {number(value.high)}"


def _section(section: Section, anchor: str) -> str:
    heading = tag("h2", escape(section.title), id=f"{anchor}-title")
    intro = tag("p", escape(section.intro), class_="intro") if section.intro else ""
    return tag(
        "section", heading, intro, *_arranged(section.blocks), id=anchor, aria_labelledby=f"{anchor}-title"
    )


def _arranged(blocks: Sequence[Block]) -> list[str]:
    """Charts that follow each other stand in pairs on wide screens; an odd one leads at full width."""
    parts: list[str] = []
    run: list[Block] = []

    def close() -> None:
        if run:
            lead = len(run) % 2
            items = [
                tag("div", block.html(), class_="block full" if lead and index == 0 else "block")
                for index, block in enumerate(run)
            ]
            parts.append(tag("div", *items, class_="pair"))
            run.clear()

    for block in blocks:
        if getattr(block, "half", False):
            run.append(block)
        else:
            close()
            parts.append(tag("div", block.html(), class_="block"))
    close()
    return parts


def _footer(command: str) -> str:
    made = tag("code", escape(command)) if command else ""
    return tag("footer", escape(f"Made with Fathom {version()}. "), made)


def _anchors(titles: Sequence[str]) -> list[str]:
    """One fragment per title, all different and different from the page's own ``content``."""
    taken, anchors = {"content"}, []
    for title in titles:
        stem = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-") or "section"
        anchor, count = stem, 1
        while anchor in taken:
            count += 1
            anchor = f"{stem}-{count}"
        taken |= {anchor, f"{anchor}-title"}
        anchors.append(anchor)
    return anchors


def version() -> str:
    """The installed version of Fathom, or "unknown" when it runs from a bare copy of its sources."""
    try:
        return metadata.version("fathom-dl")
    except metadata.PackageNotFoundError:
        return "unknown"


def write(path: str | os.PathLike[str], html: str) -> Path:
    """Write ``html`` at once: a reader, or a crash, never meets half a page. Returns the path."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        with draft.open("w", encoding="utf-8", newline="\n") as file:
            file.write(html)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise
    return target
