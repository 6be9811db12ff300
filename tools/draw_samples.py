"""The pictures for "On your data": rings and crosses, drawn here, so that they carry no rights of others.

python tools/draw_samples.py           writes src/fathom/learn/samples/photos
"""

import random
from pathlib import Path

from PIL import Image, ImageDraw

PHOTOS = Path(__file__).resolve().parents[1] / "src" / "fathom" / "learn" / "samples" / "photos"
CLASSES = ("cross", "ring")
EACH = 16  # pictures of a class
SIDE = 32  # pixels


def main() -> None:
    for kind in CLASSES:
        (PHOTOS / kind).mkdir(parents=True, exist_ok=True)
        for number in range(EACH):
            draw(kind, number).save(PHOTOS / kind / f"{number:02}.png", optimize=True)


def draw(kind: str, number: int) -> Image.Image:
    """One picture: a bright shape of its own place, size and colour on a dark ground."""
    dice = random.Random(f"{kind} {number}")
    ground = tuple(dice.randrange(0, 80) for _ in range(3))
    ink = tuple(dice.randrange(140, 256) for _ in range(3))
    reach, wide = dice.randrange(6, 12), dice.randrange(2, 4)
    x, y = (dice.randrange(reach + 1, SIDE - reach - 1) for _ in range(2))
    picture = Image.new("RGB", (SIDE, SIDE), ground)
    pen = ImageDraw.Draw(picture)
    if kind == "ring":
        pen.ellipse((x - reach, y - reach, x + reach, y + reach), outline=ink, width=wide)
    else:
        pen.line((x - reach, y - reach, x + reach, y + reach), fill=ink, width=wide)
        pen.line((x - reach, y + reach, x + reach, y - reach), fill=ink, width=wide)
    return picture


if __name__ == "__main__":
    main()
