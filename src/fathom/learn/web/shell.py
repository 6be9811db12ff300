"""What every page has around it."""

from html import escape

from fathom.learn.engine.topic import Head

SIGNS = {
    "new": "○", "reading": "◔", "practising": "◑", "done": "●", "due": "↻", "skipped": "»", "coming": "◌",
}  # fmt: skip
WORDS = {
    "new": "not begun", "reading": "reading", "practising": "practising", "done": "done", "due": "due again",
    "skipped": "taken as known", "coming": "still to come",
}  # fmt: skip
NAVIGATION = (("/", "Map"), ("/progress", "Progress"))


def page(title: str, body: str, *, here: str = "", kind: str = "") -> str:
    """A whole document. ``here`` is the address of the part that it belongs to."""
    links = "".join(
        f'<a href="{address}"{" aria-current=page" if address == here else ""}>{name}</a>'
        for address, name in NAVIGATION
    )
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)} · Fathom</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<link rel="icon" href="/static/icon.svg" type="image/svg+xml">'
        '<link rel="stylesheet" href="/static/page.css"><script src="/static/theme.js"></script>'
        '<script type="module" src="/static/learn.js"></script></head>'
        f'<body class="{kind}"><a class="skip" href="#main">Skip to the text</a>'
        '<header class="top"><a class="name" href="/">fathom <b>learn</b></a>'
        f'<nav aria-label="Site">{links}</nav>'
        '<label class="theme" hidden>Colours <select id="theme"><option value="">as the system</option>'
        '<option value="light">light</option><option value="dark">dark</option>'
        '<option value="contrast">high contrast</option></select></label></header>'
        f'<main id="main" tabindex="-1">{body}</main></body></html>'
    )


def chip(state: str) -> str:
    """A state as sign, word and colour: never colour alone."""
    return f'<span class="state {state}"><i aria-hidden="true">{SIGNS[state]}</i> {WORDS[state]}</span>'


def link(head: Head) -> str:
    return f'<a href="/topic/{head.slug}">{escape(head.title)}</a>'


def length(minutes: int) -> str:
    """Minutes as people say them."""
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes / 60:.0f} h" if minutes % 60 < 6 or minutes > 600 else f"{minutes / 60:.1f} h"


def message(title: str, text: str) -> str:
    """A page that says one thing."""
    return page(
        title, f'<div class="column"><h1>{escape(title)}</h1><p>{escape(text)}</p></div>', kind="plain"
    )
