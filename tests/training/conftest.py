"""Work in a forked child, which may be killed or changed for good without harm to the tests."""

import os
import sys
import traceback
import warnings
from collections.abc import Callable

import pytest


def fork(work: Callable[[], object]) -> int:
    """Do ``work`` in a child and return how it ended: 0, 1 after an exception, -9 when killed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # threads: the child needs none of them
        child = os.fork()
    if child == 0:
        status = 1
        try:
            work()
            status = 0
        except BaseException:
            traceback.print_exc(file=sys.__stderr__)
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.fixture
def in_child() -> Callable[[Callable[[], object]], int]:
    return fork
