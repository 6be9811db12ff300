r"""Choose where the gates begin.

A net has `layers` highway layers, one behind the other. The weights of its gates begin at 0, so that at first
every gate is $T = \operatorname{sigmoid}(b)$, and each layer carries a share of $1 - T$ of its input on.

Return the bias $b$ with which all the layers together carry a share of `kept` straight on. `kept` lies
between 0 and 1.
"""

import math

from fathom.learn.engine.grade import Answer, Fail, described

HINTS = (
    "Which share must one layer carry on, so that the product over all layers is kept?",
    "The share of one layer is a root: kept ** (1 / layers). The gate T is 1 minus that.",
    "sigmoid(b) = T means b = log(T / (1 - T)), with the natural logarithm.",
)
PASSED = "With 20 layers and a half to be kept it is about -3.3: near the -2 and -3 that people use."


def starter(layers: int, kept: float) -> float:
    """The bias of all gates with which a share of kept comes straight through so many layers."""
    raise NotImplementedError


def solution(layers: int, kept: float) -> float:
    """The bias of all gates with which a share of kept comes straight through so many layers."""
    carried = kept ** (1 / layers)
    return math.log((1 - carried) / carried)


def bias_for(carried: float) -> float:
    """The bias with which one layer carries this share on; for the twins."""
    return math.log((1 - carried) / carried)


def wrong_no_bias(layers: int, kept: float) -> float:
    """A bias of 0 opens every gate half. Of the input each layer then loses half."""
    return 0.0


def wrong_sign(layers: int, kept: float) -> float:
    """The sign is turned: a positive bias opens the gates, and the input is lost.

    It must be negative to keep them nearly closed.
    """
    return -solution(layers, kept)


def wrong_one_layer(layers: int, kept: float) -> float:
    """That would be right for a single layer. What each layer carries on is multiplied over all of them."""
    return bias_for(kept)


def wrong_shared_out(layers: int, kept: float) -> float:
    """You shared the loss out equally among the layers. Shares are multiplied, not added: take a root."""
    return bias_for(1 - (1 - kept) / layers)


def wrong_divided(layers: int, kept: float) -> float:
    """You divided what is kept by the number of layers. Take the root of that degree instead."""
    return bias_for(kept / layers)


def wrong_gate_itself(layers: int, kept: float) -> float:
    """You returned the gate T. The bias is the number whose sigmoid is T."""
    return 1 - kept ** (1 / layers)


def wrong_logarithm_of_gate(layers: int, kept: float) -> float:
    """You took the logarithm of T. The sigmoid is undone by log(T / (1 - T))."""
    return math.log(1 - kept ** (1 / layers))


def wrong_other_base(layers: int, kept: float) -> float:
    """You took the logarithm to the base 10. The sigmoid holds e, so take the natural one."""
    return solution(layers, kept) / math.log(10)


def case(seed: int) -> tuple[int, float]:
    return 20 + seed, 0.4


def settings(seed: int) -> list[tuple[int, float]]:
    return [(layers + seed, kept) for layers in (1, 3, 20, 56) for kept in (0.1, 0.4, 0.9)]


def observe(answer: Answer, seed: int) -> list[float]:
    """The answers for some nets."""
    return [float(answer(*given)) for given in settings(seed)]


def check_number(answer: Answer, seed: int) -> None:
    found = answer(*case(seed))
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise Fail(f"Return a number; yours is {described(found)}")


def check_kept(answer: Answer, seed: int) -> None:
    for layers, kept in settings(seed):
        found, wanted = answer(layers, kept), solution(layers, kept)
        if not math.isclose(found, wanted, rel_tol=1e-6, abs_tol=1e-9):
            through = (1 / (1 + math.exp(min(found, 700.0)))) ** layers
            raise Fail(
                f"{layers} layers shall keep {kept}; with your bias of {found:.4f} they keep {through:.4g}."
            )
