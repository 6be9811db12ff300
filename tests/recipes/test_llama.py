"""The recipes for LLaMA: what is trained is what writes, and the variant differs in the window alone."""

import pytest
import torch

from fathom import catalog
from fathom.recipes.llama import llama_shakespeare, llama_shakespeare_unwindowed
from fathom.settings import diff
from fathom.training.objectives import IGNORE


def test_the_variant_differs_in_the_window_and_what_is_carried() -> None:
    changed = diff(llama_shakespeare(), llama_shakespeare_unwindowed())
    assert changed["model.window"] == (48, None)
    assert all(name.startswith(("model.window", "task.states", "expect")) for name in changed)


def test_the_task_carries_what_the_model_does() -> None:
    for name in ("llama_shakespeare", "llama_shakespeare_unwindowed"):
        experiment = catalog.recipe(name).load()()
        assert catalog.recipe(name).system == "llama"
        assert experiment.task.states == experiment.model.states
        assert len(experiment.task.vocabulary) == experiment.model.vocabulary == 65


@pytest.mark.slow
def test_text_beyond_the_context_is_scored_as_in_training() -> None:
    """Step by step, the window rolling, each place gets the scores that one long window gives it."""
    experiment = llama_shakespeare()
    model = experiment.build().eval()
    valid = experiment.data.load().valid
    assert valid is not None
    token, target = valid.rows(torch.arange(3))
    assert not target.eq(IGNORE).any()
    text = token.flatten()[None]  # 384 characters, three times the context
    states = [torch.zeros(1, *shape) for _, shape in experiment.task.states]  # type: ignore[attr-defined]
    with torch.no_grad():
        whole = model(text)[0]
        for place in range(text.shape[1]):
            scores, *states = model(text[:, place], *states)
            torch.testing.assert_close(scores[0], whole[place], rtol=1e-4, atol=1e-5)
