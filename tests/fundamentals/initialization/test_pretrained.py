"""Loading weights: four fates, each reported; nothing silent; timm's rules for resizing."""

import re

import pytest
import torch
from torch import Tensor, nn

from fathom.fundamentals.initialization.pretrained import (
    load_pretrained,
    load_pretrained_by_hand,
    resize_channels,
    resize_positions,
)


class Net(nn.Module):
    def __init__(self, channels: int = 3, places: int = 9, classes: int = 10, tied: bool = False) -> None:
        super().__init__()
        self.stem = nn.Conv2d(channels, 8, 3)
        self.positions = nn.Parameter(torch.randn(1, 1 + places, 8))
        self.norm = nn.BatchNorm1d(8)
        self.body = nn.Linear(8, 64)
        self.head = nn.Linear(64, classes)
        if tied:
            self.embedding = nn.Embedding(classes, 64)
            self.head.weight = self.embedding.weight


def copy(model: nn.Module) -> dict[str, Tensor]:
    return {n: t.clone() for n, t in model.state_dict().items()}


def same(model: nn.Module, state: dict[str, Tensor]) -> bool:
    own = model.state_dict()
    return set(own) == set(state) and all(torch.equal(own[n], t) for n, t in state.items())


def test_equal_models_are_copied_whole_as_a_strict_load_does() -> None:
    source, model, strict = Net(), Net(), Net()
    report = load_pretrained(model, source.state_dict())
    strict.load_state_dict(source.state_dict(), strict=True)
    assert same(model, copy(source)) and same(model, copy(strict))
    assert report.copied == tuple(source.state_dict()) and report.share == 1
    assert not report.resized and not report.new and not report.left
    assert str(report) == "12 tensors copied (100.0% of the model filled)"
    assert all(p.requires_grad for p in model.parameters())


def test_all_four_fates_are_reported_and_make_up_everything() -> None:
    source, model = Net(), Net(channels=1, places=16, classes=4)
    state = copy(source) | {"teacher.weight": torch.zeros(2)}
    before = copy(model)
    report = load_pretrained(
        model,
        state,
        new=("head",),
        left=("teacher",),
        resize={"stem.weight": resize_channels, "positions": resize_positions(prefix=1)},
        least=0.5,
    )
    assert report.resized == {
        "stem.weight": "(8, 3, 3, 3) -> (8, 1, 3, 3)",
        "positions": "(1, 10, 8) -> (1, 17, 8)",
    }
    assert report.new == {
        "head.weight": "has shape (10, 64), not (4, 64)",
        "head.bias": "has shape (10,), not (4,)",
    }
    assert report.left == ("teacher.weight",)
    own = model.state_dict()
    assert {*report.copied, *report.resized, *report.new} == set(own)
    assert len(report.copied) + len(report.resized) + len(report.new) == len(own)
    filled = sum(own[n].numel() for n in (*report.copied, *report.resized))
    assert report.share == filled / sum(t.numel() for t in own.values())
    assert torch.equal(own["head.weight"], before["head.weight"])
    assert torch.equal(own["body.weight"], state["body.weight"])
    assert torch.allclose(own["stem.weight"], state["stem.weight"].sum(1, keepdim=True))
    for words in (
        "8 tensors copied",
        "resized: positions (1, 10, 8) -> (1, 17, 8), stem.weight (8, 3, 3, 3) -> ",
        "new: head.weight (has",
        "left: teacher.weight",
    ):
        assert words in str(report)


def test_a_plan_that_was_not_needed_copies() -> None:
    source, model = Net(), Net()
    report = load_pretrained(
        model, source.state_dict(), new=("head",), left=("gone",), resize={"stem.weight": resize_channels}
    )
    assert len(report.copied) == 12 and not report.resized and not report.new
    assert same(model, copy(source))


def test_what_is_not_allowed_for_is_refused_by_name_and_changes_nothing() -> None:
    model = Net()
    before = copy(model)
    good = copy(Net())
    missing = {n: t for n, t in good.items() if n != "body.bias"}
    cases = (
        (missing, {}, "body.bias is missing"),
        (good | {"extra": torch.zeros(1)}, {}, "extra is in state, and the model has no such tensor"),
        (good | {"body.bias": torch.zeros(3)}, {}, "body.bias has shape (3,), not (64,)"),
        (good | {"body.bias": torch.zeros(64).long()}, {}, "body.bias has dtype torch.int64, not"),
        (good, {"new": ("haed",)}, "new names 'haed', and no tensor of the model begins so"),
        (good, {"new": ("hea",)}, "new names 'hea'"),  # a beginning ends at a dot
        (good, {"resize": {"stam": resize_channels}}, "resize names 'stam'"),
        (good | {"stem.weight": torch.zeros(8, 5, 3, 3)}, {"resize": {"stem": lambda t, s: t}},
         "stem.weight was resized to (8, 5, 3, 3), not (8, 3, 3, 3)"),
        (good | {"positions": torch.zeros(1, 8, 8)}, {"resize": {"positions": resize_positions(1)}},
         "positions cannot be resized: 8 rows less prefix 1 make no square of places"),
        (good, {"left": "head"}, "left is 'head', one text; it must be a sequence of names"),
        ({f"module.{n}": t for n, t in good.items()}, {}, "and 19 more"),
        (good | {"epoch": 3}, {}, "state holds 'epoch', of type int; it must map names to tensors"),
        (good | {"body.bias": torch.zeros(64, device="meta")}, {}, "holds 'body.bias' on the meta"),
        (good, {"least": 1.5}, "least is 1.5; it must be a share in [0, 1]"),
        ({n: t for n, t in good.items() if "body" not in n}, {"new": ("body",)}, "less than least = 90.0%"),
    )  # fmt: skip
    for state, plan, words in cases:
        with pytest.raises(ValueError, match=re.escape(words)):
            load_pretrained(model, state, **plan)
        assert same(model, before)
    with pytest.raises(ValueError, match="the model holds 'weight' on the meta device"):
        load_pretrained(nn.Linear(2, 2, device="meta"), nn.Linear(2, 2).state_dict())


def test_a_wrong_checkpoint_fails_loudly_even_when_everything_is_allowed() -> None:
    other = {f"encoder.{n}": t for n, t in copy(Net()).items()}
    every = tuple({n.split(".")[0] for n in copy(Net())})
    with pytest.raises(ValueError, match=r"these weights fill 0\.0% of the model, less than least"):
        load_pretrained(Net(), other, new=every, left=("encoder",))
    report = load_pretrained(Net(), other, new=every, left=("encoder",), least=0.0)  # told so
    assert report.share == 0 and not report.copied and len(report.new) == len(report.left) == 12


def test_names_that_share_one_tensor() -> None:
    source, model = Net(tied=True), Net(tied=True)
    state = copy(source)
    del state["head.weight"]  # as in a .safetensors file
    report = load_pretrained(model, state)
    assert {"head.weight", "embedding.weight"} <= set(report.copied) and same(model, copy(source))
    assert model.head.weight is model.embedding.weight
    with pytest.raises(
        ValueError, match=r"embedding.weight and head.weight are one tensor in the model, and differ"
    ):
        load_pretrained(Net(tied=True), copy(source) | {"embedding.weight": torch.zeros(10, 64)})
    with pytest.raises(ValueError, match="are one tensor in the model, and differ in state"):
        load_pretrained(Net(tied=True), copy(source) | {"head.weight": copy(source)["head.weight"].double()})


def test_other_precisions_are_converted() -> None:
    source, model = Net(), Net()
    load_pretrained(model, {n: t.half() if t.is_floating_point() else t for n, t in copy(source).items()})
    assert model.body.weight.dtype == torch.float32
    assert torch.equal(model.body.weight, source.body.weight.half().float())
    half = Net().bfloat16()
    load_pretrained(half, source.state_dict())
    assert torch.equal(half.body.weight, source.body.weight.bfloat16())


def test_an_empty_model_and_empty_tensors() -> None:
    assert load_pretrained(nn.ReLU(), {}).share == 1
    model = nn.Module()
    for name in ("one", "other"):  # empty tensors may lie at one address, and are not shared for that
        model.register_buffer(name, torch.zeros(3, 0))
    report = load_pretrained(model, {"one": torch.zeros(3, 0), "other": torch.zeros(3, 0)})
    assert report.copied == ("one", "other") and report.share == 1


def test_loads_by_hand_give_the_same() -> None:
    source, model = copy(Net(classes=7)), Net()
    right = load_pretrained_by_hand(copy(model), source)
    load_pretrained(model, source, new=("head",), least=0.1)
    assert same(model, right)


def test_channels_are_resized_so_that_outputs_keep_their_size() -> None:
    weight = torch.randn(5, 3, 3, 3, dtype=torch.float64)
    grey = torch.randn(2, 1, 6, 6, dtype=torch.float64)
    conv = nn.functional.conv2d
    one = resize_channels(weight, torch.Size((5, 1, 3, 3)))
    assert torch.allclose(conv(grey, one), conv(grey.expand(-1, 3, -1, -1), weight), atol=1e-12)
    six = resize_channels(weight, torch.Size((5, 6, 3, 3)))
    assert torch.allclose(
        conv(grey.expand(-1, 6, -1, -1), six), conv(grey.expand(-1, 3, -1, -1), weight), atol=1e-12
    )
    for shape in ((4, 1, 3, 3), (5, 1, 3), (5, 1, 3, 5)):
        with pytest.raises(ValueError, match="only the second axis may differ"):
            resize_channels(weight, torch.Size(shape))


def test_positions_are_stretched_like_a_picture() -> None:
    table = torch.randn(1, 2 + 16, 4)
    assert torch.equal(resize_positions(2)(table, torch.Size((1, 18, 4)))[:, :2], table[:, :2])
    flat = torch.ones(1, 9, 4)
    assert torch.allclose(resize_positions()(flat, torch.Size((1, 25, 4))), torch.ones(1, 25, 4), atol=1e-6)
    assert resize_positions()(flat.half(), torch.Size((1, 4, 4))).dtype == torch.float16
    with pytest.raises(ValueError, match="prefix is -1; it must be 0 or more"):
        resize_positions(-1)
    for rows in (10, 0):
        with pytest.raises(ValueError, match=f"{rows} rows less prefix 0 make no square of places"):
            resize_positions()(flat, torch.Size((1, rows, 4)))
    with pytest.raises(ValueError, match="only the second axis may differ"):
        resize_positions()(flat, torch.Size((1, 9, 5)))


@pytest.mark.slow
def test_rules_are_timms_and_a_timm_model_loads_into_a_smaller_one() -> None:
    import timm
    from timm.layers import resample_abs_pos_embed
    from timm.models import adapt_input_conv

    weight = torch.randn(6, 3, 3, 3)
    for channels in (1, 2, 3, 4, 6, 7):
        ours = resize_channels(weight, torch.Size((6, channels, 3, 3)))
        assert torch.allclose(ours, adapt_input_conv(channels, weight), rtol=0, atol=1e-6)
    table = torch.randn(1, 1 + 49, 8)
    for side in (4, 7, 10):
        ours = resize_positions(1)(table, torch.Size((1, 1 + side * side, 8)))
        assert torch.allclose(ours, resample_abs_pos_embed(table, [side, side]), rtol=0, atol=1e-6)

    source = timm.create_model("vit_tiny_patch16_224", pretrained=False, img_size=64)
    model = timm.create_model(
        "vit_tiny_patch16_224", pretrained=False, img_size=96, in_chans=1, num_classes=5
    )
    report = load_pretrained(
        model,
        source.state_dict(),
        new=("head",),
        resize={"patch_embed.proj.weight": resize_channels, "pos_embed": resize_positions(1)},
    )
    assert set(report.resized) == {"patch_embed.proj.weight", "pos_embed"}
    assert set(report.new) == {"head.weight", "head.bias"} and report.share > 0.99
    assert len(report.copied) + 4 == len(model.state_dict()) and not report.left
    with pytest.raises(ValueError, match=r"head\.weight has shape"):
        load_pretrained(model, source.state_dict())
