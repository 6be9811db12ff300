"""Formulas for a terminal: TeX as readable text, in a line.

The formulas of our pages use a small part of TeX; what is not known here stays as it is written.
"""

# ruff: noqa: RUF001 - letters of other alphabets are what this file is about

import re
from collections.abc import Callable

GAP = "\u00a0"  # is not taken for one of the spaces that mean nothing in TeX
LETTERS = {
    "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "Delta": "Δ", "epsilon": "ε", "varepsilon": "ε",
    "eta": "η", "theta": "θ", "lambda": "λ", "mu": "μ", "nu": "ν", "pi": "π", "rho": "ρ", "sigma": "σ",
    "Sigma": "Σ", "tau": "τ", "phi": "φ", "Phi": "Φ", "omega": "ω", "partial": "∂", "nabla": "∇", "sum": "Σ",
    "prod": "Π", "int": "∫", "infty": "∞", "cdot": "·", "times": "×", "odot": "⊙", "pm": "±", "le": "≤",
    "leq": "≤", "ge": "≥", "geq": "≥", "ne": "≠", "neq": "≠", "approx": "≈", "to": "→", "rightarrow": "→",
    "leftarrow": "←", "Rightarrow": "⇒", "in": "∈", "ldots": "...", "dots": "...", "cdots": "...",
    "quad": GAP, "qquad": GAP * 2, "mid": "|", "top": "T", "ll": "≪", "gg": "≫", "mathbb": "",
    "lceil": "⌈", "rceil": "⌉", "lfloor": "⌊", "rfloor": "⌋", "left": "", "right": "",
    "displaystyle": "", "max": "max", "min": "min",
    "sin": "sin", "cos": "cos",
    "exp": "exp", "log": "log", "tanh": "tanh", "lim": "lim", "frac": "frac", "sqrt": "sqrt", "text": "text",
}  # fmt: skip
SUPERSCRIPTS = str.maketrans("0123456789+-=()nTi", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ⁿᵀⁱ")
SUBSCRIPTS = str.maketrans("0123456789+-=()aeijklmnoprstuvx", "₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎ₐₑᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓ")
ALONE = r"\d+(\.\d+)?|[^\W\d_]|\\[A-Za-z]+"  # needs no parentheses in a fraction, as 2h does
ROOT = r"√\w|√\([^()]*\)"
GROUP = r"\{((?:[^{}]|\{[^{}]*\})*)\}"


def plain(tex: str) -> str:
    """A formula as text."""
    tex = re.sub(r"\\(?:text|operatorname|mathrm|mathbf|mathit)\*?\{([^{}]*)\}", r"\1", tex)
    tex = re.sub(r"\\[bB]igg?[lrm]?(?![A-Za-z])", "", tex)
    tex = re.sub(r"\\begin\{\w+\}(\{[^{}]*\})?|\\end\{\w+\}", "", tex)
    tex = tex.replace(r"\\", "\n").replace("&", "").replace(r"\,", " ").replace(r"\;", " ").replace(r"\!", "")
    for _ in range(4):  # from the inside out
        tex = re.sub(rf"\\sqrt{GROUP}", root, tex)
        tex = re.sub(rf"\\[td]?frac{GROUP}{GROUP}", fraction, tex)
    tex = re.sub(rf"\\underbrace{GROUP}_{GROUP}", r"\1 [\2]", tex)
    tex = re.sub(r"\\([A-Za-z]+)", lambda found: LETTERS.get(found[1], found[0]), tex)
    tex = re.sub(rf"\^(?:{GROUP}|(\w))", lambda found: raised(found[1] or found[2], "^", SUPERSCRIPTS), tex)
    tex = re.sub(rf"_(?:{GROUP}|(\w))", lambda found: raised(found[1] or found[2], "_", SUBSCRIPTS), tex)
    tex = tex.replace(r"\{", "{").replace(r"\}", "}").replace("'", "′")
    lines = (re.sub(r"[ \t]+", " ", line).strip() for line in tex.split("\n"))
    return "\n".join(lines).replace("\u00a0", " ").strip()


def fraction(found: re.Match[str]) -> str:
    above, below = (part if re.fullmatch(f"{ALONE}|{ROOT}", part) else f"({part})" for part in found.groups())
    return f"{above}/{below}"


def root(found: re.Match[str]) -> str:
    return f"√{found[1]}" if len(found[1]) == 1 else f"√({found[1]})"


def raised(part: str, sign: str, table: dict[int, int]) -> str:
    """A small number or letter where there is one, else in parentheses behind its sign."""
    if all(ord(letter) in table for letter in part):
        return part.translate(table)
    return f"{sign}{part}" if len(part) == 1 else f"{sign}({part})"


def prose(markdown: str, shown: Callable[[str], str] | None = None) -> str:
    """Markdown whose formulas, between dollars, are text; it is still Markdown. Code keeps its dollars."""
    parts = re.split(r"(`[^`]*`)", markdown)
    for place in range(0, len(parts), 2):
        parts[place] = re.sub(
            r"\$\$([^$]+)\$\$|\$([^$\n]+)\$",
            lambda found: (shown or escaped)(plain(found[1] or found[2])),
            parts[place],
        )
    return "".join(parts)


def text(markdown: str) -> str:
    """The same for what is printed as it is, and not read as Markdown."""
    return prose(markdown, str)


def escaped(formula: str) -> str:
    """A formula inside Markdown: its stars and underlines are its own."""
    return re.sub(r"([*_\\`\[\]<>])", r"\\\1", formula)
