"""What cross-validation counts: training sets as weights, scores, and the choice among them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any

import numpy as np

from ..data.blocks import product
from ..data.threads import in_parallel, one_blas_thread
from ..problem.losses import Loss

CHUNK = 2**18  # entries of X and of errors at a time, when scores are computed


def present(X: Any, y: np.ndarray, w: np.ndarray | None) -> tuple[Any, np.ndarray, Any]:
    """(X, y, w) without the rows of weight zero; w is (n,) or None."""
    if w is None or w.all():
        return X, y, w
    kept = w > 0.0
    return X[kept], y[kept], w[kept]


def training_sets(splits: Any, w: np.ndarray | None, n: int) -> Iterator[np.ndarray]:
    """Weights (n,) for each training set of ``splits``.

    They are zero outside of it, and w times the repeats of a row inside.
    """
    for i, (train, test) in enumerate(splits):
        weights = np.bincount(np.arange(n)[train], minlength=n) * (1.0 if w is None else w)
        if not weights.any() or (w is not None and not w[test].any()):
            raise ValueError(
                "sample_weight must have a positive entry in every training and test set; "
                f"not in {i}."
            )
        yield weights


@dataclass(frozen=True, slots=True, eq=False)
class Scoring:
    """What scores need.

    An estimator ``model`` to write coefficients into; ``scorer(model, X, y, **params)``, or None
    for the negative mean of ``loss``, a corner; and all rows X (n, p), y (n,).
    """

    model: Any
    scorer: Any
    params: dict
    X: Any
    y: np.ndarray
    loss: Loss


def scores_of(
    scoring: Scoring, test: np.ndarray, coef: np.ndarray, intercept: np.ndarray
) -> np.ndarray:
    """The scores (k,) of coef (k, p) and intercept (k,) on the rows ``test``.

    Parameters that are arrays are taken at these rows.
    """
    coef = coef.astype(np.float32 if scoring.X.dtype == np.float32 else np.float64)
    if scoring.scorer is None:
        return -_mean_losses(scoring, np.arange(len(scoring.y))[test], coef, intercept)
    X, y, model = scoring.X[test], scoring.y[test], scoring.model
    params = {name: np.asarray(v)[test] if np.ndim(v) else v for name, v in scoring.params.items()}
    scores = np.empty(len(coef))
    for k in range(len(coef)):
        model.coef_, model.intercept_, model.n_features_in_ = coef[k], intercept[k], X.shape[1]
        scores[k] = scoring.scorer(model, X, y, **params)
    return scores


def _mean_losses(scoring: Scoring, test: np.ndarray, coef, intercept) -> np.ndarray:
    """The weighted mean losses (k,) on the rows with the numbers ``test``, of which only
    some are copied at a time.
    """
    w, step = scoring.params.get("sample_weight"), max(1, CHUNK // sum(coef.shape))

    def part(i: int) -> np.ndarray:
        rows = test[i * step : (i + 1) * step]
        share = np.ones(len(rows)) if w is None else np.asarray(w)[rows]
        error = scoring.y[rows] - product(scoring.X[rows], coef.T).T - intercept[:, None]
        return np.append(np.dot(scoring.loss.value(error), share), share.sum())

    with one_blas_thread():
        sums = reduce(add, in_parallel(part, -(-len(test) // step)))
    return sums[:-1] / sums[-1]


def chosen(scores: np.ndarray, one_standard_error: bool) -> tuple[int, int]:
    """The numbers of the alpha and the delta with the best mean score of the folds.

    ``scores`` are (n_folds, n_alphas, n_deltas). With ``one_standard_error`` those of the largest
    alpha, then the largest delta, that are within one of the best.
    """
    mean = scores.mean(axis=0)
    if not np.any(np.isfinite(mean)):
        raise ValueError("scoring must give finite scores; got none, for any candidate.")
    mean = np.where(np.isfinite(mean), mean, -np.inf)
    best = np.unravel_index(np.argmax(mean), mean.shape)
    if one_standard_error and len(scores) > 1:
        error = scores[(slice(None), *best)].std(ddof=1) / np.sqrt(len(scores))
        near = np.argwhere(mean >= mean[best] - error)
        best = near[np.lexsort((near[:, 1], near[:, 0]))[-1]]
    return int(best[0]), int(best[1])


def results(scores: np.ndarray, alphas: Any, deltas: Any) -> dict:
    """``cv_results_`` as scikit-learn's searches have it; ``deltas`` is None if there is none."""
    candidates = [{"alpha": float(a)} for a in alphas]
    if deltas is not None:
        candidates = [one | {"delta": float(d)} for one in candidates for d in deltas]
    flat = scores.reshape(len(scores), -1)
    mean = flat.mean(axis=0)
    out = {f"param_{name}": np.array([one[name] for one in candidates]) for name in candidates[0]}
    out |= {"params": candidates} | {f"split{i}_test_score": row for i, row in enumerate(flat)}
    with np.errstate(over="ignore", invalid="ignore"):  # squares of scores in extreme units
        std = flat.std(axis=0)
    order = np.where(np.isnan(mean), -np.inf, mean)
    ranks = [1 + np.count_nonzero(order > one) for one in order]
    return out | {
        "mean_test_score": mean,
        "std_test_score": std,
        "rank_test_score": np.array(ranks, dtype=np.int32),
    }
