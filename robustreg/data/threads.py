"""Work on parts of the rows in parallel, to the same bits whatever the number of threads.

BLAS gives other last digits with another number of threads, and is slow on short blocks. So while a
fit runs BLAS keeps to one thread, and the parts, which do not depend on the number of threads, are
shared out instead. That number is the one BLAS would have used: the environment, threadpoolctl and
joblib set both at once.

A KeyboardInterrupt may come between any two steps of this file. It must leave neither BLAS at one
thread nor a thread that still works. So what is about to be changed is written down before it is
changed, and undoing it does no harm where there is nothing to undo: it is simply done again when an
interruption came in between.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import sleep

import numpy as np
from threadpoolctl import ThreadpoolController

LONGEST_START = 1.0  # seconds that a thread may need to begin: commonly it needs 0.0001


@contextmanager
def default_errors() -> Iterator[None]:
    """NumPy treats floating-point errors as by default, whatever ``np.errstate`` the caller is in.

    An ``np.errstate(all="raise")`` around a fit is meant for the caller's own arithmetic: a fit
    looks after what may overflow, and may underflow anywhere.
    """
    with np.errstate(divide="warn", over="warn", under="ignore", invalid="warn"):
        yield


class _Share(threading.local):
    """Whether this thread is at a share of ``in_parallel``: what that calls has no others."""

    inside = False


_SHARE = _Share()


class _Blas:
    """BLAS of this process, limited to one thread while at least one fit runs.

    ``fits`` maps a key of each fit that runs to what that fit limited: pairs (library, its number
    of threads before). A library's limit is that of the whole process, or of the thread that sets
    it, as that of MKL: ``per_thread`` holds those of the second kind. ``left`` maps a library to
    its number of threads before a fit that has ended, for the last fit to restore.

    A limit is written down before it is set, and forgotten after it is undone; and a fit may end
    twice. So whatever step is interrupted, the next ``leave``, or else the next ``enter``, restores
    what is left. The lock may be taken twice by one thread: the collector of garbage may end an
    interrupted fit while another begins.
    """

    def __init__(self):
        self.lock, self.libraries = threading.RLock(), None
        self.fits, self.left, self.per_thread, self.threads = {}, {}, set(), 1

    def enter(self, fit: object) -> None:
        """The fit with the key ``fit`` begins, in this thread."""
        with self.lock:
            if self.libraries is None:
                self.libraries = ThreadpoolController().select(user_api="blas").lib_controllers
            alone = not self.fits
            if alone:
                self._restore()  # an interruption may have left a limit
            limited = self.fits.setdefault(fit, [])
            for library in self.libraries:
                threads = library.num_threads
                if alone:
                    self.threads = max(self.threads, threads)
                elif threads != 1:
                    # The limit that another fit has set does not hold here.
                    self.per_thread.add(library)
                if threads != 1:
                    limited.append((library, threads))
                    _set_threads(library, 1)

    def leave(self, fit: object) -> None:
        """The fit with the key ``fit`` has ended, if it had begun, in the thread that began it."""
        with self.lock:
            for library, threads in self.fits.get(fit, ()):
                if library in self.per_thread:
                    _set_threads(library, threads)
                else:
                    self.left[library] = threads
            self.fits.pop(fit, None)
            if not self.fits:
                self._restore()

    def help(self) -> None:
        """This thread, which ends before its fit does, helps a fit."""
        for library in self.libraries or ():
            if library.num_threads != 1:  # the limit of the fit does not hold here
                _set_threads(library, 1)

    def _restore(self):
        for library, threads in self.left.items():
            _set_threads(library, threads)
        self.threads, self.left = 1, {}

    def after_fork(self) -> None:
        """A child has none of the fits that ran, nor the thread that held the lock.

        BLAS has its threads again when the child fits something: right after a fork libraries are
        better left alone.
        """
        for limited in self.fits.values():
            self.left.update(limited)
        self.lock, self.fits, self.threads = threading.RLock(), {}, 1


def _set_threads(library, threads: int) -> None:
    """Set the number of threads of a library, from any thread.

    threadpoolctl (3.8 and later) lets only the first thread that asks change a limit of the whole
    process, and ignores others. Here fits in any thread share one limit, and the last of them to
    end restores it.
    """
    give_up_control = getattr(library, "clear_controlling_thread", None)
    if give_up_control:
        give_up_control(force=True)
    library.set_num_threads(threads)
    if give_up_control:
        give_up_control(force=True)


_BLAS = _Blas()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_BLAS.after_fork)


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """BLAS keeps to one thread, and ``in_parallel`` has the others. Fits in several threads may
    overlap.
    """
    fit = object()
    _SHARE.inside = False  # an interruption may have left it
    try:
        try:
            _BLAS.enter(fit)
            yield
        finally:
            _BLAS.leave(fit)
    except BaseException:  # which may have interrupted ``leave``, too
        _BLAS.leave(fit)
        raise


def in_parallel(function: Callable[[int], object], n_parts: int) -> list:
    """[function(0), ..., function(n_parts - 1)]; each thread takes a contiguous range of them.

    After an error, or an interruption, each thread finishes the part it is at; none is alive when
    this returns or raises. All threads treat floating-point errors as the caller does. A function
    that calls this again has one thread.
    """
    n_threads = 1 if _SHARE.inside else min(_BLAS.threads, n_parts)
    if n_threads <= 1:
        return [function(i) for i in range(n_parts)]
    results: list = [None] * n_parts
    errors, stop, floating = [], threading.Event(), np.geterr()

    def share(t):
        _SHARE.inside = True
        try:
            for i in range(n_parts * t // n_threads, n_parts * (t + 1) // n_threads):
                if stop.is_set():
                    return
                results[i] = function(i)
        finally:
            _SHARE.inside = False

    def help_with(t):
        try:
            _BLAS.help()
            with np.errstate(**floating):  # a thread would begin with those of its own
                share(t)
        except BaseException as error:
            errors.append(error)
            stop.set()

    helpers = [threading.Thread(target=help_with, args=(t,)) for t in range(1, n_threads)]
    try:
        for helper in helpers:
            helper.start()
        share(0)
        for helper in helpers:
            helper.join()
    # Of this thread's own parts, or an interruption of any of the lines above.
    except BaseException:
        stop.set()
        for helper in helpers:
            _wait_for(helper)
        raise
    if errors:
        raise errors[0]
    return results


def _wait_for(helper: threading.Thread) -> None:
    """Until the thread has ended, also if its start was interrupted; at once if it was never
    started.
    """
    for _ in range(1000):
        if helper.is_alive():
            helper.join()
        if helper not in threading.enumerate():
            return
        sleep(LONGEST_START / 1000)  # it is about to begin
