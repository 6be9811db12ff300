"""Write a checkpoint and an artifact of the present format: ``python tests/formats/make.py 0.1.0``.

Run once for each release; what it wrote must load for ever (``test_formats.py``).
"""

import dataclasses
import json
import shutil
import sys
from pathlib import Path

from fathom.architectures.convolutional import lenet
from fathom.verbs.train import train


def main() -> None:
    target = Path(__file__).parent / sys.argv[1]
    experiment = dataclasses.replace(lenet.tiny(), steps=10)
    run = train(experiment, out=target / "run")
    (target / "run" / "report.html").unlink()
    shutil.rmtree(target / "run" / "checkpoints" / ".lock", ignore_errors=True)
    answers = run.predict(*experiment.task.examples())
    (target / "expected.json").write_text(json.dumps({"digest": run.digest, "answers": answers}, indent=1))


if __name__ == "__main__":
    main()
