"""Data that leave nothing to choose by, for experiments whose settings are fixed beforehand."""

from dataclasses import dataclass, replace
from typing import Any

from fathom.data.split import Data


@dataclass(frozen=True)
class Unvalidated:
    """The data that ``whole`` loads, without their validation split; a trial then scores the test split."""

    whole: Any

    def load(self) -> Data:
        return replace(self.whole.load(), valid=None)
