"""The same model in the library that its weights are from, if that is installed, to compare with.

Which of the library's models it is, is found out: of those with a similar name the first whose tensors have
the names and shapes of the file. Nothing named in a file is imported.
"""

import difflib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from fathom.errors import InputError, RunError
from fathom.verbs.layerwise import first_difference
from fathom.verbs.recognising import COUNTED, Match, Undrawn, upstreams

SIDE = 96  # pixels of the picture that both are given: what the largest networks need at least
TRIED = 20  # models of a library whose names are nearest

Maker = Callable[[str, int, int], nn.Module]  # (name, classes, channels)


def check_against_upstream(file: Mapping[str, Tensor], match: Match) -> str:
    """Compare the model of ``match`` with that of a library, layer by layer, both with the weights of a file.

    ``file`` is its state dict. Returns a sentence for the one
    who asked. Raises ``RunError`` with the first layer that differs, and ``InputError`` where no installed
    library has the model.
    """
    if match.upstream not in upstreams(match.entry):
        raise InputError("--check compares with the library that the names are of; these are Fathom's own")
    make = getattr(match.entry.load(), match.size)
    ours = make(weights=file, classes=match.classes, channels=match.channels)
    library, name, theirs = upstream_model(file, match)
    dice = torch.Generator().manual_seed(0)
    image = torch.randn(2, match.channels, SIDE, SIDE, generator=dice)
    found = first_difference(ours, theirs, upstreams(match.entry)[match.upstream], image)
    if found is not None:
        raise RunError(f"{match.size} is not {library}'s {name} with these weights: {found}")
    with torch.no_grad():
        a, b = ours.eval()(image), theirs.eval()(image)
    apart = float((a - b).abs().max())
    return f"every layer agrees with {library}'s {name}; answers differ by {apart:.1e} at most"


def upstream_model(file: Mapping[str, Tensor], match: Match) -> tuple[str, str, nn.Module]:
    """(library, name there, model with the weights of ``file``)."""
    tried: list[str] = []
    for found in upstream_models(file, match, tried):
        return found
    raise InputError(f"nothing to compare a {match.size} with: {'; '.join(tried)}")


def upstream_models(
    file: Mapping[str, Tensor], match: Match, tried: list[str]
) -> Iterator[tuple[str, str, nn.Module]]:
    """The same of each library that has one; ``tried`` tells of those that have none."""
    wanted = measured(file)
    for library, names, make in libraries(tried):
        for name in difflib.get_close_matches(match.size, names, TRIED, 0.4):
            try:
                with torch.device("meta"), Undrawn():
                    same = measured(make(name, match.classes, match.channels).state_dict()) == wanted
            except (RuntimeError, TypeError, ValueError, NotImplementedError):
                continue  # that model takes other settings, and so is not this one
            if same:
                model = make(name, match.classes, match.channels)
                model.load_state_dict(dict(file), strict=False)
                yield library, name, model
                break
        else:
            tried.append(f"{library} has no such model")


def measured(state: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(t.shape) for name, t in state.items() if not name.endswith(COUNTED)}


def libraries(tried: list[str]) -> Iterator[tuple[str, list[str], Maker]]:
    """Each library that works here: its name, its models, how they are made. The others go to ``tried``."""
    for library, open_library in (("torchvision", open_torchvision), ("timm", open_timm)):
        try:
            names, make = open_library()
        except (ImportError, RuntimeError) as error:
            tried.append(f"{library} is not installed or does not work here ({error})")
            continue
        yield library, names, make


def open_torchvision() -> tuple[list[str], Maker]:
    from torchvision import models

    def make(name: str, classes: int, channels: int) -> nn.Module:
        if channels != 3:
            raise ValueError(f"torchvision's models take 3 channels, not {channels}")
        return models.get_model(name, num_classes=classes)

    return models.list_models(module=models), make


def open_timm() -> tuple[list[str], Maker]:
    import timm

    def make(name: str, classes: int, channels: int) -> Any:
        return timm.create_model(name, num_classes=classes, in_chans=channels)

    return timm.list_models(), make
