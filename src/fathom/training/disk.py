"""The few calls of the operating system that a checkpoint stands on, and what is made of them.

Whatever changes the disk passes through ``system``. A test puts a failing one in its place, and so can
break a save at each single call: before it, in the middle of a write, or with any error of the system.
On Windows a folder cannot be synced (the system does that in its own time) and a lock is ``msvcrt``'s.
"""

import contextlib
import errno
import hashlib
import os
import shutil
import stat
import weakref
from collections.abc import Iterator
from pathlib import Path

from fathom.errors import InputError, RunError

CHUNK = 4 << 20  # bytes hashed and written at a time, while they are in the processor's cache
# Flags that some systems lack: no hand-down to children, bytes as they are, no following of links.
PRIVATE = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOINHERIT", 0)
PLAIN = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
PID = 32  # bytes in which a lock's owner writes its number
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # a full disk, a used-up quota, a limit on file sizes


class System:
    """The calls themselves, one line each."""

    def open(self, path: Path, flags: int) -> int:
        return os.open(path, flags | PRIVATE, 0o644)

    def write(self, descriptor: int, data: memoryview) -> int:
        return os.write(descriptor, data)

    def sync(self, descriptor: int) -> None:
        os.fsync(descriptor)

    def close(self, descriptor: int) -> None:
        os.close(descriptor)

    def rename(self, old: Path, new: Path) -> None:
        os.rename(old, new)

    def make_folder(self, path: Path) -> None:
        os.mkdir(path)

    def remove(self, path: Path) -> None:
        os.unlink(path)

    def remove_folder(self, path: Path) -> None:
        os.rmdir(path)

    def room(self, path: Path) -> int:
        """Bytes that this user may still write there."""
        return shutil.disk_usage(path).free


system = System()


@contextlib.contextmanager
def opened(path: Path, flags: int) -> Iterator[int]:
    descriptor = system.open(path, flags)
    try:
        yield descriptor
    finally:
        system.close(descriptor)


def write_file(path: Path, data: bytes, *, durable: bool = True) -> str:
    """Write a new file, wait until the disk has it if it is to be ``durable``, and return its SHA-256."""
    total, rest = hashlib.sha256(), memoryview(data)
    with opened(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL) as descriptor:
        while rest:
            part, rest = rest[:CHUNK], rest[CHUNK:]
            total.update(part)
            while part:  # the system may take less than it is given
                part = part[system.write(descriptor, part) :]
        if durable:
            system.sync(descriptor)
    return total.hexdigest()


def sync_folder(path: Path) -> None:
    """Wait until the disk has the names in a folder: a file without its name is lost."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    with opened(path, os.O_RDONLY | os.O_DIRECTORY) as descriptor:
        system.sync(descriptor)


def read_file(path: Path, limit: int) -> bytes:
    """At most ``limit`` + 1 bytes of a plain file. A link or a device is not followed: EINVAL."""
    if path.is_symlink():
        raise OSError(errno.EINVAL, "a link", str(path))
    descriptor = os.open(path, os.O_RDONLY | PLAIN | PRIVATE)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not a plain file", str(path))
        return file.read(limit + 1)


def replace_folder(new: Path, target: Path, aside: Path) -> None:
    """One rename. A ``target`` that exists steps aside, and back should the rename fail."""
    again = target.exists()
    if again:
        system.rename(target, aside)
    try:
        system.rename(new, target)
    except OSError:
        if again:
            system.rename(aside, target)
        raise


def discard(path: Path) -> None:
    """Remove a file or a folder with all it holds, as far as possible: what is left is only untidy."""
    with contextlib.suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            for inner in list(path.iterdir()):
                discard(inner)
            system.remove_folder(path)
        else:
            system.remove(path)


class Lock:
    """An exclusive lock on a file; the system gives it back when the process ends, however it ends."""

    def __init__(self, path: Path) -> None:
        """Take it, or raise ``InputError`` with the number of the process that has it."""
        self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT | PRIVATE, 0o644)
        try:
            _lock(self.descriptor)
            os.ftruncate(self.descriptor, 0)
            with contextlib.suppress(OSError):  # on a full disk the lock holds just as well
                os.lseek(self.descriptor, 0, os.SEEK_SET)
                os.write(self.descriptor, f"{os.getpid()}\n".encode())
        except OSError as error:
            os.lseek(self.descriptor, 0, os.SEEK_SET)
            owner = os.read(self.descriptor, PID).decode("ascii", "replace").strip() or "unknown"
            self.release()
            if not isinstance(error, BlockingIOError | PermissionError):
                raise RunError(f"{path} cannot be locked: {error}; use a folder on a local disk") from error
            raise InputError(
                f"another process writes this folder (pid {owner}): {path.parent}; wait until it has "
                "ended, or give another folder"
            ) from error
        _held.add(self)

    def release(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Be the only one that works on a folder. Raises ``InputError`` while another process does."""
    lock = Lock(folder / ".lock")
    try:
        yield
    finally:
        lock.release()


def _lock(descriptor: int) -> None:
    """Lock an open file for this process alone, without waiting; ``OSError`` where another has it."""
    if os.name == "nt":
        import msvcrt

        # One byte behind the text is locked: what is locked there cannot be read by others.
        os.lseek(descriptor, PID, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
    else:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


_held: "weakref.WeakSet[Lock]" = weakref.WeakSet()


def _let_go() -> None:
    for lock in list(_held):
        lock.release()


# A forked child shares the lock: a loader's worker that outlives a killed run would keep the folder shut.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)
