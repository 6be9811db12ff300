"""The demo: train on MNIST, prove that kill -9 costs nothing, export, report. Needs no network."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FATHOM = [sys.executable, "-m", "fathom"]
RECIPE = "mnist"
STEPS = 300


def main() -> int:
    began = time.monotonic()
    print("1. Training a convolutional network on the 60,000 digits of MNIST", flush=True)
    done = subprocess.run(
        [*FATHOM, "train", RECIPE, "--json"], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True
    )
    result = json.loads(done.stdout.splitlines()[-1])
    run = ROOT / result["run"]
    print(
        f"   test accuracy {result['metrics']['test/accuracy']:.4f}"
        f" after {result['seconds']:.1f} s of training"
    )

    print(
        f"2. Killing it: {STEPS} steps of the same recipe, once undisturbed, once with kill -9 in between",
        flush=True,
    )
    scratch = Path(tempfile.mkdtemp(prefix="fathom-demo-"))
    try:
        twin = final(train(scratch / "twin"))
        killed_at = kill_midway(scratch / "killed")
        if killed_at is None:
            print("   the run ended before it could be killed: nothing is shown; try again")
            return 1
        resumed = final([*FATHOM, "train", "--resume", str(scratch / "killed"), "--no-export", "--json"])
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    print(
        f"   undisturbed     {twin}\n   killed, resumed {resumed}"
        f"   (killed after a checkpoint at step {killed_at})"
    )
    if twin != resumed:
        print("   the two differ: this must not happen, please report it")
        return 1

    equality = json.loads((run / "model" / "equality.json").read_text(encoding="utf-8"))
    print(
        f"3. ONNX: largest difference to the trained model {equality['largest']:.1e}"
        f" (allowed {equality['limit']:.0e})"
    )
    shown = run.relative_to(ROOT)
    print(f"\nreport   {shown}/report.html\nmodel    {shown}/model/  (weights, model.onnx, equality.json)")
    print(f"all of it took {time.monotonic() - began:.0f} s. {further(str(shown))}")
    return 0


def further(run: str) -> str:
    """What to try next."""
    command = fathom_command()
    return (
        f"Now draw a digit yourself:\n\n    {command} serve {run}\n\n"
        f"and learn in your browser how it works:\n\n    {command} learn"
    )


def train(folder: Path) -> list[str]:
    """The command of a short run; without export, which is not what is shown here."""
    return [
        *FATHOM,
        "train",
        RECIPE,
        "--set",
        f"steps={STEPS}",
        "--out",
        str(folder),
        "--no-export",
        "--json",
    ]


def final(command: list[str]) -> str:
    """The digest that a finished run prints."""
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])["digest"]


def kill_midway(folder: Path) -> int | None:
    """Start the run, kill it without warning after a checkpoint; at which step, or None: it was too fast."""
    process = subprocess.Popen(train(folder), cwd=ROOT, stdout=subprocess.DEVNULL)
    while process.poll() is None:
        steps = sorted(int(p.name[5:]) for p in (folder / "checkpoints").glob("step-????????"))
        if steps:
            process.kill()
            process.wait()
            return steps[-1] if steps[-1] < STEPS else None
        time.sleep(0.02)
    return None


def fathom_command() -> str:
    """How to call the command from this folder."""
    script = Path(sys.executable).with_name("fathom.exe" if os.name == "nt" else "fathom")
    return str(script.relative_to(ROOT)) if script.is_relative_to(ROOT) else "fathom"


if __name__ == "__main__":
    raise SystemExit(main())
