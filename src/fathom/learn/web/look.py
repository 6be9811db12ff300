"""The colours of the pages: those of the reports, in light, dark and high contrast, also for figures.

A figure comes from ``draw_svg`` with the colours of the light theme as attributes. A rule for each of them
puts the colour of the present theme in its place, so a picture never has to be drawn again.
"""

from collections.abc import Mapping

from fathom.learn.engine.draw_parts import INK, RULE, SOFT, TONES
from fathom.report.style import SERIES, THEMES

SYNTAX = {  # text on code: 4.5:1 on the surface at least
    "light": {
        "word": "#8a2a6b",
        "text": "#1c6a3c",
        "number": "#8a4b00",
        "name": "#1550a8",
        "aside": "#5a6672",
    },
    "dark": {
        "word": "#f0a5d8",
        "text": "#8fd6a6",
        "number": "#f0bd7d",
        "name": "#8fc3ff",
        "aside": "#9aa7b4",
    },
}
CONTRAST = {
    "light": {"page": "#ffffff", "ink": "#000000", "soft": "#26303a", "rule": "#000000", "grid": "#8a939c",
              "accent": "#003f5c"},
    "dark": {"page": "#000000", "surface": "#000000", "ink": "#ffffff", "soft": "#e0e6ec", "rule": "#ffffff",
             "grid": "#8a939c", "accent": "#8fdcff"},
}  # fmt: skip
PICTURE = {INK: "ink", SOFT: "soft", RULE: "grid", "#ffffff": "surface", "#fff": "surface"}


def variables(theme: str, further: Mapping[str, str] = {}) -> str:
    pairs = (
        THEMES[theme]
        | {"grid": THEMES[theme]["rule"]}
        | SYNTAX[theme]
        | {f"t{i}": colour for i, colour in enumerate(SERIES[theme])}
    )
    return f"color-scheme:{theme};" + "".join(f"--{k}:{v};" for k, v in (pairs | dict(further)).items())


def swapped() -> str:
    """Rules that give the parts of a picture the colours of the theme."""
    named = PICTURE | {colour: f"t{place}" for place, colour in enumerate(TONES)}
    words = f'.panel text[font-size="13"]{{fill:var(--ink)}}.panel text[fill="{SOFT}"]{{fill:var(--soft)}}'
    return words + "".join(
        f'.themed [{attribute}="{colour}"]{{{attribute}:var(--{name})}}'
        for colour, name in named.items()
        for attribute in ("fill", "stroke")
    )


def sheet() -> str:
    """What stands before the rules of ``page.css``. Print takes the light colours."""
    light, dark = variables("light"), variables("dark")
    sharp = {theme: variables(theme, CONTRAST[theme]) for theme in CONTRAST}
    return "\n".join((
        f":root{{{light}}}",
        f"@media screen and (prefers-color-scheme:dark){{:root:not([data-theme]){{{dark}}}}}",
        f"@media screen and (prefers-contrast:more){{:root:not([data-theme]){{{sharp['light']}}}}}",
        "@media screen and (prefers-contrast:more) and (prefers-color-scheme:dark)"
        f"{{:root:not([data-theme]){{{sharp['dark']}}}}}",
        f"@media screen{{:root[data-theme=dark]{{{dark}}}:root[data-theme=contrast]{{{sharp['light']}}}}}",
        swapped(),
    ))  # fmt: skip
