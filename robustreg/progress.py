"""How far a fit is: a line for each step, and scikit-learn's callbacks where it has them (1.9 and
later).
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

try:
    from sklearn.callback import (
        CallbackSupportMixin,  # pyright: ignore[reportAssignmentType]
        with_callbacks,
    )
except ImportError:

    class CallbackSupportMixin:
        """Without callbacks, as scikit-learn before 1.9 is."""

    def with_callbacks(method):
        """The method as it is."""
        return method


__all__ = ["CallbackSupportMixin", "Progress", "begun", "with_callbacks"]


@dataclass(frozen=True, slots=True, eq=False)
class Progress:
    """A task of a fit, which tells of its steps: as lines if ``verbose``, and to the callbacks of
    ``context``.

    ``began`` is the time at which the fit did; ``context`` is None without callbacks. Picklable: it
    is sent to worker processes.
    """

    verbose: int
    began: float
    estimator: Any
    context: Any

    def __call__(self, step: str, rows: int, gap: float = math.nan, count: int = 1) -> None:
        """``step`` is done with so many ``rows`` open and a relative ``gap``; it counts for
        ``count`` steps.
        """
        if self.verbose:
            bound = "" if math.isnan(gap) else f"  gap {gap:.1e}"
            print(f"{time.time() - self.began:9.3f} s  {step:<36} {rows:>12,} rows kept{bound}")
        for _ in range(count if self.context else 0):
            with replace(self, context=self.context.subcontext(task_name=step)):
                pass

    def end(self, work: Any) -> None:
        """Print what the whole fit took, ``work``, if ``verbose``."""
        if self.verbose:
            print(f"{time.time() - self.began:9.3f} s  {work}")

    @property
    def tell(self) -> Progress | None:
        """Itself, or None where nobody listens."""
        return self if self.verbose or self.context else None

    def task(self, name: str, steps: int | None) -> Progress:
        """A part of this task, in so many steps (None: unknown), that begins and ends as a context
        manager.
        """
        return replace(
            self,
            context=self.context and self.context.subcontext(task_name=name, max_subtasks=steps),
        )

    def __enter__(self) -> Progress:
        if self.context:
            self.context.call_on_fit_task_begin(estimator=self.estimator)
        return self

    def __exit__(self, *error) -> None:
        if self.context and error[0] is None:
            self.context.call_on_fit_task_end(estimator=self.estimator)

    @contextmanager
    def handed_to(self, estimator: Any) -> Iterator[None]:
        """A part of this task that is the fit of another estimator, with the same callbacks."""
        part = self.task("refit", 0)
        with (
            part.context.propagate_callback_context(estimator) if part.context else nullcontext(),
            part,
        ):
            yield


def begun(estimator: Any, verbose: int, steps: int | None = None) -> Progress:
    """The progress of a fit that begins now, in so many steps (None: unknown), within
    ``with_callbacks``.
    """
    context = estimator._init_callback_context(max_subtasks=steps) if _listened(estimator) else None
    return Progress(verbose, time.time(), estimator, context)


def _listened(estimator: Any) -> bool:
    """Whether the estimator has callbacks, or is part of one that may have."""
    return hasattr(estimator, "_skl_callbacks") or hasattr(estimator, "_parent_callback_ctx")
