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
    citation=(
        "D. De Cock: Ames, Iowa: Alternative to the Boston Housing Data as an End of Semester"
        " Regression Project, Journal of Statistics Education 19(3), 2011"
    ),
    home="https://jse.amstat.org/v19n3/decock.pdf",
    files={
        "ames.csv": ("5531adde8dd1709dffaa1971d69c7501ac7120ea13863a763da9bb73163818bc", 919248),
    },
    counts={
        "rows": 2930,
        "columns": 82,
    },
    notes=(
        "UTF-8 CSV, target SalePrice; Order and PID are identifiers. An empty field mostly "
        'means "has none of it" (Alley, Pool QC, Fence ...). Spaces around words removed; '
        "columns Gr Liv Area and SalePrice stand near the front. The author advises leaving "
        "out the five homes above 4,000 square feet. In Mas Vnr Type an empty field stands "
        'for "None" as well as for "not known".'
    ),
)


CODES = ("MS SubClass", "Mo Sold")  # numbers that are names: kinds of dwelling, months
IDENTIFIERS = ("Order", "PID")  # name rows, not homes


@dataclass(frozen=True)
class Sales:
    """Cells by column, as text; an empty cell mostly means that the home has none of it.

    ``kinds`` says of each column whether it is "numeric", "category" or "identifier".
    """

    columns: dict[str, list[str]]
    kinds: dict[str, str]
    target: str = "SalePrice"  # dollars


def read() -> Sales:
    """2,930 sales with 82 columns. ``InputError`` names a file that was changed."""
    from fathom.data.formats.table import clean, kind

    with (places.find(SET) / "ames.csv").open(encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle))
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    kinds = {name: kind(name, [clean(cell) for cell in cells]) for name, cells in columns.items()}
    kinds |= dict.fromkeys(CODES, "category") | dict.fromkeys(IDENTIFIERS, "identifier")
    return Sales(columns, kinds)
