"""Export: the ONNX file of a run, checked against the trained model."""

from pathlib import Path

from fathom.errors import InputError


def export(run: str | Path) -> Path:
    """Make ``model.onnx`` and ``equality.json`` of a run or artifact folder; return the former.

    Raises ``RunError`` where the two differ by more than 1e-4, ``MissingExtra`` without the extra.
    """
    from fathom import catalog
    from fathom.deployment import artifact
    from fathom.deployment.export import export as to_onnx

    folder = artifact.find(Path(run))
    description = artifact.describe(folder)
    if not description["system"]:
        if (folder / "model.onnx").is_file():
            return folder / "model.onnx"
        raise InputError(
            f"{folder}: its module is not of the catalogue; give it again: fathom.resume(run_folder, module)"
        )
    task = artifact.restore(catalog.task(description["task"]["name"]), description["task"]["settings"])
    to_onnx(folder, task, artifact.load_model(folder, description))
    return folder / "model.onnx"
