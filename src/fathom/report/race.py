"""A race over a landscape: many paths at once, animated step by step, without a script.

Time is cut into frames of equally many steps. The stretch that each runner covers in one frame is a path of
its own; the stretches of one frame stand in one group, which appears when the frame is over, and a dot moves
from frame to frame. Both are SVG animations (SMIL) that begin anew after a rest. Where motion is not wanted -
by the reader's settings, on paper, or by the box that says "Stand still" - the style sheet shows all
stretches and the dots where they ended. Pointing at a name of the legend fades all others.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from fathom.errors import InputError
from fathom.report.axes import SIDE, Axis, outline, plot, points_path
from fathom.report.charts import COLOURS, legend, series_class
from fathom.report.landscape import Landscape
from fathom.report.markup import escape, figure, number, numbers_behind, tag

FRAMES, REST = 60, 15  # while the race lasts, and while its end is shown
SECONDS = 15  # for all of them


@dataclass(frozen=True)
class Race:
    """Paths (steps + 1, 2) of equal length by the name of the runner, over ``ground``.

    ``told`` maps a name to what the legend says of it; ``columns`` and ``rows`` are the table behind the
    picture. Raises InputError for paths of other shapes, or none.
    """

    ground: Landscape
    paths: Mapping[str, np.ndarray]
    told: Mapping[str, str] = field(default_factory=dict)
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[object]] = ()
    half: ClassVar[bool] = False

    def html(self) -> str:
        shapes = {name: np.shape(path) for name, path in self.paths.items()}
        if not shapes or len(set(shapes.values())) > 1 or any(len(s) != 2 or s[1] != 2 or s[0] < 2
                                                              for s in shapes.values()):  # fmt: skip
            raise InputError(
                f"a race was given paths of shapes {shapes}; give one or more, all of (steps + 1, 2)"
            )
        across, up = self.ground.axes
        placed = [self.placed(np.asarray(path, dtype=np.float64), across, up) for path in self.paths.values()]
        keys = [(series_class(i), name, self.told.get(name, "")) for i, name in enumerate(self.paths)]
        hold = tag("label", tag("input", type="checkbox"), "Stand still", class_="hold")
        course = tag("svg", self.legs(placed), self.dots(placed), width=SIDE, height=SIDE)  # cut at its rim
        drawn = self.ground.lines() + course
        steps = next(iter(shapes.values()))[0] - 1
        label = f"Race: {self.ground.caption}. {len(placed)} paths of {steps} steps. {self.ground.note()}"
        drawing = plot(across, up, drawn, label, over=self.ground.written(), height=self.ground.height)
        pace = f"{number(steps)} steps in {SECONDS * FRAMES // (FRAMES + REST)} seconds. {self.ground.note()}"
        table = numbers_behind(self.columns, self.rows, self.ground.caption) if self.rows else ""
        return figure("chart map race", self.ground.caption, legend(keys), hold, drawing,
                      tag("p", escape(pace), class_="note"), table)  # fmt: skip

    def placed(self, path: np.ndarray, across: Axis, up: Axis) -> np.ndarray:
        """A path in [0, 1] of both axes, and never so far outside that numbers grow long."""
        where = np.stack([across.place(path[:, 0]), up.place(path[:, 1])], axis=1)
        return np.nan_to_num(where, nan=9.0, posinf=9.0, neginf=-9.0).clip(-9, 9)

    def legs(self, placed: Sequence[np.ndarray]) -> str:
        """One group a frame, which appears when it is over."""
        stops = np.rint(np.linspace(0, len(placed[0]) - 1, FRAMES + 1)).astype(int)
        groups = []
        for frame in range(FRAMES):
            begin, end = stops[frame], stops[frame + 1] + 1
            paths = []
            for lane, path in enumerate(placed):
                leg = path[begin:end]
                if len(leg) > 1 and np.ptp(leg, axis=0).max() > 5e-4:  # half a unit of the picture
                    data = outline(leg[:, 0], leg[:, 1])
                    paths.append(tag("path", class_=f"line lane r{lane} {series_class(lane)}", d=data))
            if paths:
                shown = (frame + 1) / (FRAMES + REST)
                timing = tag("animate", attributeName="opacity", values="0;1", keyTimes=f"0;{shown:.4f}",
                             calcMode="discrete", dur=f"{SECONDS}s", repeatCount="indefinite")  # fmt: skip
                groups.append(tag("g", timing, *paths, class_="leg"))
        return "".join(groups)

    def dots(self, placed: Sequence[np.ndarray]) -> str:
        """A dot that runs for every path, and one that stands at its end."""
        stops = np.rint(np.linspace(0, len(placed[0]) - 1, FRAMES + 1)).astype(int)
        parts = []
        for lane, path in enumerate(placed):
            look = f"lane r{lane} c{lane % COLOURS}"
            here = np.rint(SIDE * np.stack([path[stops, 0], 1 - path[stops, 1]], axis=1)).astype(int)
            places = [f"{x},{y}" for x, y in here.tolist()]
            values = ";".join([*places, *[places[-1]] * REST])
            moving = tag("animateTransform", attributeName="transform", type="translate", values=values,
                         dur=f"{SECONDS}s", repeatCount="indefinite")  # fmt: skip
            # a dot is a stroke of no length, so that it stays round where the picture is stretched
            running = tag("g", moving, tag("path", class_=f"dots {look}", d="M0,0h0"), class_="runner")
            end = points_path(path[-1:, 0], path[-1:, 1])
            parts.append(running + tag("path", class_=f"dots finish {look}", d=end))
        return "".join(parts)
