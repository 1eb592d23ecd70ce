"""
A sparse text problem
=====================

Ratings of short reviews from their words: a sparse matrix, more columns than many least squares
solvers like, and one review in eight rated by someone who held the scale upside down.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.feature_extraction.text import CountVectorizer

from robustreg import LinearRegressor

VALUE = {"superb": 3.0, "good": 2.0, "fine": 1.0, "dull": -1.0, "bad": -2.0, "awful": -3.0}
FILLER = [
    "plot",
    "actor",
    "scene",
    "music",
    "light",
    "story",
    "voice",
    "stage",
    "song",
    "crowd",
    "seat",
    "night",
]

# %%
# Reviews made of some of these words, and a rating that is the sum of their values, with noise:

rng = np.random.default_rng(0)
words = [*VALUE, *FILLER]
reviews = [" ".join(rng.choice(words, size=rng.integers(4, 12))) for _ in range(4000)]
rating = np.array([sum(VALUE.get(word, 0.0) for word in review.split()) for review in reviews])
rating = rating + 0.5 * rng.standard_normal(4000)
upside_down = rng.random(4000) < 0.125
rating[upside_down] = 8.0 - 2.0 * rating[upside_down]

# %%
# Words and pairs of words, as a sparse matrix; a small penalty, as there are many rare pairs.

vectorizer = CountVectorizer(ngram_range=(1, 2))
X = vectorizer.fit_transform(reviews)
print(
    f"{X.shape[0]} reviews, {X.shape[1]} words and pairs, {100 * X.nnz / np.prod(X.shape):.1f} % of it not zero"
)
place = [vectorizer.vocabulary_[word] for word in VALUE]
models = {
    loss: LinearRegressor(loss, delta=1.0, alpha=alpha).fit(X, rating)
    for loss, alpha in [("mse", 0.005), ("mae", 0.005), ("huber", 0.005)]
}
for loss, model in models.items():
    off = np.abs(model.coef_[place] - list(VALUE.values())).mean()
    print(
        f"{loss:<5}  values of the six words off by {off:.2f} on average, certified: {model.converged_}"
    )

# %%
# The squared loss listens to those who held the scale upside down; the other two recover what a
# word is worth.

styles = {"mse": ("#0072B2", "o"), "mae": ("#D55E00", "^"), "huber": ("#009E73", "s")}
figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
at = np.arange(len(VALUE))
for shift, (loss, (color, marker)) in zip((-0.15, 0.0, 0.15), styles.items(), strict=True):
    ax.plot(at + shift, models[loss].coef_[place], marker, color=color, label=loss)
ax.plot(at, list(VALUE.values()), "_", color="0.2", markersize=30, label="truth")
ax.set_xticks(at, list(VALUE))
ax.set(ylabel="value of a word (points)", title="what a word is worth")
ax.legend()
plt.show()
