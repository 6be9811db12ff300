"""The look of a report: two themes, a colour-blind-safe palette, and one style sheet.

No style attributes are used anywhere, so a page can forbid everything but this sheet (by its hash) in
its content security policy. All colours are custom properties; print always uses the light theme.
"""

import base64
import hashlib

# Eight series colours per theme, found by a search that keeps a contrast of 3:1 with the surface and
# maximises the smallest OKLab distance between any two under normal, protan, deutan and tritan vision
# (Machado et al. 2009, severity 1). tests/report/test_style.py measures both again.
SERIES = {
    "light": ("#0662d0", "#f55209", "#0b5e5b", "#d0717f", "#6e480b", "#10216f", "#5f87f8", "#886198"),
    "dark": ("#45bffa", "#fa6833", "#19ac77", "#fa84bc", "#d7c967", "#9c7afa", "#dbfadc", "#6e7682"),
}

THEMES = {
    "light": {
        "page": "#f5f7f9",
        "surface": "#ffffff",
        "ink": "#17212b",
        "soft": "#54606d",
        "rule": "#e1e6eb",
        "accent": "#0a5f80",
        "good": "#17663a",
        "good-tint": "#e8f4ed",
        "bad": "#a1282c",
        "bad-tint": "#fbeceb",
        "note-tint": "#e9f1f6",
    },
    "dark": {
        "page": "#0e1318",
        "surface": "#161b22",
        "ink": "#e5eaef",
        "soft": "#a3aeba",
        "rule": "#2a323c",
        "accent": "#6cc3e0",
        "good": "#7fd4a0",
        "good-tint": "#14281d",
        "bad": "#f2a09b",
        "bad-tint": "#321b1c",
        "note-tint": "#17262f",
    },
}

LEVELS = 16  # steps of the heat scale
TINTS = 5  # shades of each side of a marked text
DEEPEST = 50  # percent of colour in the deepest of them; with more, ink could not be read on it
LANES = 24  # runners of a race that can be pointed at
HEAT = {"light": ("#ffffff", "#0b5878"), "dark": ("#161b22", "#7fd0ec")}


def luminance(colour: str) -> float:
    """Relative luminance of ``#rrggbb`` in [0, 1] (WCAG 2.2, "relative luminance")."""
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first: str, second: str) -> float:
    """Contrast ratio of two colours, 1 to 21 (WCAG 2.2). Text needs 4.5, lines and marks need 3."""
    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


def heat(theme: str) -> list[tuple[str, str]]:
    """The heat scale of a theme: (fill, readable ink) for each level."""
    ends = [[int(colour[at : at + 2], 16) for at in (1, 3, 5)] for colour in HEAT[theme]]
    scale = []
    for level in range(LEVELS):
        share = level / (LEVELS - 1)
        mixed = [round(low + (high - low) * share) for low, high in zip(*ends, strict=True)]
        fill = "#{:02x}{:02x}{:02x}".format(*mixed)
        scale.append((fill, max(("#000000", "#ffffff"), key=lambda ink, fill=fill: contrast(ink, fill))))
    return scale


def _variables(theme: str) -> str:
    pairs = dict(THEMES[theme])
    pairs |= {f"c{index}": colour for index, colour in enumerate(SERIES[theme])}
    for level, (fill, ink) in enumerate(heat(theme)):
        pairs |= {f"h{level}": fill, f"i{level}": ink}
    return "".join(f"--{name}:{colour};" for name, colour in pairs.items())


def _numbered() -> str:
    series = "".join(
        f".c{i}{{stroke:var(--c{i})}}.f{i}{{fill:var(--c{i})}}.b{i}{{stroke:{SERIES['dark'][i]}}}"
        for i in range(len(SERIES["light"]))
    )
    levels = "".join(
        f"td.h{i}{{background:var(--h{i});color:var(--i{i})}}path.h{i}{{fill:var(--h{i})}}"
        for i in range(LEVELS)
    )
    pointed = "".join(
        f".race:has(.legend li:nth-child({lane + 1}):hover) .plot .lane:not(.r{lane}){{opacity:.06}}"
        for lane in range(LANES)
    )
    tints = "".join(
        f".{side}{i}{{background:color-mix(in srgb,var(--c{colour}) {DEEPEST * i // TINTS}%,var(--surface))}}"
        for colour, side in enumerate(("for", "against"))
        for i in range(1, TINTS + 1)
    )
    return series + levels + pointed + tints


RULES = """
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;scroll-behavior:smooth}
body{margin:0;background:var(--page);color:var(--ink);font:16px/1.6 system-ui,-apple-system,"Segoe UI",
 Roboto,"Helvetica Neue",Arial,sans-serif;overflow-wrap:break-word}
a{color:var(--accent);text-underline-offset:.15em;overflow-wrap:anywhere}
:focus-visible{outline:2px solid var(--accent);outline-offset:2px;border-radius:4px}
.skip{position:absolute;left:-999em}
.skip:focus{left:1rem;top:1rem;background:var(--surface);padding:.5rem 1rem;z-index:2}
.frame{max-width:60rem;margin:0 auto;padding:0 1.125rem}
header{padding:3rem 0 .5rem}
h1{font-size:clamp(1.75rem,1.3rem + 2vw,2.5rem);line-height:1.15;letter-spacing:-.022em;margin:0;
 font-weight:650}
.subtitle{color:var(--soft);font-size:1.0625rem;margin:.6rem 0 0;max-width:44rem}
.cards{display:flex;flex-wrap:wrap;gap:.75rem;margin:1.75rem 0 0;padding:0}
.card{flex:1 1 9.25rem;max-width:19rem;background:var(--surface);
 border:1px solid var(--rule);border-radius:12px;padding:.875rem 1rem}
.card dt{color:var(--soft);font-size:.8125rem}
.card .value{font-size:1.5625rem;font-weight:620;letter-spacing:-.02em;line-height:1.3;margin:0;
 font-variant-numeric:tabular-nums}
.card .note{color:var(--soft);font-size:.8125rem;line-height:1.4;margin:.1rem 0 0}
nav{display:none}
section{padding:2.25rem 0 0;scroll-margin-top:.5rem}
h2{font-size:1.3125rem;line-height:1.3;letter-spacing:-.012em;margin:0 0 .875rem;font-weight:640}
.intro{color:var(--soft);max-width:44rem;margin:-.5rem 0 1rem}
.block{margin:0 0 1rem}
.pair{display:grid;grid-template-columns:minmax(0,1fr);gap:1rem;margin:0 0 1rem}
.pair .block{margin:0}
.pair figure{height:100%}
figure,.facts,.verdict{margin:0;background:var(--surface);border:1px solid var(--rule);border-radius:12px;
 padding:1rem 1.125rem}
figcaption{font-weight:600;font-size:.9375rem;line-height:1.4;margin:0 0 .75rem}
.prose{max-width:44rem}
.prose p,.prose ul{margin:0 0 .75rem}
.prose ul{padding-left:1.2rem}
code,pre{font:.875em/1.55 ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace}
.prose code{background:var(--rule);border-radius:4px;padding:.08em .3em}
pre{margin:0}
.scroll{overflow-x:auto;max-width:100%}
table{border-collapse:collapse;font-size:.9375rem;min-width:100%;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:.42rem 1rem .42rem 0;vertical-align:top;border-bottom:1px solid var(--rule);
 font-weight:400}
thead th{color:var(--soft);font-size:.8125rem;font-weight:500;vertical-align:bottom;white-space:nowrap}
tbody tr:last-child>*{border-bottom:0}
th:last-child,td:last-child{padding-right:0}
.r{text-align:right}
td.r{white-space:nowrap}
tr.strong>*{font-weight:650}
.facts dl{margin:0;display:grid;grid-template-columns:minmax(6.5rem,auto) minmax(0,1fr);gap:.4rem 1.25rem;
 font-size:.9375rem}
.facts dt{color:var(--soft)}
.facts dd{margin:0;overflow-wrap:anywhere}
.facts dd.inner{grid-column:1/-1}
.facts dl dl{padding:0 0 .4rem .9rem;border-left:2px solid var(--rule)}
.facts dt.group{grid-column:1/-1;color:var(--ink);font-weight:600;margin-top:.35rem}
.verdict{display:flex;gap:.75rem;align-items:baseline;background:var(--note-tint);border-color:transparent}
.verdict b{color:var(--accent);white-space:nowrap}
.verdict.good{background:var(--good-tint)}
.verdict.good b{color:var(--good)}
.verdict.bad{background:var(--bad-tint)}
.verdict.bad b{color:var(--bad)}
.legend{list-style:none;display:flex;flex-wrap:wrap;gap:.15rem 1.1rem;margin:0 0 .75rem;padding:0;
 font-size:.8125rem;color:var(--soft)}
.legend b{color:var(--ink);font-weight:600;font-variant-numeric:tabular-nums;margin-left:.35rem}
.key{width:20px;height:10px;margin-right:.4rem;vertical-align:0}
.plot{display:block;overflow:visible;width:calc(100% - 4.25rem);margin:1.5rem 1rem 2.75rem 3.25rem}
.plot.titled{margin-top:2.375rem}
.plot.short{margin-top:.5rem;margin-bottom:1.25rem}
.plot text{font-size:12px;fill:var(--soft);font-variant-numeric:tabular-nums}
.plot .mark{stroke:var(--soft);stroke-dasharray:2 3}
.gridline{stroke:var(--rule)}
.baseline{stroke:var(--soft)}
.line{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round;vector-effect:non-scaling-stroke}
.faint{stroke-width:1;opacity:.34}
.band{stroke:none;opacity:.16}
.dots{fill:none;stroke-width:6;stroke-linecap:round;vector-effect:non-scaling-stroke}
.cloud{stroke-width:5;opacity:.55}
.d1{stroke-dasharray:6 4}
.d2{stroke-dasharray:2 4}
.d3{stroke-dasharray:9 3 2 3}
.ideal{fill:none;stroke:var(--ink);stroke-dasharray:4 4;vector-effect:non-scaling-stroke}
.contour{fill:none;stroke:var(--soft);opacity:.45;vector-effect:non-scaling-stroke}
.place{fill:none;stroke:var(--ink);stroke-width:2}
.plot .place-name{fill:var(--ink);font-weight:650;stroke:var(--surface);stroke-width:4px;
 paint-order:stroke;stroke-linejoin:round}
.race .plot .line{stroke-width:1.75}
.race .plot .dots{stroke-width:9}
.race .finish{display:none}
.race .legend li{cursor:default}
.hold{display:inline-flex;gap:.4rem;align-items:center;font-size:.8125rem;color:var(--soft)}
.race:has(:checked) .runner{display:none}
.race:has(:checked) .finish{display:inline}
.race:has(:checked) .leg{opacity:1!important}
.bar{opacity:.85}
.whisker{stroke:var(--ink);stroke-width:1.5}
.bars{list-style:none;margin:0;padding:0;display:grid;gap:.6rem;font-size:.875rem}
.bars div{display:flex;justify-content:space-between;gap:1rem;line-height:1.4}
.bars span{overflow-wrap:anywhere}
.bars b{font-weight:600}
.bars .amount{font-variant-numeric:tabular-nums;white-space:nowrap}
.bars small{color:var(--soft);font-size:.8125rem;font-weight:400;margin-left:.35rem}
.bars svg{display:block;width:100%;height:12px;margin-top:.15rem}
.track{fill:var(--rule);opacity:.6}
.note,.empty{color:var(--soft);font-size:.8125rem;margin:.5rem 0 0}
.numbers{margin-top:.5rem;font-size:.8125rem;color:var(--soft)}
.numbers summary{cursor:pointer}
.numbers table{font-size:.8125rem;color:var(--ink);margin-top:.4rem}
.matrix{border-collapse:separate;border-spacing:1px;min-width:0;font-size:.75rem}
.matrix td{text-align:center;border:0;border-radius:3px;padding:.3rem .1rem;min-width:1.5rem}
.matrix th{border:0;color:var(--soft);padding:.2rem .35rem .2rem 0;white-space:nowrap;vertical-align:middle;
 text-align:right;font-size:inherit}
.matrix thead td{min-width:0;padding:0}
.matrix thead th{text-align:center;padding:.2rem;vertical-align:bottom}
.matrix .tall span{writing-mode:vertical-rl;transform:rotate(180deg)}
.cells{display:block;width:100%;max-width:38rem;height:auto;border:1px solid var(--rule)}
.ramp{list-style:none;display:flex;align-items:center;gap:.5rem;margin:.75rem 0 0;font-size:.8125rem;
 color:var(--soft)}
.ramp svg{width:7rem;height:10px;flex:none}
.maps ul{display:grid;gap:1.125rem .875rem;margin:0;padding:0;list-style:none;
 grid-template-columns:repeat(auto-fill,minmax(min(100%,12.25rem),1fr))}
.maps .group{margin:1.25rem 0 .625rem;font-size:.875rem;color:var(--soft)}
.maps figcaption+.group{margin-top:0}
.maps li p{margin:0 0 .35rem;font-size:.8125rem;line-height:1.4;font-weight:600}
.maps small{display:block;font-size:inherit;font-weight:400;color:var(--soft)}
.maps li>svg{display:block;max-width:100%;height:auto}
.maps text{font:9px ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;fill:var(--soft)}
.marked ul{margin:0;padding:0;list-style:none}
.marked .group{margin:1.125rem 0 .25rem;font-size:.8125rem;font-weight:600}
.marked .text{margin:0;line-height:1.75;white-space:pre-wrap}
.marked span[class]{border-radius:3px;padding:.1em .15em;color:var(--ink)}
.marked [class^=against]{text-decoration:underline dotted;text-underline-offset:.2em}
.gallery{display:grid;gap:.875rem .75rem;grid-template-columns:repeat(auto-fill,minmax(5rem,1fr));margin:0;
 padding:0;list-style:none}
.gallery.large{grid-template-columns:repeat(auto-fill,minmax(min(100%,15rem),1fr))}
.picture{position:relative;line-height:0}
.picture img{width:100%;height:auto;border-radius:6px;background:var(--rule)}
.picture img.pixel{image-rendering:pixelated}
.picture svg{position:absolute;inset:0;width:100%;height:100%;overflow:hidden}
.box{fill:none;stroke-width:2}
.box-edge{fill:none;stroke:#000;stroke-opacity:.6;stroke-width:4}
.box-name{font-size:12px;font-weight:650;fill:#fff;stroke:#000;stroke-width:3px;paint-order:stroke;
 stroke-linejoin:round}
.gallery p{margin:.35rem 0 0;font-size:.8125rem;line-height:1.35;font-weight:600}
.gallery small{display:block;font-weight:400;color:var(--soft)}
.hidden{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
footer{color:var(--soft);font-size:.8125rem;border-top:1px solid var(--rule);margin-top:3rem;
 padding:1.25rem 0 2.5rem}
footer code{overflow-wrap:anywhere}
@media (min-width:44rem){
 .pair{grid-template-columns:repeat(2,minmax(0,1fr))}
 .pair .full{grid-column:1/-1}
 figure,.facts{padding:1.25rem 1.375rem}
 .matrix{font-size:.8125rem;border-spacing:2px}
 .matrix td{min-width:3rem;padding:.5rem .4rem}
 .gallery{grid-template-columns:repeat(auto-fill,minmax(7rem,1fr))}
}
@media (min-width:76rem){
 .frame{max-width:76rem;padding:0 2rem}
 .columns{display:grid;grid-template-columns:11.5rem minmax(0,1fr);gap:3rem}
 nav{display:block;padding-top:2.6rem}
 nav ul{position:sticky;top:1.5rem;list-style:none;margin:0;padding:0;font-size:.875rem;line-height:1.4;
 max-height:calc(100vh - 3rem);overflow-y:auto}
 nav a{display:block;color:var(--soft);text-decoration:none;padding:.3rem 0 .3rem .875rem;
 border-left:2px solid var(--rule)}
 nav a:hover{color:var(--ink);border-color:var(--accent)}
}
@media (prefers-reduced-motion:reduce){html{scroll-behavior:auto}}
@media (prefers-reduced-motion:reduce),print{
 .runner,.hold{display:none}
 .race .finish{display:inline}
 .leg{opacity:1!important}
}
@media (max-width:44rem){.map .plot{height:300px}}
@media print{
 body{font-size:11pt;background:#fff}
 nav,.skip,.numbers{display:none}
 .frame{max-width:none;padding:0}
 .columns{display:block}
 header{padding-top:0}
 .pair{grid-template-columns:repeat(2,minmax(0,1fr))}
 figure,.card,.verdict{break-inside:avoid;-webkit-print-color-adjust:exact;print-color-adjust:exact}
 .scroll{overflow:visible}
 h2{break-after:avoid}
}
"""

# Print falls through to the light theme because the dark rules hold on screens only.
SHEET = (
    f":root{{color-scheme:light;{_variables('light')}}}"
    f"@media screen and (prefers-color-scheme:dark){{:root:not([data-theme=light])"
    f"{{color-scheme:dark;{_variables('dark')}}}}}"
    f"@media screen{{:root[data-theme=dark]{{color-scheme:dark;{_variables('dark')}}}}}"
    f"{RULES}{_numbered()}"
)

# Nothing is loaded, nothing runs, and this one sheet is the only style: data URIs hold the pictures.
POLICY = (
    "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; style-src 'sha256-"
    + base64.b64encode(hashlib.sha256(SHEET.encode()).digest()).decode()
    + "'"
)
