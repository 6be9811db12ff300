"""What ``fit`` says of data that it has read: what its task says, and what is left out or stands aside."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

CLASS_FOLDERS = "image_classification"  # the task whose data are folders of pictures, one for each class


def said(task: str, place: Path, facts: Mapping[str, Any]) -> list[str]:
    """Sentences on the data of ``task`` at ``place``, of which reading it gave ``facts``.

    Of what could not be read they tell how much it was and the first few by name; of folders of pictures
    also classes without pictures, pictures outside of classes and other files, as ``data inspect`` does.
    """
    from fathom.data.formats import image_folder
    from fathom.verbs.report import left_out

    lines = [*facts.get("said", ()), *left_out(facts)]
    return [*lines, *image_folder.scan(place).notes] if task == CLASS_FOLDERS else lines
