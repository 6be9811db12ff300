"""Tensors of the Open Inference Protocol (KServe, Triton), version 2, in its JSON form."""

import math
from typing import Any

import numpy as np

from fathom.deployment.json_values import brief, narrowed, numbers
from fathom.deployment.preprocessing import bounds
from fathom.deployment.serve.limits import Limits, Refused
from fathom.task import Arrays, Port, Task

DATATYPES = {
    "bool": "BOOL",
    "uint8": "UINT8", "uint16": "UINT16", "uint32": "UINT32", "uint64": "UINT64",
    "int8": "INT8", "int16": "INT16", "int32": "INT32", "int64": "INT64",
    "float16": "FP16", "float32": "FP32", "float64": "FP64",
}  # fmt: skip


def metadata(ports: tuple[Port, ...]) -> list[dict[str, Any]]:
    """What the protocol calls tensor metadata; a free axis is -1."""
    return [
        {"name": p.name, "datatype": DATATYPES[p.dtype],
         "shape": [n if isinstance(n, int) else -1 for n in p.shape]}
        for p in ports
    ]  # fmt: skip


class Reader:
    """Reads requests for one task's network. ``joinable``: the first axis of every input is the batch."""

    def __init__(self, task: Task, limits: Limits, *, joinable: bool) -> None:
        self.task, self.limits, self.joinable = task, limits, joinable
        self.ports = {p.name: p for p in task.inputs()}
        operations = task.preprocessing()
        self.bounds = {name: bounds(operations, name) for name in self.ports}

    def read(self, value: Any) -> Arrays:
        """The input arrays of a request body. Raises ``Refused`` or ``InputError`` with the reason."""
        given = value.get("inputs") if isinstance(value, dict) else None
        if not isinstance(given, list):
            raise Refused(400, 'the body is {"inputs": [{"name", "shape", "datatype", "data"}]}')
        arrays: Arrays = {}
        for tensor in given:
            name = tensor.get("name") if isinstance(tensor, dict) else None
            if not isinstance(name, str) or name not in self.ports:
                raise Refused(
                    400, f"there is no input {brief(name)}; this model takes {', '.join(self.ports)}"
                )
            if name in arrays:
                raise Refused(400, f"the input {name!r} is given twice")
            arrays[name] = self.tensor(self.ports[name], tensor)
        if len(arrays) < len(self.ports):
            raise Refused(400, f"inputs are missing: {', '.join(sorted(set(self.ports) - set(arrays)))}")
        self.check_batch(arrays)
        return arrays

    def tensor(self, port: Port, given: dict[str, Any]) -> np.ndarray:
        """One tensor as the array that ``port`` takes."""
        name, wanted = f"input {port.name!r}", DATATYPES[port.dtype]
        if given.get("datatype") != wanted:
            raise Refused(400, f"{name} has datatype {brief(given.get('datatype'))}; it takes {wanted}")
        shape = given.get("shape")
        if not isinstance(shape, list) or not fits(port, shape):
            raise Refused(400, f"{name} has shape {brief(shape)}; it takes {list(port.shape)}")
        if math.prod(shape) > self.limits.elements:
            raise Refused(413, f"{name} is too large; at most {self.limits.elements:,} numbers are taken")
        array = numbers(given.get("data"))
        if array.size != math.prod(shape):
            raise Refused(400, f"{name}: data holds {array.size} values, the shape {math.prod(shape)}")
        array = narrowed(array, port.dtype, name).reshape(shape)
        low, high = self.bounds[port.name]
        if array.size and (
            (low is not None and array.min() < low) or (high is not None and array.max() > high)
        ):
            raise Refused(400, f"{name} holds values outside [{low}, {high}]")
        return array

    def check_batch(self, arrays: Arrays) -> None:
        if not self.joinable:
            return
        rows = {len(array) for array in arrays.values()}
        if len(rows) != 1 or not 1 <= max(rows) <= self.limits.items:
            raise Refused(400, f"all inputs have the same batch axis, of 1 to {self.limits.items} rows")


def fits(port: Port, shape: list[Any]) -> bool:
    """Whether ``shape`` is one that ``port`` takes."""
    whole = all(isinstance(n, int) and not isinstance(n, bool) and n >= 0 for n in shape)
    return (
        whole
        and len(shape) == len(port.shape)
        and all(
            not isinstance(want, int) or want == have for want, have in zip(port.shape, shape, strict=True)
        )
    )


def chosen_outputs(value: Any, ports: tuple[Port, ...]) -> tuple[Port, ...]:
    """The outputs that a request asks for: those it names under ``outputs``, or all."""
    named = value.get("outputs")
    if named is None or named == []:
        return ports
    known = {p.name: p for p in ports}
    if not isinstance(named, list):
        raise Refused(400, 'outputs is a list of {"name": ...}')
    chosen: dict[str, Port] = {}
    for output in named:
        name = output.get("name") if isinstance(output, dict) else None
        if not isinstance(name, str) or name not in known:
            raise Refused(400, f"there is no output {brief(name)}; this model gives {', '.join(known)}")
        chosen[name] = known[name]
    return tuple(chosen.values())


def written(arrays: Arrays, ports: tuple[Port, ...]) -> list[dict[str, Any]]:
    """Output arrays as the tensors of an answer."""
    return [
        {"name": p.name, "datatype": DATATYPES[p.dtype], "shape": list(arrays[p.name].shape),
         "data": arrays[p.name].reshape(-1).tolist()}
        for p in ports
    ]  # fmt: skip
