"""A text that is longer than the network reads: it is cut, and the answer says so.

A task lists the operation that cuts a text twice. The second row is longer and no input of the network; from
it the answer tells how long the text was. Artifacts of before have no such row, and say nothing.
"""

from collections.abc import Mapping
from typing import Any

from fathom.task import Arrays

COUNTED = 1_024  # tokens of a text; a longer row would cost more than all else in the answer to a short text
BEYOND = "beyond"


def beyond(settings: Mapping[str, Any], frame: int = 0) -> dict[str, Any]:
    """The operation ``settings`` once more, with room for what is not read; ``frame`` tokens are marks."""
    most = max(COUNTED, settings["length"] - frame)
    longer = {"input": BEYOND, "default": "", "length": most + 1 + frame}
    if settings["operation"] == "tokens":  # for counting, a word needs not be known
        longer["vocabulary"] = []
    return {**settings, **longer}


def cut(item: Arrays, length: int, unit: str, *, padding: int = 0, frame: int = 0) -> dict[str, str]:
    """What an answer says under ``cut`` where a text was longer than ``length`` tokens, and lost its end.

    ``frame`` of the tokens are marks: a row of 8 may hold [CLS], 6 pieces and [SEP].
    """
    if BEYOND not in item:
        return {}
    row = item[BEYOND]
    count, most = int((row != padding).sum()) - frame, length - frame
    if count <= most:
        return {}
    told = f"more than {count - 1:,}" if count == len(row) - frame else f"{count:,}"
    return {"cut": f"only the first {most:,} of {told} {unit}s were read"}
