"""Ames, Iowa: house prices."""

import csv
from dataclasses import dataclass

from fathom.data import places
from fathom.data.places import DataSet

SET = DataSet(
    name="ames_housing",
    title="Ames, Iowa: house prices",
    tasks=("tabular regression",),
    licence="no formal licence; published for teaching",
    redistributable=False,
    citation="D. De Cock: Ames, Iowa: Alternative to the Boston Housing Data as an End of Semester Regression Project, Journal of Statistics Education 19(3), 2011",
    home="https://jse.amstat.org/v19n3/decock.pdf",
    files={"ames.csv": ("5531adde8dd1709dffaa1971d69c7501ac7120ea13863a763da9bb73163818bc", 919248)},
    counts={"rows": 2930, "columns": 82},
)


@dataclass(frozen=True)
class Sales:
    """Cells by column, as text; an empty cell mostly means that the home has none of it."""

    columns: dict[str, list[str]]


def read() -> Sales:
    """2,930 sales with 82 columns; the price is ``SalePrice``, ``Order`` and ``PID`` are identifiers."""
    with (places.find(SET) / "ames.csv").open(encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle))
    return Sales({name: [row[name] for row in rows] for name in rows[0]})
