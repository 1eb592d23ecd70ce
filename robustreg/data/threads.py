"""Work on parts of the rows in parallel, to the same bits whatever the number of threads.

BLAS gives other last digits with another number of threads, and is slow on short blocks. So while a fit runs
BLAS keeps to one thread, and the parts, which do not depend on the number of threads, are shared out instead.
That number is the one BLAS would have used: the environment, threadpoolctl and joblib set both at once.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import contextmanager
from threading import Lock, Thread

from threadpoolctl import ThreadpoolController


class _Blas:
    """BLAS of this process, limited to one thread while at least one fit runs."""

    def __init__(self):
        self.lock, self.fits, self.threads, self.libraries, self.limit = Lock(), 0, 1, None, None

    def enter(self):
        with self.lock:
            if not self.fits:
                if self.libraries is None:
                    self.libraries = ThreadpoolController().select(user_api="blas")
                self.threads = max((library.num_threads for library in self.libraries.lib_controllers), default=1)
                self.limit = self.libraries.limit(limits=1)
            self.fits += 1

    def leave(self):
        with self.lock:
            self.fits -= 1
            if not self.fits:
                self.limit.restore_original_limits()
                self.threads = 1


_BLAS = _Blas()
if hasattr(os, "register_at_fork"):  # a child has none of the fits that ran, nor the thread that held the lock
    os.register_at_fork(after_in_child=_BLAS.__init__)


@contextmanager
def one_blas_thread():
    """BLAS keeps to one thread, and ``in_parallel`` has the others. Fits in several threads may overlap."""
    _BLAS.enter()
    try:
        yield
    finally:
        _BLAS.leave()


def in_parallel(function: Callable[[int], object], n_parts: int) -> list:
    """[function(0), ..., function(n_parts - 1)]; each thread takes a contiguous range of them."""
    n_threads = min(_BLAS.threads, n_parts)
    results, errors = [None] * n_parts, []

    def share(t):
        try:
            for i in range(n_parts * t // n_threads, n_parts * (t + 1) // n_threads):
                results[i] = function(i)
        except BaseException as error:
            errors.append(error)

    helpers = [Thread(target=share, args=(t,)) for t in range(1, n_threads)]
    for helper in helpers:
        helper.start()
    share(0)
    for helper in helpers:
        helper.join()
    if errors:
        raise errors[0]
    return results
