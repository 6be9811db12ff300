"""Parameter groups: weights that should not be decayed, and layers that should move less than others.

    decay         matrices and kernels: c         biases, scales of normalisation, named exceptions: 0
    layer rates   r_l = r d^(L - l)               layer l of 0 (the stem) to L (the head); d about 0.65 to 0.9

Weight decay pulls a weight towards zero because large weights of a product make functions steep. A bias or
a scale multiplies nothing; pulling it to zero only hurts. Positions, class tokens and tables of relative
positions are matrices in shape and vectors at heart, so models list them by name. In fine-tuning the first
layers of a pretrained network hold what every task needs and the last ones what the old task needed: rates
that fall by a constant factor from head to stem let each move in proportion to how wrong it is likely to
be.

Source: Howard and Ruder (2018), section 3.2 (discriminative rates); Clark et al. (2020), ELECTRA, Appendix B,
and Bao et al. (2022), BEiT, https://arxiv.org/abs/2106.08254 (a factor for each layer).

Legend: c weight decay, r learning rate, d layer decay, l layer, L number of the head
"""

import fnmatch
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from torch import nn

from fathom.card import Card
from fathom.fundamentals.optimizers.sgd import not_negative, positive

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Parameter groups, layer-wise rates, no-decay lists",
    paper="https://arxiv.org/abs/1801.06146",
    year=2018,
    summary="Gives tensors of a network learning rates and weight decays of their own, by layer and shape.",
    rows=("OP11", "TL05"),
    builds_on=("sgd",),
    oracle="timm.optim.param_groups_weight_decay and param_groups_layer_decay, group by group",
)


def decay_groups(model: nn.Module, weight_decay: float, no_decay: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Two groups for an optimizer: what is not decayed, then what is; a group without tensors is left out.

    Not decayed are tensors of fewer than two axes, biases, and names that match a pattern of ``no_decay``
    (``"*.position"``). ``weight_decay`` is 0 or more; with 0 there is one group. ValueError otherwise.
    """
    not_negative(weight_decay, "weight_decay")
    held: dict[float, list[nn.Parameter]] = {0.0: [], weight_decay: []}
    for name, p in trained(model):
        spared = p.ndim <= 1 or name.endswith(".bias") or matches(name, no_decay)
        held[0.0 if spared else weight_decay].append(p)
    return [{"params": tensors, "weight_decay": decay} for decay, tensors in held.items() if tensors]


def layer_groups(
    model: nn.Module,
    learning_rate: float,
    weight_decay: float,
    stem: Sequence[str],
    block: str,
    after: Sequence[str] = (),
    layer_decay: float = 0.75,
    no_decay: Sequence[str] = (),
    smallest: float = 0.0,
) -> list[dict[str, Any]]:
    r"""Groups with ``lr`` and ``weight_decay`` of their own, in the order of the model's tensors.

    The layer of a tensor follows from its name, as ``layers`` has it. ``layer_decay`` is in (0, 1], and no
    factor is below ``smallest``; not decayed are tensors of fewer than two axes and names that match a
    pattern of ``no_decay``. ValueError for a setting out of range.
    """
    positive(learning_rate, "learning_rate")
    not_negative(weight_decay, "weight_decay")
    found = layers([name for name, _ in model.named_parameters()], stem, block, after)
    factors = layer_factors(found, layer_decay, smallest)
    groups: dict[tuple[int, bool], dict[str, Any]] = {}
    for name, p in trained(model):
        layer, spared = found[name], p.ndim <= 1 or matches(name, no_decay)
        rate, decay = learning_rate * factors[name], 0.0 if spared else weight_decay
        group = {"params": [], "lr": rate, "weight_decay": decay}
        groups.setdefault((layer, spared), group)["params"].append(p)
    return list(groups.values())


def layer_factors(numbers: Mapping[str, int], layer_decay: float, smallest: float = 0.0) -> dict[str, float]:
    """The share of the learning rate that each name gets, for the number of its layer; 1 for the last one.

    ``layer_decay`` is in (0, 1] and ``smallest``, which no share is below, 0 or more. ValueError otherwise.
    """
    not_negative(smallest, "smallest")
    if not 0 < layer_decay <= 1:
        raise ValueError(f"layer_decay is {layer_decay}; it must be in (0, 1]")
    last = max(numbers.values(), default=0)
    return {name: max(smallest, layer_decay ** (last - number)) for name, number in numbers.items()}


def layers(
    names: Iterable[str], stem: Sequence[str], block: str, after: Sequence[str] = ()
) -> dict[str, int]:
    r"""The layer of each name: 0 for the stem, one for each block, and one for whatever is left, the head.

    ``stem`` and ``after`` are regular expressions for the beginnings of names: ``after`` belongs to the last
    block (a final normalisation). ``block`` has one group, the block's number: ``r"blocks\.(\d+)\."``.
    ValueError where ``block`` has none, or matches no name.
    """
    if re.compile(block).groups != 1:
        raise ValueError(rf"block is {block!r}; it must have one group, the number: r'blocks\.(\d+)\.'")
    places: dict[str, float] = {}
    for name in names:
        numbered = re.match(block, name)
        if any(re.match(s, name) for s in stem):
            places[name] = -1
        elif numbered:
            places[name] = int(numbered[1])
        else:
            places[name] = float("inf")
    blocks = [p for p in places.values() if 0 <= p < float("inf")]
    if not blocks:
        raise ValueError(f"block is {block!r}, which matches none of {len(places)} names of parameters")
    for name, place in places.items():
        if place == float("inf") and any(re.match(a, name) for a in after):
            places[name] = max(blocks)
    order = sorted(set(places.values()))  # a number that no name has is no layer
    return {name: order.index(place) for name, place in places.items()}


def trained(model: nn.Module) -> list[tuple[str, nn.Parameter]]:
    return [(name, p) for name, p in model.named_parameters() if p.requires_grad]


def matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def layer_rates_by_hand(blocks: int, learning_rate: float, layer_decay: float) -> list[float]:
    """The rates of stem, blocks and head, counted down from the head."""
    rates = [learning_rate]
    for _ in range(blocks + 1):
        rates.insert(0, rates[0] * layer_decay)
    return rates


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    def rates(blocks: int, learning_rate: float, layer_decay: float) -> list[float]:
        model = nn.ModuleDict({"stem": nn.Linear(2, 2, bias=False), "head": nn.Linear(2, 2, bias=False)})
        model["blocks"] = nn.ModuleList(nn.Linear(2, 2, bias=False) for _ in range(blocks))
        made = layer_groups(model, learning_rate, 0.1, ("stem",), r"blocks\.(\d+)\.", layer_decay=layer_decay)
        return sorted(group["lr"] for group in made)

    for blocks in (1, 12):
        yield Twin(f"{blocks} blocks", rates, layer_rates_by_hand, (blocks, 1e-3, 0.75), gradients=False)
