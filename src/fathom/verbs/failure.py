"""When a run fails because numbers went wrong: where it began, and a capsule that replays the step."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fathom.errors import RunError

if TYPE_CHECKING:
    from fathom.training.learner import GradientLearner
    from fathom.verbs.session import Session


def explain(error: RunError, session: "Session", learner: Any, folder: Any) -> RunError:
    """``error`` with a cause. For a loss that is not finite: layer, operation, batch and the way back."""
    from fathom.training.guard import NonFinite
    from fathom.training.learner import GradientLearner

    if not isinstance(error, NonFinite):
        return error
    steps = folder.steps()
    good = f"the last good state is step {steps[-1]}" if steps else "there is no earlier checkpoint"
    where, origin = "", None
    if isinstance(learner, GradientLearner):
        origin = find_origin(session, learner, error.step, error.batch)
        where = f"; it began with {origin}" if origin else "; the step is finite when it is made again"
        capsule = pack(session, learner, error.step, error.batch, str(origin))
        good += f"; the step is kept in {capsule}"
    return RunError(f"{error}{where}; {good}. Try a lower learning rate, clip_norm, or precision fp32")


def find_origin(session: "Session", learner: "GradientLearner", step: int, batch: Any) -> Any:
    """Make the step again with its own random numbers, watched."""
    from fathom.training.guard import locate
    from fathom.training.randomness import seed_step

    def again() -> Any:
        seed_step(session.experiment.seed, step, learner.parallel.rank)
        with learner.arithmetic.autocast():
            loss, _ = learner.objective(learner.raw, batch)
        return loss

    return locate(learner.raw, again, batch)


def pack(session: "Session", learner: "GradientLearner", step: int, batch: Any, origin: str) -> Path:
    """Keep batch and weights of the failing step: with run.json they replay it on any machine."""
    import torch
    from safetensors.torch import save_file
    from torch.utils._pytree import tree_leaves

    own = "" if learner.parallel.leads else f"-rank-{learner.parallel.rank}"
    capsule = session.run.folder / f"capsule-step-{step}{own}"
    capsule.mkdir(exist_ok=True)
    columns = [c for c in tree_leaves(batch) if isinstance(c, torch.Tensor)]
    save_file(
        {f"batch.{i}": c.detach().cpu().clone().contiguous() for i, c in enumerate(columns)},
        capsule / "batch.safetensors",
    )
    weights = {n: t.detach().cpu().clone().contiguous() for n, t in learner.raw.state_dict().items()}
    save_file(weights, capsule / "weights.safetensors")
    facts = {"step": step, "seed": session.experiment.seed, "origin": origin}
    (capsule / "capsule.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")
    return capsule
