"""Adaptations: a trained model is tuned by a few new numbers, while its own stand still.

An adaptation is a setting of the learning, like the optimizer: ``--set learning.adaptation=LoRA``, or in a
loop of one's own ``LoRA(rank=4).apply(model)``. It exchanges layers of a model, found by their names, for
ones that hold them and learn something beside (``fundamentals.adaptation``), and lets nothing else learn but
the parts that ``whole`` names, a new head for instance. Layers that stood still before are left as they are.

``layers`` are pieces of dotted names: "query" is every layer of that name, "blocks.0.attention.query" is one,
"blocks.0" is all that lie in it. Left empty they are the usual ones, by the names of our Transformers.

What was learned is small; ``adapter_file`` writes it alone.
"""

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

from torch import Tensor, nn

from fathom.errors import InputError
from fathom.fundamentals.adaptation.bottleneck_adapter import Bottleneck
from fathom.fundamentals.adaptation.ia3 import Scaled
from fathom.fundamentals.adaptation.lora import LowRank
from fathom.fundamentals.adaptation.prefix_tuning import Prefixed
from fathom.fundamentals.adaptation.quantized_linear import QuantizedLinear, levels

HOLDERS = (LowRank, Scaled, Bottleneck, Prefixed)  # what stands in the place of a layer, and holds it as base


@runtime_checkable
class Adaptation(Protocol):
    """Settings of an adaptation, as a frozen dataclass."""

    def apply(self, model: nn.Module) -> None:
        """Exchange layers of ``model``; a second call changes nothing. Raises ``InputError``."""
        ...


@dataclass(frozen=True, kw_only=True)
class Whole:
    """None: all of the model learns, as it does without an adaptation."""

    def apply(self, model: nn.Module) -> None:
        refuse_another(model, self)


@dataclass(frozen=True, kw_only=True)
class LoRA:
    """A change of low rank beside linear layers (Hu et al. 2022); mergeable.

    With ``bits``, 8 or 4, all linear layers that stand still keep their matrices in so many bits an entry
    (Dettmers et al. 2023), but for those that the model itself holds, such as its head, and for ``whole``.
    What was learned beside such a matrix cannot be merged into it.
    """

    usual: ClassVar[tuple[str, ...]] = ("query", "value", "qkv")  # of attention, the last where all are one

    rank: int = 8
    alpha: float = 16.0
    dropout: float = 0.0
    bits: int | None = None
    layers: tuple[str, ...] = ()
    whole: tuple[str, ...] = ()  # parts that learn as they are

    def __post_init__(self) -> None:
        LowRank(nn.Linear(1, 1), self.rank, alpha=self.alpha, dropout=self.dropout)  # says what is wrong
        if self.bits is not None:
            levels(self.bits)

    def apply(self, model: nn.Module) -> None:
        def made(layer: nn.Module) -> nn.Module:
            return LowRank(layer, self.rank, alpha=self.alpha, dropout=self.dropout)

        makers = {name: made for name in self.layers or self.usual}
        if adapt(model, self, makers, strict=bool(self.layers)) and self.bits is not None:
            quantize_still(model, self.bits, self.whole)


@dataclass(frozen=True, kw_only=True)
class IA3:
    """Factors of what linear layers give, or of what they get (Liu et al. 2022); mergeable."""

    usual: ClassVar[tuple[str, ...]] = ("key", "value", "qkv")
    within: ClassVar[tuple[str, ...]] = ("narrow",)  # the second dense layer of a block

    layers: tuple[str, ...] = ()  # whose outputs are scaled
    inputs: tuple[str, ...] = ()  # whose inputs are
    whole: tuple[str, ...] = ()

    def apply(self, model: nn.Module) -> None:
        given = bool(self.layers or self.inputs)
        outputs, inputs = (self.layers, self.inputs) if given else (self.usual, self.within)
        makers = dict.fromkeys(outputs, Scaled) | {
            n: lambda layer: Scaled(layer, inputs=True) for n in inputs
        }
        adapt(model, self, makers, strict=given)


@dataclass(frozen=True, kw_only=True)
class Adapters:
    """Narrow networks behind layers that write to the stream of a block (Houlsby et al. 2019)."""

    usual: ClassVar[tuple[str, ...]] = ("attention.out", "narrow")

    narrow: int = 64
    layers: tuple[str, ...] = ()
    whole: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        Bottleneck(nn.Identity(), 1, self.narrow)

    def apply(self, model: nn.Module) -> None:
        def made(layer: Any) -> nn.Module:
            return Bottleneck(layer, int(layer.out_features), self.narrow)

        adapt(model, self, {name: made for name in self.layers or self.usual}, strict=bool(self.layers))


@dataclass(frozen=True, kw_only=True)
class Prefix:
    """Learned keys and values in front of every text (Li and Liang 2021)."""

    usual: ClassVar[tuple[str, ...]] = ("attention",)

    length: int = 16
    layers: tuple[str, ...] = ()
    whole: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        Prefixed(nn.Identity(), self.length, 1, 1)

    def apply(self, model: nn.Module) -> None:
        def made(layer: Any) -> nn.Module:
            cfg = getattr(layer, "cfg", layer)  # that of a LLaMA counts its heads
            heads = int(layer.out.in_features) // cfg.e if hasattr(cfg, "e") else layer.heads
            return Prefixed(layer, self.length, getattr(cfg, "groups", heads), layer.out.in_features // heads)

        adapt(
            model,
            self,
            {name: made for name in self.layers or self.usual},
            strict=bool(self.layers),
            of="out",
        )


def choices() -> dict[str, type]:
    """Every adaptation that a setting or an artifact can name. The set is closed."""
    return {kind.__name__: kind for kind in (Whole, LoRA, IA3, Adapters, Prefix)}


def adapt(
    model: nn.Module,
    how: Any,
    makers: Mapping[str, Callable[[Any], nn.Module]],
    *,
    strict: bool,
    of: str = "out_features",
) -> bool:
    """Exchange the layers of ``model`` that a key of ``makers`` means, and let the rest stand still.

    False where it was done already. Only layers with an attribute ``of`` are meant; with ``strict`` every key
    must mean one. Raises ``InputError`` where nothing is meant, with the nearest names.
    """
    if refuse_another(model, how):
        return False
    found = {name: meant(model, name, of) for name in makers}
    absent = [name for name, places in found.items() if not places]
    if not any(found.values()) or (strict and absent):
        raise no_layer(model, absent, of)
    lost = [part for part in how.whole if not any(within(n, (part,)) for n, _ in model.named_parameters())]
    if lost:
        raise no_layer(model, lost, "weight")
    whole = [p for n, p in model.named_parameters() if p.requires_grad and within(n, how.whole)]
    model.requires_grad_(False)
    chosen = {place: makers[name] for name in reversed(found) for place in found[name]}  # the first name wins
    for place, make in chosen.items():
        layer = model.get_submodule(place)
        exchange(model, place, make(layer).to(next(layer.parameters())).train(layer.training))
    for parameter in whole:
        parameter.requires_grad_()
    model.adaptation = how
    return True


def quantize_still(model: nn.Module, bits: int, whole: Sequence[str]) -> None:
    """Keep the matrices of linear layers that stand still, within the parts of ``model``, in few bits."""
    for place, layer in list(model.named_modules()):
        still = not any(p.requires_grad for p in layer.parameters())
        if type(layer) is nn.Linear and "." in place and still and not within(place, whole):
            exchange(model, place, QuantizedLinear(layer, bits).to(layer.weight))


def refuse_another(model: nn.Module, how: Any) -> bool:
    """Whether ``model`` is adapted so already. Raises ``InputError`` where it is adapted in another way."""
    before = getattr(model, "adaptation", None)
    if before is not None and before != how:
        raise InputError(
            f"the model is adapted already, by {before}; merge that first, or build the model anew"
        )
    return before is not None


def meant(model: nn.Module, name: str, of: str) -> list[str]:
    """Places of the layers with an attribute ``of`` that ``name`` means, less those that stand still."""
    return [
        place
        for place, layer in model.named_modules()
        if within(place, (name,)) and hasattr(layer, of) and any(p.requires_grad for p in layer.parameters())
    ]


def within(place: str, names: Sequence[str]) -> bool:
    """Whether one of ``names`` is a piece of the dotted name ``place``."""
    return any(f".{name}." in f".{place}." for name in names)


def no_layer(model: nn.Module, names: Sequence[str], of: str) -> InputError:
    """The error for names that no layer has."""
    known = sorted({place.rpartition(".")[2] for place, m in model.named_modules() if hasattr(m, of)} - {""})
    near = [n for name in names for n in difflib.get_close_matches(name.rpartition(".")[2], known, n=2)]
    return InputError(
        f"the {type(model).__name__} has no layer {' or '.join(map(repr, names))} that learns; there is"
        f" {', '.join(near or known[:12]) or 'none of that kind'}"
    )


def exchange(model: nn.Module, place: str, layer: nn.Module) -> None:
    """Put ``layer`` where the dotted name ``place`` points."""
    parent, _, name = place.rpartition(".")
    setattr(model.get_submodule(parent), name, layer)


def merge(model: nn.Module) -> nn.Module:
    """``model``, in place, with what was learned in the layers themselves, none of which is left beside them.

    Raises ``InputError``, and changes nothing, where something was learned that no layer can take.
    """
    held = {name: layer for name, layer in model.named_modules() if isinstance(layer, HOLDERS)}
    fixed = sorted({type(m).__name__ for m in held.values() if not hasattr(m, "merged")})
    if fixed:
        raise InputError(
            f"{' and '.join(fixed)} cannot be merged into the layers; keep them beside the model"
        )
    try:
        made = {name: layer.merged() for name, layer in held.items()}  # type: ignore[operator]
    except ValueError as error:
        raise InputError(f"nothing was merged: {error}") from error
    for name, layer in made.items():
        exchange(model, name, layer)
    model.requires_grad_()
    model.__dict__.pop("adaptation", None)
    return model


def base_state(model: nn.Module) -> dict[str, Tensor]:
    """The tensors that stand still in an adapted model, under the names that they had before."""
    learned = {name for name, p in model.named_parameters() if p.requires_grad}
    holders = [name for name, layer in model.named_modules() if isinstance(layer, HOLDERS)]
    found: dict[str, Tensor] = {}
    for name, tensor in model.state_dict().items():
        inner = next((h for h in holders if name.startswith(f"{h}.base.")), None)
        if name not in learned:
            found[name if inner is None else inner + name.removeprefix(f"{inner}.base")] = tensor
    return found
