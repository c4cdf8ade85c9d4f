"""Locks between processes: files that the kernel locks, so that a process that ends, however it ends, gives them up."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def lock_of(path: Path) -> Path:
    """The lock file of a directory: beside it, so that it outlives it."""
    return path.with_name(f".{path.name}.lock")


@contextmanager
def alone(lock_file: Path) -> Iterator[None]:
    """Alone among the processes that hold this lock; waits for it."""
    lock_file.parent.mkdir(parents=True, exist_ok=True)
    with lock_file.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def alone_at_once(lock_file: Path) -> Iterator[bool]:
    """As `alone`, without waiting: gives whether the lock was free."""
    with lock_file.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def is_held(lock_file: Path) -> bool:
    """Whether somebody is alone there at this moment; the file is not made by looking."""
    try:
        with lock_file.open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False
