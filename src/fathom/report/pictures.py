"""Pictures inside the page: PNG data URIs, enlarged without blur when small, with boxes on request."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fathom.errors import InputError
from fathom.report.axes import percent
from fathom.report.markup import Number, escape, figure, tag
from fathom.report.style import SERIES

SMALL = 128  # up to this many pixels a side, pixels are shown as squares
LARGEST = 512  # longer sides are reduced, or a gallery would outweigh its report
Boxes = Sequence[tuple[Number, Number, Number, Number, str, Number | None]]


@dataclass(frozen=True, eq=False)
class Picture:
    """One picture of a gallery.

    ``pixels`` is uint8, (h, w) grey or (h, w, 3) RGB. ``boxes`` are (x0, y0, x1, y1, label, score) in
    pixels of ``pixels``; the score may be None. Raises InputError on other types and shapes.
    """

    pixels: np.ndarray
    label: str = ""
    detail: str = ""
    boxes: Boxes = ()

    def html(self) -> str:
        pixels = self.pixels
        if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3) or 0 in pixels.shape:
            raise InputError(self._complaint())
        if pixels.ndim == 3 and pixels.shape[2] != 3:
            raise InputError(self._complaint())
        height, width = pixels.shape[:2]
        spoken = ", ".join(part for part in (self.label, self.detail) if part) or "picture"
        if self.boxes:
            spoken += f", {len(self.boxes)} boxes: " + ", ".join(str(box[4]) for box in self.boxes)
        image = tag("img", src=data_uri(pixels), width=width, height=height, alt=spoken, decoding="async",
                    class_="pixel" if max(height, width) <= SMALL else None)  # fmt: skip
        detail = tag("small", escape(self.detail)) if self.detail else ""
        text = tag("p", escape(self.label), detail) if self.label or self.detail else ""
        return tag("li", tag("div", image, self._overlay(height, width), class_="picture"), text)

    def _complaint(self) -> str:
        return (
            f"a picture was given as {self.pixels.dtype} of shape {self.pixels.shape}; give uint8 of shape "
            "(h, w) or (h, w, 3), for example (255 * image).round().astype('uint8')"
        )

    def _overlay(self, height: int, width: int) -> str:
        if not self.boxes:
            return ""
        colours = {name: i for i, name in enumerate(sorted({str(box[4]) for box in self.boxes}))}
        parts = []
        for x0, y0, x1, y1, name, score in self.boxes:
            left, top = float(x0) / width, float(y0) / height
            shade = colours[str(name)] % len(SERIES["light"])
            size = {"width": percent((x1 - x0) / width), "height": percent((y1 - y0) / height)}
            place = {"x": percent(left), "y": percent(top), **size}
            # A dark edge under a bright line is seen on any photograph, in both themes.
            parts += [tag("rect", class_=kind, **place) for kind in ("box-edge", f"box b{shade}")]
            text = str(name) if score is None else f"{name} {float(score):.2f}"
            inside = top < 0.08  # a name above the top edge would be cut off
            parts.append(tag("text", escape(text), class_="box-name", x=percent(max(left, 0)), dx="3",
                             y=percent(max(top, 0)), dy="14" if inside else "-4"))  # fmt: skip
        return tag("svg", *parts, aria_hidden="true")


@dataclass(frozen=True)
class Gallery:
    """A grid of pictures under one caption."""

    images: Sequence[Picture]
    caption: str = ""

    def html(self) -> str:
        if not self.images:
            return figure("pictures", self.caption, tag("p", "There are no pictures.", class_="empty"))
        large = any(max(picture.pixels.shape[:2]) > SMALL for picture in self.images)
        items = [picture.html() for picture in self.images]
        return figure(
            "pictures", self.caption, tag("ul", *items, class_="gallery large" if large else "gallery")
        )


def data_uri(pixels: np.ndarray) -> str:
    """A uint8 picture (h, w) or (h, w, 3) as a PNG data URI, at most 512 pixels on its longer side."""
    from PIL import Image

    image = Image.fromarray(pixels)
    if max(image.size) > LARGEST:
        image.thumbnail((LARGEST, LARGEST))
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
