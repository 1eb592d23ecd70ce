"""Tables of records for a notebook."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

import numpy as np

MOST_ROWS = 10
MOST_COLUMNS = 8  # of coefficients


def html_table(title: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table with a caption; the first cell of each row is its name."""
    top = "".join(f"<th>{html.escape(text)}</th>" for text in head)
    body = "".join(
        f"<tr><th>{html.escape(first)}</th>"
        + "".join(f"<td>{html.escape(text)}</td>" for text in rest)
        + "</tr>"
        for first, *rest in rows
    )
    return (
        f"<table><caption>{html.escape(title)}</caption>"
        f"<thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"
    )


def html_of_fits(title: str, columns: dict[str, np.ndarray], coefs: np.ndarray) -> str:
    """A table of fits: some of them, evenly spaced, each with numbers of its own, ``columns`` of
    (n_fits,), and its first coefficients, named x0 and so on, ``coefs`` (n_fits, n_features).
    """
    some = np.unique(np.linspace(0, len(coefs) - 1, MOST_ROWS).round().astype(int))
    shown = {name: values[some] for name, values in columns.items()}
    shown |= {f"x{j}": coefs[some, j] for j in range(min(coefs.shape[1], MOST_COLUMNS))}
    rows = zip(*([f"{value:.4g}" for value in values] for values in shown.values()), strict=True)
    return html_table(title, list(shown), rows)
