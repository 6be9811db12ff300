"""Real text to compare tokenizers on, and texts that no one would write."""

from functools import cache

from hypothesis import strategies as st


@cache
def real_lines(count: int = 10_000) -> tuple[str, ...]:
    """Captions in German and English, film reviews and plays, a quarter of ``count`` lines each."""
    from fathom.data.sets import multi30k, rt_polarity, tiny_shakespeare

    pairs = multi30k.read("en", "de").train
    sources = (
        [german for _, german in pairs],
        [english for english, _ in pairs],
        list(rt_polarity.read().texts),
        tiny_shakespeare.read().splitlines(),
    )
    return tuple(line for source in sources for line in source[: count // 4])


# Any valid Unicode that is assigned; and what trips splitters most.
ANY = st.text(st.characters(exclude_categories=["Cs", "Cn"]), max_size=60)
NASTY = st.text(
    st.sampled_from(
        "aB1é ß\u0130\u0391Σς你好𝄞✓'\u2019-_.,!?$^`~|<[]# ▁Ġ½²"
        "\t\n\r\x0b\x1c\x85\xa0\u2009\u3000\u0301\u200d\ufeff\x00"
    ),
    max_size=40,
)
