"""What learner code may do, and how the rest is stopped.

The learner owns the machine; what is defended against are accidents. A run is a process of its own in a
folder of its own, and three nets hang below each other:

    audit hook    Python itself refuses to write elsewhere, to start processes, to use the network, and says
                  why in a sentence. On every system.
    limits        processor time, memory, size and number of files, kept by the kernel. On POSIX.
    Landlock and seccomp   the kernel refuses writing, reading of private files, TCP, signals to others and
                  new processes, whatever language asks. On Linux, as far as the kernel has them.

Wall clock and the size of the folder are watched by the parent (``worker``). ``describe`` says what holds on
this machine, for the page to show. Nothing here is meant against somebody who wants to break out.
"""

import ctypes
import errno
import os
import platform
import struct
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fathom.data import places

MIB = 2**20
NO_NEW_PRIVILEGES, PARENT_DEATH_SIGNAL, SECCOMP, FILTER = 38, 1, 22, 2  # numbers of prctl(2)


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much a run may use."""

    seconds: float = 10.0  # of wall clock, from the moment the code starts
    memory: int = 2048 * MIB  # bytes beyond what Python and torch take by themselves
    file: int = 16 * MIB  # bytes of one file
    folder: int = 64 * MIB  # bytes of all files
    files: int = 64  # open at a time
    output: int = 64 * 1024  # bytes of what it prints that are kept
    readable: tuple[str, ...] = ()  # further folders that it may read


class Refused(PermissionError):
    """Something that learner code may not do; the text is what the learner reads."""


def confine(folder: Path, limits: Limits) -> None:
    """Shut this process in, for good: it may write to ``folder`` and nowhere else."""
    if os.name == "posix":
        set_limits(limits)
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(PARENT_DEATH_SIGNAL, 9, 0, 0, 0)  # no orphan sleeps on when the server is gone
        libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0)
        landlock(libc, folder, limits)
        no_new_processes(libc)
    sys.addaudithook(Guard(folder))


def set_limits(limits: Limits) -> None:
    import resource
    import signal

    def limit(kind: int, value: int) -> None:
        hard = resource.getrlimit(kind)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (value, value))

    if sys.platform == "linux":  # elsewhere the kernel does not keep it
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit(resource.RLIMIT_AS, pages * os.sysconf("SC_PAGE_SIZE") + limits.memory)
    limit(resource.RLIMIT_CPU, int(limits.seconds) + 2)
    limit(resource.RLIMIT_FSIZE, limits.file)
    limit(resource.RLIMIT_NOFILE, limits.files)
    limit(resource.RLIMIT_CORE, 0)
    # Asleep it uses no processor time; should the parent be gone, the clock still ends it.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, limits.seconds + 5)


class Guard:
    """The audit hook."""

    PROCESSES = frozenset({
        "os.fork", "os.forkpty", "os.exec", "os.posix_spawn", "os.spawn", "os.system", "os.startfile",
        "subprocess.Popen", "pty.spawn",
    })  # fmt: skip
    SIGNALS = frozenset({"os.kill", "os.killpg", "signal.pthread_kill"})
    FILES = frozenset({
        "os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.truncate", "os.chmod", "os.chown", "os.link",
        "os.symlink",
    })  # fmt: skip
    WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

    def __init__(self, folder: Path) -> None:
        self.folder = os.path.realpath(folder)

    def __call__(self, event: str, given: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = given
            if isinstance(flags, int) and flags & self.WRITING and not self.allowed(path):
                raise Refused(f"Your code tried to write {path}. It may write only into its own folder.")
        elif event in self.FILES:
            if not all(self.allowed(path) for path in given[:2]):
                raise Refused(f"Your code tried to change {given[0]}. It may change only its own folder.")
        elif event in self.PROCESSES:
            raise Refused("Your code tried to start another process. An exercise runs in one.")
        elif event in self.SIGNALS:
            raise Refused("Your code tried to send a signal to a process. It may not.")
        elif event.startswith("socket.") and event not in ("socket.__new__", "socket.gethostname"):
            raise Refused("Your code tried to use the network. An exercise works without it.")

    def allowed(self, path: Any) -> bool:
        if not isinstance(path, str | bytes | os.PathLike):  # a file that is open already
            return True
        real = os.path.realpath(os.fsdecode(path))
        return real == os.devnull or real.startswith(self.folder + os.sep)


def landlock(libc: Any, folder: Path, limits: Limits) -> int:
    """Let the kernel keep this process to its folder; returns the version it speaks, 0 for none.

    The numbers are those of linux/landlock.h; a kernel is asked only for what it knows (ABI 1 to 6).
    """
    create, add, restrict = 444, 445, 446
    version = landlock_version()
    if not version:
        return 0
    reading = 1 << 0 | 1 << 2 | 1 << 3  # execute, read a file, list a folder
    everything = (1 << {1: 13, 2: 14, 3: 15, 4: 15}.get(version, 16)) - 1
    asked = struct.pack("<Q", everything)
    if version >= 4:
        asked += struct.pack("<Q", 1 << 0 | 1 << 1)  # bind and connect TCP: none is allowed
    if version >= 6:
        asked += struct.pack("<Q", 1 << 0 | 1 << 1)  # abstract sockets and signals: only inside
    rules = libc.syscall(create, asked, len(asked), 0)
    if rules < 0:
        return 0
    of_files = 1 << 0 | 1 << 1 | 1 << 2 | everything & (1 << 14 | 1 << 15)  # what a plain file can be allowed
    wanted = [(str(folder), everything), (os.devnull, everything & of_files)]
    wanted += [(place, reading) for place in readable_places(limits)]
    for place, access in wanted:
        descriptor = os.open(place, os.O_PATH | os.O_CLOEXEC)
        access = access if os.path.isdir(place) else access & of_files
        libc.syscall(add, rules, 1, struct.pack("<Qi", access, descriptor), 0)
        os.close(descriptor)
    libc.syscall(restrict, rules, 0)
    os.close(rules)
    return version


def readable_places(limits: Limits) -> list[str]:
    """What Python needs to run: itself, its libraries, what the system tells of the machine; data sets."""
    home = os.path.realpath(Path.home())
    machine = [f"/proc/{name}" for name in ("self", "cpuinfo", "meminfo", "stat", "sys")]  # not its processes
    system = ("/usr", "/lib", "/lib64", "/etc", "/sys", "/dev", *machine)
    data = map(str, places.folders())
    wanted = (sys.prefix, sys.base_prefix, *sys.path, *system, *data, *limits.readable)
    found = {os.path.realpath(place) for place in wanted if place and os.path.exists(place)}
    return sorted(place for place in found if not (home + os.sep).startswith(place + os.sep))


def no_new_processes(libc: Any) -> bool:
    """Forbid fork and the like, threads left alone, by a seccomp filter; False where there is none.

    The program, in the words of linux/filter.h: load the architecture and, if it is the expected one, the
    number of the call. clone is allowed with CLONE_THREAD in its flags; clone3, whose flags a filter cannot
    see, is said not to exist, and the C library then uses clone.
    """
    machines = {"x86_64": (0xC000003E, 56, (57, 58)), "aarch64": (0xC00000B7, 220, ())}
    if platform.machine() not in machines or struct.calcsize("P") != 8:
        return False
    architecture, clone, forks = machines[platform.machine()]
    load, equal, has, leave = 0x20, 0x15, 0x45, 0x06
    allow, no, unknown = 0x7FFF0000, 0x00050000 | errno.EPERM, 0x00050000 | errno.ENOSYS
    program = [(load, 0, 0, 4), (equal, 1, 0, architecture), (leave, 0, 0, allow), (load, 0, 0, 0)]
    for call in forks:
        program += [(equal, 0, 1, call), (leave, 0, 0, no)]
    program += [(equal, 0, 1, 435), (leave, 0, 0, unknown)]
    program += [(equal, 0, 3, clone), (load, 0, 0, 16), (has, 1, 0, 0x10000), (leave, 0, 0, no)]
    program += [(leave, 0, 0, allow)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("<HBBI", *line) for line in program))
    filtered = struct.pack("<HxxxxxxQ", len(program), ctypes.addressof(code))
    return libc.prctl(SECCOMP, FILTER, ctypes.create_string_buffer(filtered), 0, 0) == 0


def landlock_version() -> int:
    """What the kernel speaks of Landlock; 0 where it has none, or was started without it."""
    if sys.platform != "linux":
        return 0
    return max(0, ctypes.CDLL(None, use_errno=True).syscall(444, None, 0, 1))


def describe() -> str:
    """What holds on this machine, in a sentence for the page."""
    version = landlock_version()
    stopped = "Your code runs in a process of its own, which is stopped when it takes"
    if sys.platform != "linux":
        return (
            f"{stopped} too long or writes too much; only Python keeps it from other files and the network:"
            " this system has no Landlock."
        )
    stopped += " too long, too much memory or too much disk;"
    if not version:
        return (
            f"{stopped} only Python keeps it from other files and the network: this kernel has no Landlock."
        )
    if version < 4:
        return (
            f"{stopped} the kernel keeps it from writing outside its folder, and only Python from the network"
            f" (Landlock {version})."
        )
    return (
        f"{stopped} the kernel keeps it from writing outside its folder and from TCP connections"
        f" (Landlock {version})."
    )


def printed() -> int:
    """Bytes that went to standard output, which is a file here; 0 where it was closed."""
    try:
        return os.fstat(1).st_size
    except OSError:
        return 0


def explain(error: BaseException, limits: Limits) -> str | None:
    """What the learner should read of an error that a limit made; None for any other error."""
    if isinstance(error, Refused):
        return str(error)
    text = str(error)
    if isinstance(error, MemoryError) or "can't allocate memory" in text or "not enough memory" in text:
        return f"Your code asked for more memory than the {limits.memory // MIB:,} MiB that a run may use."
    if isinstance(error, OSError):
        if error.errno == errno.EFBIG and printed() >= limits.file:
            return f"Your code printed more than {limits.file // MIB} MiB."
        if error.errno == errno.EFBIG:
            return f"Your code wrote a file larger than {limits.file // MIB} MiB."
        if error.errno == errno.EMFILE:
            return f"Your code opened more than {limits.files} files at a time."
        if error.errno in (errno.EACCES, errno.EPERM):
            what = f" {error.filename}" if error.filename else ""
            return f"Your code may not use{what}: it may read the library and write into its own folder."
    return None
