"""The card: what the catalogue, the command line and the curriculum know about a system."""

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Card:
    """Facts about one system, written once, in the system's own file.

    Every value is a literal, so ``fathom.catalog`` reads a card from the syntax tree: no import,
    no torch. Measured results never stand here; commands write them to ``evidence/``.
    """

    title: str
    paper: str  # address of the paper that introduced it
    year: int
    summary: str  # one sentence a newcomer can follow
    rows: tuple[str, ...] = ()  # ids of the inventory that this system fulfils
    builds_on: tuple[str, ...] = ()  # names of systems to read first; the only ones it may import
    differs: tuple[str, ...] = ()  # honest departures from the paper, each with its reason
    oracle: str = ""  # what it was compared with, and by which test
    exempt: dict[str, str] = field(default_factory=dict)  # contract test -> reason and substitute test
    extra: str = ""  # the optional dependency group it needs, if any
