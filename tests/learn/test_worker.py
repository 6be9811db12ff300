"""Learner code in its process: everything that can go wrong is stopped, and said; the parent stays alive."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.learn import doubling

from fathom.learn.engine import confine
from fathom.learn.engine.confine import MIB, Limits
from fathom.learn.engine.exercise import Exercise, read
from fathom.learn.engine.verdict import Verdict, judge, judge_twin
from fathom.learn.engine.worker import Worker

HERE = Path(doubling.__file__)
EXERCISE = read("tests", HERE)
LIMITS = Limits(seconds=1.5, readable=(str(HERE.parent),))
LINUX = pytest.mark.skipif(not confine.landlock_version(), reason="this kernel has no Landlock")
C = "import ctypes\n    c = ctypes.CDLL(None, use_errno=True)\n    "


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    made = Worker(LIMITS)
    made.warm()
    yield made


def tried(worker: Worker, body: str) -> Verdict:
    return judge(worker, EXERCISE, f"import torch\ndef doubling(x):\n    {body}\n    return 2 * x\n")


def test_the_parent_needs_no_torch() -> None:
    code = (
        "import sys; from fathom.learn.engine.worker import Worker;"
        "from fathom.learn.engine import verdict, standing, confine; assert 'torch' not in sys.modules"
    )
    assert os.spawnl(os.P_WAIT, sys.executable, sys.executable, "-c", code) == 0


def test_answers_are_graded(worker: Worker) -> None:
    assert judge(worker, EXERCISE, EXERCISE.solution) == Verdict(True, "", "Twice as much.")
    empty = judge(worker, EXERCISE, EXERCISE.starter)
    assert not empty.passed and empty.message.startswith("Nothing here yet")
    squared = judge(worker, EXERCISE, "def doubling(x): return x * x")
    assert (squared.mistake, squared.message) == ("square", "You squared the numbers.")
    printed = tried(worker, "print('x is', x.shape)")
    assert printed.passed and "x is torch.Size([3])" in printed.output


def test_twins_by_name(worker: Worker) -> None:
    assert judge_twin(worker, EXERCISE, "solution").passed
    assert judge_twin(worker, EXERCISE, "wrong_sum").mistake == "sum"


def test_a_warm_worker_answers_at_once(worker: Worker) -> None:
    times = []
    for _ in range(5):
        begin = time.perf_counter()
        judge(worker, EXERCISE, EXERCISE.solution)
        times.append(time.perf_counter() - begin)
    assert sorted(times)[2] < 1.0


ONE_THREAD = f"""
import sys
sys.path.insert(0, {str(HERE.parents[2])!r})
from tests.learn.test_worker import EXERCISE, LIMITS, Worker, tried
if __name__ == "__main__":
    body = "import os; print(os.environ['OMP_NUM_THREADS'], torch.get_num_threads())"
    print(tried(Worker(LIMITS, many=False), body).output)
"""


@pytest.mark.slow  # a fork server of its own
def test_a_job_has_one_thread_whatever_its_parent_has(tmp_path: Path) -> None:
    """On a machine that is busy, more of them make small steps fifteen times slower."""
    script = tmp_path / "asks.py"
    script.write_text(ONE_THREAD, encoding="utf-8")
    many = os.environ | {"OMP_NUM_THREADS": "3"}
    done = subprocess.run([sys.executable, str(script)], env=many, capture_output=True, text=True)
    assert set(done.stdout.split()) == {"1"}, done


OPTIMIZER = f"""
import sys
sys.path.insert(0, {str(HERE.parents[2])!r})
from tests.learn.test_worker import EXERCISE, LIMITS, Worker, tried
if __name__ == "__main__":
    body = "import sys; before = len(sys.modules); torch.optim.Adam([torch.nn.Parameter(torch.zeros(2))])"
    worker = Worker(LIMITS)
    worker.warm()
    print(tried(worker, body + "; print(len(sys.modules) - before)").output)
"""


@pytest.mark.slow  # a fork server of its own: that of another test may have been for a single job
def test_what_the_first_optimizer_imports_is_there_already(tmp_path: Path) -> None:
    """Else every figure and answer with an optimizer would wait for it again, for seconds."""
    script = tmp_path / "asks.py"
    script.write_text(OPTIMIZER, encoding="utf-8")
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True)
    made = done.stdout.split()  # one number for each call of the answer
    assert made and all(count.isdigit() and int(count) < 50 for count in made), done


ENDLESS = """
import threading, time
from pathlib import Path
from fathom.learn.engine import worker
if __name__ == "__main__":
    worker.PRELOADED = "endless"
    made, told = worker.Worker(many=False), []
    job = threading.Thread(target=lambda: told.extend(made.run("nothing")))
    job.start()
    while not Path("imports").exists():
        time.sleep(0.01)
    made.close()
    job.join()
    print(told)
"""


@pytest.mark.skipif(os.name != "posix", reason="there is no fork server")
def test_who_ends_it_need_not_wait_until_torch_is_imported(tmp_path: Path) -> None:
    """Here a module that is never imported stands for torch, which takes a busy machine half a minute."""
    (tmp_path / "endless.py").write_text("import time\nopen('imports', 'w')\ntime.sleep(1000)\n")
    (tmp_path / "asks.py").write_text(ENDLESS, encoding="utf-8")
    found = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, "asks.py"], cwd=tmp_path, env=os.environ | {"PYTHONPATH": found},
        capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert "could not begin: fathom learn ended" in done.stdout, done


STOPPED = {
    "infinite loop": ("while True: pass", "ran longer than 1.5 s and was stopped"),
    "sleep": ("import time; time.sleep(1000)", "ran longer than 1.5 s"),
    "20 MB file": ("open('big', 'wb').write(bytes(20_000_000))", "a file larger than 16 MiB"),
    "full disk": ("[open(f'f{i}', 'wb').write(bytes(15_000_000)) for i in range(99)]", "more than 64 MiB"),
    "many files": ("held = [open(f'f{i}', 'w') for i in range(99)]", "more than 64 files"),
    "fork bomb": ("import os\n    while True: os.fork()", "tried to start another process"),
    "subprocess": ("import subprocess; subprocess.run(['ls'])", "tried to start another process"),
    "shell": ("import os; os.system('ls')", "tried to start another process"),
    "os._exit": ("import os; os._exit(3)", "ended its process (exit code 3)"),
    "sys.exit": ("import sys; sys.exit(0)", "called exit"),
    "kill the parent": ("import os; os.kill(os.getppid(), 9)", "tried to send a signal"),
    "write outside": ("open(PLACE + '/x', 'w')", "tried to write"),
    "remove outside": ("import os; os.remove(PLACE + '/kept')", "tried to change"),
    "rename out": ("import os; open('y', 'w'); os.rename('y', PLACE + '/y')", "tried to change"),
    "TCP": ("import socket; socket.create_connection(('127.0.0.1', 9))", "tried to use the network"),
    "listen": ("import socket; socket.socket().bind(('127.0.0.1', 0))", "tried to use the network"),
    "download": ("import urllib.request as u; u.urlopen('http://example.org')", "tried to use the network"),
    "crash": ("import ctypes; ctypes.string_at(0)", "crashed the process"),
    "deep recursion": ("f = lambda: f(); f()", "RecursionError"),
    "print for ever": ("while True: print('spam' * 1000)", "Your code printed more than 16 MiB"),
}


@pytest.mark.parametrize(("body", "said"), STOPPED.values(), ids=STOPPED)
def test_accidents_are_stopped_and_told(worker: Worker, body: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("kept")
    begin = time.monotonic()
    verdict = tried(worker, body.replace("PLACE", repr(str(tmp_path))))
    assert time.monotonic() - begin < LIMITS.seconds + 2
    assert not verdict.passed and said in verdict.message, verdict
    assert len(verdict.output) < LIMITS.output + 100
    assert [file.name for file in tmp_path.iterdir()] == ["kept"]


@pytest.mark.skipif(sys.platform != "linux", reason="the address space is limited by Linux alone")
def test_eight_gigabytes_are_refused(worker: Worker) -> None:
    verdict = tried(worker, "torch.ones(2**31)")
    assert not verdict.passed and "asked for more memory than the 2,048 MiB" in verdict.message


RAW = {
    "fork": C + "print(c.fork() < 0 and ctypes.get_errno())",
    "open to write": C + "print(c.open(b'PLACE/x', 0o101, 0o600) < 0 and ctypes.get_errno())",
    "read a private file": C + "print(c.open(b'PLACE/kept', 0) < 0 and ctypes.get_errno())",
    "unlink": C + "print(c.unlink(b'PLACE/kept') < 0 and ctypes.get_errno())",
    "connect": C
    + "s = c.socket(2, 1, 0); a = bytes.fromhex('0200000a7f000001') + bytes(8)\n"
    + "    print(c.connect(s, a, 16) < 0 and ctypes.get_errno())",
    "kill": C + "import os; print(c.kill(os.getppid(), 9) < 0 and ctypes.get_errno())",
    "environment of the parent": C
    + "import os\n    print(c.open(f'/proc/{os.getppid()}/environ'.encode(), 0) < 0 and ctypes.get_errno())",
}


@LINUX
@pytest.mark.parametrize("body", RAW.values(), ids=RAW)
def test_the_kernel_refuses_what_python_does_not_see(worker: Worker, body: str, tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("kept")
    verdict = tried(worker, body.replace("PLACE", str(tmp_path)))
    assert verdict.passed, verdict
    assert verdict.output.split()[0] in ("1", "13"), verdict.output  # EPERM or EACCES; a success prints False
    assert [file.name for file in tmp_path.iterdir()] == ["kept"]


def test_threads_and_backward_passes_work(worker: Worker) -> None:
    body = "import threading\n    t = threading.Thread(target=lambda: print('ran')); t.start(); t.join()"
    assert "ran" in tried(worker, body).output
    verdict = judge(
        worker,
        EXERCISE,
        "def doubling(x):\n    x.requires_grad_()\n    (x * x).sum().backward()\n    return x.grad",
    )
    assert verdict.passed


def test_errors_name_the_line(worker: Worker) -> None:
    assert "(line 3: x.nonsense)" in tried(worker, "x.nonsense").message
    assert "Python cannot read line 1" in judge(worker, EXERCISE, "def doubling(x:").message
    assert "defines no doubling" in judge(worker, EXERCISE, "def halving(x): return x").message
    assert "ZeroDivisionError" in judge(worker, EXERCISE, "1 / 0").message
    ruled_out = judge(worker, EXERCISE, "from torch import autograd\ndef doubling(x): return 2 * x")
    assert ruled_out.check == "rules" and "without autograd: no slope is needed" in ruled_out.message


STREAMS = (
    "sys.stdout.close()", "sys.stderr.close()", "sys.stdout = None", "sys.stdout.detach()", "os.close(1)",
)  # fmt: skip


@pytest.mark.parametrize("body", STREAMS)
def test_a_stream_that_an_answer_closed_is_nobodys_mistake(worker: Worker, body: str) -> None:
    """No traceback of the grader stands in what the learner's code printed."""
    verdict = judge(worker, EXERCISE, f"import os, sys\n{body}\n{EXERCISE.solution}")
    assert verdict == Verdict(True, "", "Twice as much.")
    then = judge(worker, EXERCISE, f"import os, sys\n{body}\nprint('here', flush=True)\n{EXERCISE.solution}")
    assert "Traceback" not in then.output and "fathom" not in then.output


def test_a_character_that_no_program_may_hold_is_named(worker: Worker) -> None:
    told = judge(worker, EXERCISE, EXERCISE.solution + "\n# \0\n")
    line = EXERCISE.solution.count("\n") + 2
    assert told.message.startswith(f"Python cannot read line {line}: it holds a NUL character"), told


def test_nothing_is_left_behind(worker: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # other tests' jobs have the usual
    running = worker.start("nothing")
    assert running.folder.is_dir() and running.folder.parent == tmp_path
    running.stop()
    assert not running.folder.exists()
    list(worker.run("nothing"))
    assert not list(tmp_path.glob("fathom-learn-*"))


def test_the_guard_alone_knows_its_folder(tmp_path: Path) -> None:
    guard = confine.Guard(tmp_path)
    guard("open", (str(tmp_path / "a"), "w", os.O_WRONLY))
    guard("open", ("/etc/passwd", "r", os.O_RDONLY))
    guard("open", (3, "w", os.O_WRONLY))
    guard("open", (os.devnull, "w", os.O_WRONLY))
    for outside in (f"{tmp_path}x", str(tmp_path / ".." / "b"), "/etc/passwd", b"/etc/passwd"):
        with pytest.raises(confine.Refused, match="tried to write"):
            guard("open", (outside, "w", os.O_WRONLY))


@pytest.mark.parametrize(
    ("system", "version", "said"),
    [
        (
            "linux",
            7,
            "the kernel keeps it from writing outside its folder and from TCP connections (Landlock 7)",
        ),
        ("linux", 3, "and only Python from the network (Landlock 3)"),
        ("linux", 0, "only Python keeps it from other files and the network: this kernel has no Landlock"),
        ("darwin", 0, "and the network: this system has no Landlock"),
    ],
)
def test_what_this_machine_can_keep_is_said(
    monkeypatch: pytest.MonkeyPatch, system: str, version: int, said: str
) -> None:
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(confine, "landlock_version", lambda: version)
    told = confine.describe()
    assert said in told and told.endswith(".") and told.count(". ") == 0
    assert ("too much memory" in told) == (system == "linux")


def test_limits_are_said_in_numbers() -> None:
    limits = Limits(memory=512 * MIB)
    assert confine.explain(MemoryError(), limits) == (
        "Your code asked for more memory than the 512 MiB that a run may use."
    )
    assert confine.explain(ValueError("x"), limits) is None
    assert isinstance(EXERCISE, Exercise)
