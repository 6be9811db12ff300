"""Every published size is known by the names and shapes of every library that has it, without any numbers."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fathom.errors import InputError
from fathom.training import weights
from fathom.training.weights import upstream_state
from fathom.verbs.recognising import Undrawn, build, recognise, sizes, upstreams

Shapes = dict[str, Tensor]

ELSEWHERE = {
    "resnext50": "resnext50_32x4d", "resnext101": "resnext101_32x8d", "wide_resnet50": "wide_resnet50_2",
    "wide_resnet101": "wide_resnet101_2",
}  # fmt: skip
ONLY_IN_KERAS = ("mlp128",)
NOT_IN_TORCHVISION = tuple(f"efficientnet_lite{i}" for i in range(5))
NOT_IN_TIMM = ("alexnet", "googlenet")
ONLY_HERE = ("lenet5",)
PUBLISHED = [size for size in sizes() if size not in ONLY_HERE]


def without_memory(make: Callable[[], nn.Module]) -> Shapes:
    with torch.device("meta"), Undrawn():
        return make().state_dict()


def of_torchvision(size: str, classes: int) -> Shapes:
    from torchvision import models

    name = ELSEWHERE.get(size, size)
    extra: dict[str, Any] = {"init_weights": False} if size in ("googlenet", "inception_v3") else {}
    return without_memory(lambda: models.get_model(name, num_classes=classes, **extra))


def of_timm(size: str, classes: int, channels: int) -> Shapes:
    import timm

    name = ELSEWHERE.get(size, size)
    extra = {"aux_logits": True} if size == "inception_v3" else {}
    return without_memory(
        lambda: timm.create_model(name, num_classes=classes, in_chans=channels, **extra)  # type: ignore[arg-type]
    )


def assert_recognised(state: Shapes, size: str, upstream: str, classes: int, channels: int = 3) -> None:
    match = recognise(state)
    assert match is not None and match.fits, match
    assert (match.size, match.classes, match.channels) == (size, classes, channels)
    assert match.upstream == upstream
    assert sum(match.rules.values()) == len(state) == len(match.names)


@pytest.mark.slow
@pytest.mark.parametrize("size", [s for s in PUBLISHED if s not in (*NOT_IN_TORCHVISION, *ONLY_IN_KERAS)])
def test_torchvision_is_known_by_its_names(size: str) -> None:
    assert_recognised(of_torchvision(size, 11), size, "torchvision", 11)


@pytest.mark.slow
@pytest.mark.parametrize("size", [s for s in PUBLISHED if s not in (*NOT_IN_TIMM, *ONLY_IN_KERAS)])
def test_timm_is_known_by_its_names(size: str) -> None:
    """Where it took over torchvision's names, by those; grey pictures too."""
    timm = "timm" if "timm" in upstreams(sizes()[size]) else "torchvision"
    assert_recognised(of_timm(size, 7, 1), size, timm, 7, 1)


@pytest.mark.slow
@pytest.mark.parametrize("size", ["efficientnet_b7", "efficientnet_lite3", "densenet169"])
def test_further_names_of_the_same_models_are_known(size: str) -> None:
    """Blocks that are counted through all stages; torchvision's files of 2017."""
    upstream = {"densenet169": "torchvision of 2017"}.get(size, "efficientnet-pytorch")
    with torch.device("meta"):
        state = upstream_state(build(size, 5), upstreams(sizes()[size])[upstream])
    numbers = [(i, j) for i, d in enumerate(getattr(build(size).cfg, "stage_depths", ())) for j in range(d)]
    for through, (i, j) in reversed(list(enumerate(numbers))):
        state = {n.replace(f"_blocks.{i}.{j}.", f"_blocks.{through}#"): t for n, t in state.items()}
    state = {n.replace("#", "."): t for n, t in state.items()}
    assert_recognised(state, size, upstream, 5)


@pytest.mark.slow
def test_a_damaged_file_of_a_deep_size_is_told_from_another_thing() -> None:
    """Most of its names are past those that the usual size has; the match says what is wrong."""
    with torch.device("meta"):
        state = upstream_state(build("efficientnet_b7"), upstreams(sizes()["efficientnet_b7"])["torchvision"])
    state.pop("features.5.3.block.0.1.bias")
    match = recognise(state)
    assert match is not None and match.size == "efficientnet_b7" and not match.fits
    assert match.missing == ("body.stage_5.3.expand.norm.bias",)
    assert recognise({"encoder.a": torch.zeros(1)}) is None


@pytest.mark.parametrize("size", ["googlenet", "inception_v3"])
def test_a_file_may_be_without_heads_on_the_way_but_not_without_half_of_them(size: str) -> None:
    state = of_torchvision(size, 1000)
    whole = {n: t for n, t in state.items() if not n.startswith(("aux", "Aux"))}
    assert len(whole) < len(state)
    assert_recognised(whole, size, "torchvision", 1000)
    last = next(n for n in reversed(state) if n.startswith(("aux", "Aux")))
    broken = recognise({n: t for n, t in state.items() if n != last})
    assert broken is not None and len(broken.missing) == 1 and not broken.fits


def published_by_torchvision() -> Iterator[Any]:
    from torchvision import models

    for name in models.list_models(module=models):
        yield from models.get_model_weights(name)


@pytest.mark.slow
def test_published_files_are_told_as_torchvision_tells_them() -> None:
    """Address, size, accuracy, preparation of pictures: of every file but the one without a head."""
    theirs = {w.url: w for w in published_by_torchvision()}
    seen = set()
    for entry in {e.name: e for e in sizes().values()}.values():
        for size, named in getattr(entry.load(), "WEIGHTS", {}).items():
            for name, facts in named.items():
                if facts["upstream"] != "torchvision":
                    continue
                weights, how = theirs[facts["address"]], theirs[facts["address"]].transforms()
                seen.add((size, name))
                assert weights.name == name and weights.url.endswith(f"-{facts['sha256']}.pth")
                assert facts["mebibytes"] == weights.meta["_file_size"]
                accuracy = weights.meta["_metrics"]["ImageNet-1K"]
                assert facts["accuracy"] == {"top-1": accuracy["acc@1"], "top-5": accuracy["acc@5"]}
                assert facts["preprocessing"] == {
                    "resize": how.resize_size[0], "crop": how.crop_size[0],
                    "interpolation": how.interpolation.value,
                    "mean": tuple(how.mean), "deviation": tuple(how.std),
                }  # fmt: skip
    of_torchvision_all = {
        (s, w.name) for s in PUBLISHED if s not in NOT_IN_TORCHVISION
        for w in theirs.values() if type(w).__name__.lower() == f"{ELSEWHERE.get(s, s)}_weights"
    }  # fmt: skip
    assert of_torchvision_all - seen == {("vgg16", "IMAGENET1K_FEATURES")} and len(seen) == 40


@pytest.mark.parametrize("size", ["googlenet", "inception_v3"])
def test_published_weights_turn_imagenet_pictures_to_those_that_they_know(size: str) -> None:
    """As torchvision does with its own weights, and with nobody else's."""
    module = sizes()[size].load()
    state = upstream_state(build(size), module.UPSTREAMS["torchvision"])
    facts = module.WEIGHTS[size]["IMAGENET1K_V1"]
    found = weights.told_by(facts, state)
    needed = weights.needed(found, upstreams=module.UPSTREAMS, needs={}, published=module.WEIGHTS[size])
    assert needed == {"transform_input": True}
    bare = weights.Weights(state)
    assert weights.needed(bare, upstreams=module.UPSTREAMS, needs={}, published=module.WEIGHTS[size]) == {}


def test_a_state_that_two_sizes_fit_is_left_to_its_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    with torch.device("meta"):
        state = upstream_state(build("alexnet"), upstreams(sizes()["alexnet"])["torchvision"])
    from fathom.verbs import recognising

    monkeypatch.setattr(recognising, "owned", lambda system: ["alexnet", "alexnet"])
    with pytest.raises(InputError, match="fit alexnet and alexnet alike; say which with --as"):
        recognise(state)
