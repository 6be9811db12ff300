"""Parameter groups against timm's, group by group: timm's ViT, transformers' BERT, and small ones alike."""

from typing import Any

import pytest
import torch
from torch import nn

from fathom.fundamentals.optimizers.adamw import adamw
from fathom.fundamentals.optimizers.parameter_groups import decay_groups, layer_groups, layers


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.attention = nn.LayerNorm(8), nn.Linear(8, 24)
        self.norm2, self.mlp = nn.LayerNorm(8), nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 8))


class ViT(nn.Module):
    """The names of timm's vision transformer."""

    def __init__(self, depth: int = 12) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, 8))
        self.pos_embed = nn.Parameter(torch.zeros(1, 5, 8))
        self.patch_embed = nn.Conv2d(3, 8, 4)
        self.blocks = nn.ModuleList(Block() for _ in range(depth))
        self.norm, self.head = nn.LayerNorm(8), nn.Linear(8, 10)

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        return {
            "stem": r"^cls_token|pos_embed|patch_embed",
            "blocks": [(r"^blocks\.(\d+)", None), (r"^norm", (99999,))],
        }


class BERT(nn.Module):
    """The names of the usual BERT: embeddings, encoder.layer.i, pooler and classifier."""

    def __init__(self, depth: int = 3) -> None:
        super().__init__()
        self.embeddings = nn.ModuleDict({
            "word_embeddings": nn.Embedding(20, 8), "position_embeddings": nn.Embedding(9, 8),
            "LayerNorm": nn.LayerNorm(8),
        })  # fmt: skip
        self.encoder = nn.ModuleDict({"layer": nn.ModuleList(Block() for _ in range(depth))})
        self.pooler, self.classifier = nn.Linear(8, 8), nn.Linear(8, 2)

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        return {"stem": r"^embeddings", "blocks": r"^encoder\.layer\.(\d+)"}


KINDS: dict[str, tuple[type[nn.Module], dict[str, Any], tuple[str, ...]]] = {
    "vit": (
        ViT,
        {"stem": ("cls_token", "pos_embed", "patch_embed"), "block": r"blocks\.(\d+)\.", "after": ("norm",)},
        ("pos_embed", "cls_token"),
    ),
    "bert": (
        BERT,
        {"stem": ("embeddings",), "block": r"encoder\.layer\.(\d+)\."},
        ("embeddings.position_embeddings.*",),
    ),
}


def frozen(model: nn.Module) -> nn.Module:
    """The model with a layer that is not trained."""
    for name, p in model.named_parameters():
        p.requires_grad_("norm1" not in name)
    return model


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layer_decay", [0.75, 0.5, 1.0])
def test_groups_by_layer_are_those_of_timm(kind: str, layer_decay: float) -> None:
    from timm.optim import param_groups_layer_decay

    make, named, spared = KINDS[kind]
    for model in (make(), frozen(make())):
        for smallest in (0.0, 0.2):
            theirs = param_groups_layer_decay(
                model, 0.05, no_weight_decay_list=spared, layer_decay=layer_decay, min_scale=smallest
            )
            ours = layer_groups(
                model, 1.0, 0.05, layer_decay=layer_decay, no_decay=spared, smallest=smallest, **named
            )
            assert len(ours) == len(theirs)
            for a, b in zip(ours, theirs, strict=True):
                assert (a["lr"], a["weight_decay"]) == (b["lr_scale"], b["weight_decay"])
                assert [id(p) for p in a["params"]] == [id(p) for p in b["params"]]


def the_real(kind: str) -> tuple[nn.Module, tuple[str, ...]]:
    """ViT-Tiny of timm or BERT of transformers, with random weights; and what its authors do not decay."""
    if kind == "vit":
        import timm

        model: Any = timm.create_model("vit_tiny_patch16_224", pretrained=False, num_classes=7)
        return model, tuple(model.no_weight_decay())
    from transformers import BertConfig, BertForSequenceClassification

    sizes = {"hidden_size": 16, "num_hidden_layers": 12, "num_attention_heads": 2, "intermediate_size": 32}
    model = BertForSequenceClassification(BertConfig(vocab_size=40, **sizes))
    model.group_matcher = lambda coarse=False: {  # type: ignore[assignment]
        "stem": r"^bert\.embeddings", "blocks": r"^bert\.encoder\.layer\.(\d+)",
    }  # fmt: skip
    return model, ("bert.embeddings.position_embeddings.*",)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "named"),
    [
        ("vit", KINDS["vit"][1]),
        ("bert", {"stem": (r"bert\.embeddings",), "block": r"bert\.encoder\.layer\.(\d+)\."}),
    ],
)
def test_rates_of_the_real_models_are_those_of_timm(kind: str, named: dict[str, Any]) -> None:
    """Membership, rate and decay of every group, and the rates that an optimizer then holds."""
    from timm.optim import param_groups_layer_decay

    model, spared = the_real(kind)
    for layer_decay in (0.65, 0.9):
        theirs = param_groups_layer_decay(model, 0.05, no_weight_decay_list=spared, layer_decay=layer_decay)
        ours = layer_groups(model, 1e-3, 0.05, layer_decay=layer_decay, no_decay=spared, **named)
        assert [[id(p) for p in g["params"]] for g in ours] == [[id(p) for p in g["params"]] for g in theirs]
        assert [g["lr"] for g in ours] == [1e-3 * g["lr_scale"] for g in theirs]
        assert [g["weight_decay"] for g in ours] == [g["weight_decay"] for g in theirs]
        rates = {group["lr"] for group in adamw(ours).param_groups}
        assert rates == {1e-3 * layer_decay**n for n in range(14)}  # head, 12 blocks, stem


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("weight_decay", [0.05, 0.0])
def test_groups_by_decay_are_those_of_timm(kind: str, weight_decay: float) -> None:
    from timm.optim import param_groups_weight_decay

    make, _, spared = KINDS[kind]
    for model in (make(), frozen(make())):
        theirs = param_groups_weight_decay(model, weight_decay, no_weight_decay_list=spared)
        ours = decay_groups(model, weight_decay, spared)
        assert [g["weight_decay"] for g in ours] == [g["weight_decay"] for g in theirs]
        assert [[id(p) for p in g["params"]] for g in ours] == [[id(p) for p in g["params"]] for g in theirs]


def test_rates_fall_from_head_to_stem() -> None:
    model = ViT(depth=2)
    _, named, spared = KINDS["vit"]
    groups = layer_groups(model, 1e-3, 0.1, layer_decay=0.5, no_decay=spared, **named)
    rate = {id(p): g["lr"] for g in groups for p in g["params"]}
    decay = {id(p): g["weight_decay"] for g in groups for p in g["params"]}
    assert len(rate) == len(list(model.parameters()))
    by_name = dict(model.named_parameters())
    expected = {
        "cls_token": 1.25e-4, "patch_embed.weight": 1.25e-4, "blocks.0.mlp.0.weight": 2.5e-4,
        "blocks.1.attention.bias": 5e-4, "norm.weight": 5e-4, "head.weight": 1e-3,
    }  # fmt: skip
    for name, value in expected.items():
        assert rate[id(by_name[name])] == pytest.approx(value)
    spared_names = {n for n, p in model.named_parameters() if decay[id(p)] == 0}
    assert {"pos_embed", "cls_token", "norm.weight", "head.bias"} <= spared_names
    assert "head.weight" not in spared_names and "patch_embed.weight" not in spared_names


def test_an_optimizer_takes_the_groups() -> None:
    _, named, _ = KINDS["bert"]
    optimizer = adamw(layer_groups(BERT(), 1e-3, 0.1, **named))
    assert {g["weight_decay"] for g in optimizer.param_groups} == {0.0, 0.1}
    assert max(g["lr"] for g in optimizer.param_groups) == 1e-3


def test_layers_are_counted_without_gaps() -> None:
    names = ["stem.w", "blocks.3.w", "blocks.10.w", "norm.w", "head.w", "blocks.4.w"]
    found = layers(names, ("stem",), r"blocks\.(\d+)\.", ("norm",))
    assert found == {
        "stem.w": 0, "blocks.3.w": 1, "blocks.4.w": 2, "blocks.10.w": 3, "norm.w": 3, "head.w": 4
    }  # fmt: skip
    assert layers(["blocks.0.w"], (), r"blocks\.(\d+)\.") == {"blocks.0.w": 0}


def test_bad_input_is_refused() -> None:
    model, named = ViT(2), KINDS["vit"][1]
    for layer_decay in (0.0, 1.5, -0.5):
        with pytest.raises(ValueError, match=rf"layer_decay is {layer_decay}; it must be in \(0, 1\]"):
            layer_groups(model, 1e-3, 0.1, layer_decay=layer_decay, **named)
    with pytest.raises(ValueError, match=r"learning_rate is 0.0; it must be positive"):
        layer_groups(model, 0.0, 0.1, **named)
    with pytest.raises(ValueError, match=r"weight_decay is -0.1; it must be 0 or more"):
        decay_groups(model, -0.1)
    with pytest.raises(ValueError, match=r"smallest is -1.0; it must be 0 or more"):
        layer_groups(model, 1e-3, 0.1, smallest=-1.0, **named)
    with pytest.raises(ValueError, match="must have one group, the number"):
        layers(["blocks.0.w"], (), r"blocks\.\d+\.")
    with pytest.raises(ValueError, match="matches none of 1 names"):
        layers(["head.w"], (), r"blocks\.(\d+)\.")
