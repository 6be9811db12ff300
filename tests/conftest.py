"""Every test starts from the same dice, on one thread, with a home of its own."""

import importlib.util
import os
from pathlib import Path

import pytest
import torch

NEIGHBOUR = Path(__file__).parents[2] / "shared" / "data"
if "FATHOM_DATA" not in os.environ and NEIGHBOUR.is_dir():
    os.environ["FATHOM_DATA"] = str(NEIGHBOUR)

# The index serves torchvision with compiled operators that need CUDA. Beside a CPU build of torch they do not
# load, and its import fails where it registers stand-ins for two of them. Their declarations are enough for
# all that is pure Python in it, which is what tests compare with.
if torch.version.cuda is None and importlib.util.find_spec("torchvision"):
    DECLARED = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        DECLARED.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

# The parity tests of systems and primitives are many, and each imports what it compares with. They run in
# `make test`, or by the name of their file.
HERE = Path(__file__).parent
PARITY = (
    "adaptation", "applications", "architectures", "fundamentals", "generative", "multimodal",
    "reinforcement", "selfsupervised",
)  # fmt: skip

# Files that train, kill or resume in nearly every test, a second or two each: in `make test` too.
LONG = (
    "claims/test_one_pipeline_everywhere.py", "claims/test_packed_rows_teach_more.py",
    "claims/test_three_models_of_one_text.py", "data/test_composed.py", "data/test_documents.py",
    "data/test_odd_folders.py", "deployment/chat/test_talker.py",
    "deployment/chat/test_template.py", "deployment/serve/test_chat_app.py",
    "deployment/serve/test_fuzz.py", "deployment/test_preprocessing.py", "learn/test_new_topic.py",
    "learn/test_topics.py", "learn/test_web_gate.py", "learn/test_web_pages.py",
    "learn/test_web_server.py", "learn/test_web_stages.py", "learn/test_worker.py",
    "recipes/test_cifar10_families.py", "recipes/test_llama.py", "recipes/test_seq2seq_recipes.py",
    "report/test_charts.py", "report/test_dead_units.py", "report/test_intervals.py",
    "tasks/test_detection.py", "tasks/test_image_generation.py", "tasks/test_language_modelling.py",
    "tasks/test_masked_language_modelling.py", "tasks/test_sequence_to_sequence.py",
    "training/test_balancing.py", "training/test_checkpoint_corruption.py",
    "training/test_checkpoint_faults.py", "training/test_custom_objective.py",
    "training/test_layer_rates.py", "training/test_optimizer_choice.py",
    "training/test_plateau_schedule.py", "training/test_schedules.py", "training/test_sessions.py",
    "training/test_two_gradients.py", "training/test_unfreezing.py",
    "training/test_weight_files.py", "verbs/test_calibrate.py", "verbs/test_embed.py",
    "verbs/test_gradcheck.py", "verbs/test_importing.py", "verbs/test_layerwise.py",
    "verbs/test_live_module.py", "verbs/test_own_loss.py", "verbs/test_recognising.py",
    "verbs/test_review.py", "verbs/test_transfer.py",
)  # fmt: skip


def takes_long(file: Path) -> bool:
    """Whether ``make check`` leaves ``file`` to ``make test``."""
    near = file.relative_to(HERE)
    if near.as_posix() in LONG:
        return True
    return near.parts[0] in PARITY and near.name.startswith("test_")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Where none of them is to run, they need not be imported to find that out."""
    unwanted = "not slow" in (config.getoption("markexpr") or "") and collection_path.is_relative_to(HERE)
    return True if unwanted and collection_path.is_file() and takes_long(collection_path) else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE) and takes_long(item.path):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(autouse=True)
def deterministic() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
