"""The curriculum in the browser: pages made here, four custom elements, no account and no network.

What other projects fetch for such pages is not needed. Formulas become MathML, which browsers draw by
themselves (``maths``), so there is no KaTeX and no font. Figures are drawn once, in Python (``picture``), and
a page is sent the picture of each frame, so there is no plotting library and no script for any figure. The
editor is a textarea that was taught line numbers, Tab and colours (``static/editor.js``). All script is ours,
and short; without it every page can still be read, and every answer sent.
"""

ROWS = ("LP05",)  # of the inventory: the curriculum in a browser, without a network
