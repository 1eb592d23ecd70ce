"""BLAS has its threads again, and no helper lives on, whatever step of a fit is interrupted."""

import contextlib
import dis
import signal
import sys
import threading
import time

import numpy as np
import pytest
from threadpoolctl import ThreadpoolController, threadpool_limits

from robustreg import LinearRegressor
from robustreg.data import threads as module
from robustreg.data.threads import _BLAS, default_errors, in_parallel, one_blas_thread

LIBRARIES = ThreadpoolController().select(user_api="blas").lib_controllers


def blas_threads():
    return [library.num_threads for library in LIBRARIES]


def in_another_thread(function):
    found = []
    other = threading.Thread(target=lambda: found.append(function()))
    other.start()
    other.join()
    return found[0]


@pytest.fixture(autouse=True)
def two_threads():
    """BLAS with two threads, all of them given back, no helper left, and a fit that works."""
    alive = set(threading.enumerate())
    with threadpool_limits(2):
        before = blas_threads()
        yield
        assert blas_threads() == before
        assert not _BLAS.fits
        assert set(threading.enumerate()) <= alive
        assert in_another_thread(
            lambda: _BLAS.lock.acquire(timeout=10) and not _BLAS.lock.release()
        )
        X = np.random.default_rng(0).standard_normal((3000, 40))
        assert LinearRegressor().fit(X, X @ np.ones(40)).converged_
        assert blas_threads() == before


class Interrupting:
    """A library of threadpoolctl whose ``step``-th use is interrupted, before or after it took
    effect.
    """

    uses, step, after = 0, None, False

    def __init__(self, library):
        self.library = library

    def interrupted(self, use):
        Interrupting.uses += 1
        now = Interrupting.uses == Interrupting.step
        if now and not self.after:
            raise KeyboardInterrupt
        found = use()
        if now:
            raise KeyboardInterrupt
        return found

    @property
    def num_threads(self):
        return self.interrupted(lambda: self.library.num_threads)

    def set_num_threads(self, n):
        return self.interrupted(lambda: self.library.set_num_threads(n))


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("step", range(1, 12))
def test_an_interruption_in_a_library_of_blas_leaves_no_limit(monkeypatch, step, after):
    with one_blas_thread():  # libraries are known from now on
        pass
    monkeypatch.setattr(_BLAS, "libraries", [Interrupting(library) for library in _BLAS.libraries])
    monkeypatch.setattr(Interrupting, "uses", 0)
    monkeypatch.setattr(Interrupting, "step", step)
    monkeypatch.setattr(Interrupting, "after", after)
    with contextlib.suppress(KeyboardInterrupt), one_blas_thread():
        assert set(blas_threads()) == {1}


def test_an_interruption_leaves_the_limit_of_another_fit():
    with one_blas_thread():
        with pytest.raises(KeyboardInterrupt), one_blas_thread():
            raise KeyboardInterrupt
        assert set(blas_threads()) == {1}
        assert in_parallel(lambda i: len(_BLAS.fits), 3) == [1, 1, 1]


def runs_until(step):
    """Whether a limit and two parts in two threads came to their end before the ``step``-th step of
    the file.

    A step is where the interpreter takes an interruption: the beginning of a function, the end of a
    call and the end of a round of a loop, in the file itself and, at the beginning of a function
    only, in contextlib.
    """
    steps, files, last = 0, {module.__file__, contextlib.__file__}, {}

    def trace(frame, event, arg):
        nonlocal steps
        if frame.f_code.co_filename not in files:
            return None
        # Where contextlib itself is interrupted, the generator is closed with the frames of the
        # exception.
        frame.f_trace_opcodes = frame.f_code.co_filename == module.__file__
        after = last.get(id(frame), "")
        if event == "opcode":
            last[id(frame)] = dis.opname[frame.f_code.co_code[frame.f_lasti]]
        if event == "call" or (event == "opcode" and after.startswith(("CALL", "JUMP_BACKWARD"))):
            last.pop(id(frame), None)
            steps += 1
            if steps == step:
                sys.settrace(None)
                raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    try:
        sys.settrace(trace)
        with one_blas_thread():
            in_parallel(lambda i: i, 2)
    except KeyboardInterrupt:
        return False
    finally:
        sys.settrace(before)
    return True


def test_an_interruption_between_any_two_steps_leaves_no_limit_and_no_helper():
    alive, before = set(threading.enumerate()), blas_threads()
    runs_until(0)
    for step in range(1, 5000):
        ended = runs_until(step)
        assert blas_threads() == before, f"step {step}"
        assert not _BLAS.fits, f"step {step}"
        assert set(threading.enumerate()) <= alive, f"step {step}"
        if ended:
            break
    assert 50 < step < 4999


@pytest.mark.parametrize("part", [0, 5, 20, 25])
def test_an_interruption_of_a_part_stops_the_others(part):
    done = []

    def work(i):
        if i == part:
            raise KeyboardInterrupt
        time.sleep(0.01)
        done.append(i)

    with pytest.raises(KeyboardInterrupt), one_blas_thread():
        in_parallel(work, 40)
    assert len(done) < 30


@pytest.mark.skipif(
    not hasattr(signal, "pthread_kill"), reason="no signals to a thread on this system"
)
def test_an_interruption_while_waiting_for_the_others_stops_them():
    done = []
    # A process that was started by another may ignore the signal.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def work(i):
        if i >= 100:  # those of the helper
            if i == 100:
                time.sleep(0.1)  # by now the main thread waits
                signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
            time.sleep(0.05)
            done.append(i)

    try:
        with pytest.raises(KeyboardInterrupt), one_blas_thread():
            in_parallel(work, 200)
    finally:
        signal.signal(signal.SIGINT, before)
    assert 0 < len(done) < 100


def test_an_interrupted_start_of_a_thread_is_waited_for(monkeypatch):
    start, began = threading.Thread.start, []

    def interrupted(self):
        start(self)
        began.append(self)
        raise KeyboardInterrupt

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt), one_blas_thread():
        in_parallel(lambda i: time.sleep(0.05), 4)
    monkeypatch.undo()
    assert began
    assert not began[0].is_alive()


@pytest.mark.parametrize("loss", ["mse", "mae", "huber"])
def test_an_interrupted_fit_keeps_the_one_before(monkeypatch, loss):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60_000, 12))
    y = X.sum(axis=1) + rng.standard_t(2, 60_000)
    model = LinearRegressor(loss).fit(X, y)
    coef = model.coef_.copy()

    def interrupts(step, rows, gap=np.nan):
        raise KeyboardInterrupt

    monkeypatch.setattr("robustreg.progress.Progress.tell", property(lambda self: interrupts))
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, 2.0 * y)
    monkeypatch.undo()
    np.testing.assert_array_equal(model.coef_, coef)
    np.testing.assert_array_equal(LinearRegressor(loss).fit(X, y).coef_, coef)


def test_fits_in_several_threads_of_which_some_are_interrupted():
    def fit(interrupted):
        with contextlib.suppress(KeyboardInterrupt), one_blas_thread():
            for _ in range(20):
                limits.append(max(blas_threads()))
                in_parallel(lambda i: np.ones(100) @ np.ones(100), 4)
            if interrupted:
                raise KeyboardInterrupt

    limits = []
    workers = [threading.Thread(target=fit, args=(i % 2,)) for i in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert set(limits) == {1}


def test_the_fit_that_ends_last_restores_in_whichever_thread_it_is():
    before = blas_threads()
    first, second = one_blas_thread(), one_blas_thread()
    first.__enter__()
    in_another_thread(second.__enter__)
    first.__exit__(None, None, None)
    assert set(blas_threads()) == {1}
    in_another_thread(lambda: second.__exit__(None, None, None))
    assert blas_threads() == before


def test_a_fit_limits_blas_in_whichever_thread_it_is():
    def fit():
        with one_blas_thread():
            return blas_threads()

    with one_blas_thread():
        pass
    assert set(in_another_thread(fit)) == {1}
    with threadpool_limits(2):
        assert set(in_another_thread(fit)) == {1}


class OfEachThread:
    """A library with a number of threads for each thread that asks, as MKL has."""

    def __init__(self):
        self.local = threading.local()

    @property
    def num_threads(self):
        return getattr(self.local, "threads", 4)

    def set_num_threads(self, n):
        self.local.threads = n


def test_a_limit_of_each_thread_holds_in_fits_and_helpers_and_is_restored(monkeypatch):
    library = OfEachThread()
    monkeypatch.setattr(_BLAS, "libraries", [library])
    step = threading.Barrier(2, timeout=10)
    found = {}

    def other():
        with one_blas_thread():
            found["other"] = library.num_threads
            step.wait()
            step.wait()  # the first fit has ended
        found["other ended"] = library.num_threads

    thread = threading.Thread(target=other)
    with one_blas_thread():
        thread.start()
        assert in_parallel(lambda i: library.num_threads, 8) == 8 * [1]
        step.wait()
    assert library.num_threads == 4
    step.wait()
    thread.join()
    assert found == {"other": 1, "other ended": 4}


@pytest.mark.parametrize("state", ["ignore", "warn", "raise"])
def test_every_thread_treats_errors_as_the_caller_does(state):
    def part(i):
        time.sleep(0.01)
        return np.geterr()["over"], threading.current_thread().name

    with one_blas_thread(), np.errstate(over=state):
        found = in_parallel(part, 4)
    assert {over for over, _ in found} == {state}
    assert len({name for _, name in found}) == 2


def test_default_errors_are_those_of_numpy():
    with np.errstate(all="raise"), default_errors():
        inside = np.geterr()
    assert inside == np.geterr()


def test_parts_of_a_part_stay_in_its_thread():
    def part(i):
        own = threading.get_ident()
        return [thread == own for thread in in_parallel(lambda j: threading.get_ident(), 4)]

    with one_blas_thread():
        assert in_parallel(part, 4) == [[True] * 4] * 4
