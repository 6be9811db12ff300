"""A folder of weights as transformers saves them: in one file, or in shards with an index."""

import json
from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor


def write_weights(folder: Path, state: Mapping[str, Tensor], shards: int) -> None:
    """``state`` into ``shards`` files, with an index where there are several."""
    if shards == 1:
        save_file(dict(state), folder / "model.safetensors", {"format": "pt"})
        return
    places: dict[str, str] = {}
    for number in range(shards):
        file = f"model-{number + 1:05}-of-{shards:05}.safetensors"
        inside = {name: state[name] for name in sorted(state)[number::shards]}
        save_file(inside, folder / file, {"format": "pt"})
        places |= dict.fromkeys(inside, file)
    index = json.dumps({"metadata": {}, "weight_map": places})
    (folder / "model.safetensors.index.json").write_text(index)
