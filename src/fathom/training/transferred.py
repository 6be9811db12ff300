"""A model of the catalogue that begins with weights of another run, as a model config.

The weights are held, not named by a path: a run that is resumed has them in its own folder, wherever the
file lies that they came from.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor, nn

from fathom.fundamentals.initialization.pretrained import load_pretrained
from fathom.training.experiment import ModelConfig


@dataclass(frozen=True, kw_only=True)
class Transferred:
    """``config`` builds the model and draws it; ``state``, under its own names, fills all but ``new``.

    What was taken over and what is new is kept as the model's ``load_report``.
    """

    config: ModelConfig
    new: tuple[str, ...] = ()  # parts that begin as they were drawn: "head"
    state: Mapping[str, Tensor] = field(default_factory=dict, repr=False, compare=False)

    def build(self) -> nn.Module:
        """Raises ``ValueError`` with the names where the weights are not those of this config."""
        model = self.config.build()
        report = load_pretrained(model, self.state, new=self.new, least=0.0)
        object.__setattr__(model, "load_report", report)
        return model
