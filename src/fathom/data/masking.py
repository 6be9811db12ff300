"""Masks over words: what a model that guesses them is given to guess (Devlin et al. 2019, section 3.1).

Of the tokens of a text a share is chosen. Most of them are hidden behind a mask; some are exchanged for any
token, and some stay as they are, for a text that is read later holds no mask, and no token in it should be
taken on trust. Which ones is drawn anew each time that a text is met.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from fathom.data.draws import whole, within
from fathom.training.objectives import IGNORE


@dataclass(frozen=True, kw_only=True)
class MaskTokens:
    """Of tokens (b, ``length``) of a ``vocabulary`` a ``share`` is chosen, and becomes the target.

    Of those ``exchanged`` become any token, ``kept`` stay, the others become ``mask``. Those in ``special``,
    frames and padding, are never chosen. What is not chosen is no target.
    """

    mask: int
    vocabulary: int
    length: int
    special: tuple[int, ...]
    share: float = 0.15
    exchanged: float = 0.1
    kept: float = 0.1

    def __post_init__(self) -> None:
        for name in ("share", "exchanged", "kept"):
            within(name, getattr(self, name), 0, 1)
        within("exchanged and kept together", self.exchanged + self.kept, 0, 1)
        if not 0 <= self.mask < self.vocabulary or self.length < 1:
            raise ValueError(
                f"mask is {self.mask}, vocabulary {self.vocabulary}, length {self.length}; the mask must be"
                " one of the vocabulary, and the length 1 or more"
            )

    @property
    def draws(self) -> int:
        return 2 * self.length

    def __call__(self, batch: tuple[Any, ...], numbers: Tensor) -> tuple[Any, ...]:
        token, *rest, _ = batch
        which, what = numbers[:, : self.length], numbers[:, self.length :]
        chosen = (which < self.share) & ~torch.isin(token, torch.tensor(self.special))
        fate = which / max(self.share, 1e-12)  # of a chosen one: uniform in [0, 1)
        seen = torch.where(chosen, self.mask, token)
        seen = torch.where(chosen & (fate < self.exchanged + self.kept), whole(what, self.vocabulary), seen)
        seen = torch.where(chosen & (fate < self.kept), token, seen)
        return seen, *rest, torch.where(chosen, token, IGNORE)
