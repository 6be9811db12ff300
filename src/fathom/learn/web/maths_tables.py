"""The part of TeX that pages use: what each command stands for. Literals only."""

# ruff: noqa: RUF001 - letters of other alphabets are what this file is about

LETTERS = {
    "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "epsilon": "ϵ", "varepsilon": "ε", "zeta": "ζ",
    "eta": "η", "theta": "θ", "vartheta": "ϑ", "iota": "ι", "kappa": "κ", "lambda": "λ", "mu": "μ", "nu": "ν",
    "xi": "ξ", "pi": "π", "rho": "ρ", "sigma": "σ", "tau": "τ", "upsilon": "υ", "phi": "ϕ", "varphi": "φ",
    "chi": "χ", "psi": "ψ", "omega": "ω", "ell": "ℓ", "hbar": "ℏ", "imath": "ı", "jmath": "ȷ",
}  # fmt: skip
UPRIGHT = {
    "Gamma": "Γ", "Delta": "Δ", "Theta": "Θ", "Lambda": "Λ", "Xi": "Ξ", "Pi": "Π", "Sigma": "Σ", "Phi": "Φ",
    "Psi": "Ψ", "Omega": "Ω", "partial": "∂", "nabla": "∇", "infty": "∞", "emptyset": "∅", "top": "⊤",
    "bot": "⊥", "forall": "∀", "exists": "∃", "Re": "ℜ", "Im": "ℑ", "prime": "′", "degree": "°",
    "#": "#", "%": "%", "$": "$", "&": "&", "_": "_",
}  # fmt: skip
OPERATORS = {
    "cdot": "⋅", "times": "×", "odot": "⊙", "otimes": "⊗", "oplus": "⊕", "pm": "±", "mp": "∓", "div": "÷",
    "ast": "∗", "star": "⋆", "circ": "∘", "bullet": "∙", "cap": "∩", "cup": "∪", "setminus": "∖",
    "wedge": "∧", "vee": "∨", "neg": "¬", "le": "≤", "leq": "≤", "ge": "≥", "geq": "≥", "lt": "<", "gt": ">",
    "ne": "≠", "neq": "≠", "approx": "≈", "sim": "∼", "simeq": "≃", "equiv": "≡", "propto": "∝", "ll": "≪",
    "gg": "≫", "in": "∈", "notin": "∉", "subset": "⊂", "subseteq": "⊆", "to": "→", "rightarrow": "→",
    "gets": "←", "leftarrow": "←", "leftrightarrow": "↔", "Rightarrow": "⇒", "Leftarrow": "⇐",
    "Leftrightarrow": "⇔", "implies": "⟹", "iff": "⟺", "mapsto": "↦", "longrightarrow": "⟶",
    "longleftarrow": "⟵", "uparrow": "↑", "downarrow": "↓", "mid": "∣", "parallel": "∥", "perp": "⟂",
    "ldots": "…", "dots": "…", "cdots": "⋯", "vdots": "⋮", "ddots": "⋱", "colon": ":", "coloneqq": "≔",
    "triangleq": "≜", "backslash": "\\",
}  # fmt: skip
LARGE = {
    "sum": "∑", "prod": "∏", "coprod": "∐", "int": "∫", "iint": "∬", "oint": "∮", "bigcup": "⋃",
    "bigcap": "⋂", "bigoplus": "⨁", "bigotimes": "⨂",
}  # fmt: skip
INTEGRALS = ("int", "iint", "oint")  # their limits stand beside them
FUNCTIONS = (
    "arccos", "arcsin", "arctan", "arg", "cos", "cosh", "cot", "deg", "dim", "exp", "ker", "ln", "log",
    "sin", "sinh", "tan", "tanh",
)  # fmt: skip
LIMITED = {
    "lim": "lim", "max": "max", "min": "min", "sup": "sup", "inf": "inf", "argmax": "arg max",
    "argmin": "arg min", "det": "det", "gcd": "gcd", "Pr": "Pr", "limsup": "lim sup", "liminf": "lim inf",
}  # fmt: skip
FENCES = {
    "lvert": "|", "rvert": "|", "vert": "|", "lVert": "‖", "rVert": "‖", "Vert": "‖", "|": "‖", "langle": "⟨",
    "rangle": "⟩", "lfloor": "⌊", "rfloor": "⌋", "lceil": "⌈", "rceil": "⌉", "{": "{", "}": "}",
    "lbrace": "{", "rbrace": "}", "lbrack": "[", "rbrack": "]",
}  # fmt: skip
OPENING = ("lvert", "lVert", "langle", "lfloor", "lceil", "{", "lbrace", "lbrack")
SIZES = {
    "big": "1.2em", "bigl": "1.2em", "bigr": "1.2em", "bigm": "1.2em", "Big": "1.8em", "Bigl": "1.8em",
    "Bigr": "1.8em", "Bigm": "1.8em", "bigg": "2.4em", "biggl": "2.4em", "biggr": "2.4em", "Bigg": "3em",
    "Biggl": "3em", "Biggr": "3em",
}  # fmt: skip
ACCENTS = {
    "hat": "^", "widehat": "^", "bar": "¯", "overline": "¯", "vec": "→", "tilde": "~", "widetilde": "~",
    "dot": "˙", "ddot": "¨", "check": "ˇ", "breve": "˘",
}  # fmt: skip
WIDE = ("widehat", "overline", "widetilde")  # these grow with what they stand over
SPACES = {
    ",": "0.1667em", ":": "0.2222em", ">": "0.2222em", ";": "0.2778em", "!": "-0.1667em", " ": "0.25em",
    "quad": "1em", "qquad": "2em", "enspace": "0.5em", "thinspace": "0.1667em",
}  # fmt: skip
IGNORED = ("limits", "nolimits", "displaylimits", "nonumber", "notag")
# Environments: the fences around them and how their columns are set.
ENVIRONMENTS = {
    "matrix": ("", "", "c"), "pmatrix": ("(", ")", "c"), "bmatrix": ("[", "]", "c"),
    "Bmatrix": ("{", "}", "c"), "vmatrix": ("|", "|", "c"), "Vmatrix": ("‖", "‖", "c"),
    "smallmatrix": ("", "", "c"), "cases": ("{", "", "l"), "rcases": ("", "}", "l"),
    "aligned": ("", "", "rl"), "align": ("", "", "rl"), "align*": ("", "", "rl"), "split": ("", "", "rl"),
    "gathered": ("", "", "c"), "gather": ("", "", "c"), "gather*": ("", "", "c"), "array": ("", "", "c"),
}  # fmt: skip
# How Unicode calls the alphabets.
ALPHABETS = {
    "mathbf": "BOLD", "boldsymbol": "BOLD ITALIC", "bm": "BOLD ITALIC", "mathbb": "DOUBLE-STRUCK",
    "mathcal": "SCRIPT", "mathscr": "SCRIPT", "mathfrak": "FRAKTUR", "mathsf": "SANS-SERIF",
    "mathtt": "MONOSPACE",
}  # fmt: skip
