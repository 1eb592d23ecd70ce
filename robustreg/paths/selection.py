"""What is counted in cross-validation: training sets as weights, scores, and the choice among them."""

from __future__ import annotations

import numpy as np


def present(X, y, w):
    """(X, y, w) without the rows of weight zero; w is (n,) or None."""
    if w is None or w.all():
        return X, y, w
    kept = w > 0.0
    return X[kept], y[kept], w[kept]


def training_sets(splits, w, n):
    """Weights (n,) for each training set of ``splits``: zero outside, times the repeats of a row inside."""
    for i, (train, test) in enumerate(splits):
        weights = np.bincount(np.arange(n)[train], minlength=n) * (1.0 if w is None else w)
        if not weights.any() or (w is not None and not w[test].any()):
            raise ValueError(f"sample_weight must have a positive entry in every training and test set; not in {i}.")
        yield weights


def scores_of(model, scorer, params, X, y, test, coef, intercept):
    """The scores (K,) of coef (K, p) and intercept (K,) on the rows ``test``, with what of ``params`` is theirs.

    ``scorer(model, X, y, **params)`` scores the estimator ``model``; None is the negative mean absolute error.
    """
    X, y, coef = X[test], y[test], coef.astype(np.float32 if X.dtype == np.float32 else np.float64)
    params = {name: np.asarray(value)[test] if np.ndim(value) else value for name, value in params.items()}
    if scorer is None:
        return -np.average(np.abs((X @ coef.T + intercept).T - y), axis=1, weights=params.get("sample_weight"))
    scores = np.empty(len(coef))
    for k in range(len(coef)):
        model.coef_, model.intercept_, model.n_features_in_ = coef[k], intercept[k], X.shape[1]
        scores[k] = scorer(model, X, y, **params)
    return scores


def chosen(scores, one_standard_error) -> tuple[int, int]:
    """The numbers of the alpha and the delta of the best mean of scores (n_folds, n_alphas, n_deltas).

    With ``one_standard_error`` those of the largest alpha, then the largest delta, that are within one of the best.
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


def results(scores, alphas, deltas) -> dict:
    """``cv_results_`` as scikit-learn's searches have it; ``deltas`` is None where there is no delta."""
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
    return out | {
        "mean_test_score": mean,
        "std_test_score": std,
        "rank_test_score": np.array([1 + np.count_nonzero(order > one) for one in order], dtype=np.int32),
    }
