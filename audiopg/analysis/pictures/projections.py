"""An embedding in two dimensions: principal components, and t-SNE."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

from audiopg.arrays import Float64

MAX_POINTS = 1500  # more would overlap, and take minutes
PERPLEXITY = 30.0


def project(corpus: str, features: Float64, factors: Mapping[str, NDArray[Any]]) -> pd.DataFrame:
    """Project the first clips of a corpus, at most 1,500.

    Args:
        corpus: its name.
        features: embedding, shape (N, D).
        factors: physics by name, shape (N,) each; numbers, or text where it is a class.

    Returns:
        Columns ``corpus, method, x, y, x_share, y_share`` and the factors, a row per method and clip; the shares are
        those of the variance, in [0, 1], NaN for t-SNE.
    Source: van der Maaten and Hinton (2008) for t-SNE, from the principal components on, as scikit-learn advises.
    """
    chosen = features[:MAX_POINTS]
    known = {name: values[:MAX_POINTS] for name, values in factors.items()}
    pca = PCA(2, svd_solver="full").fit(chosen)
    tsne = TSNE(init="pca", perplexity=min(PERPLEXITY, (len(chosen) - 1) / 3), random_state=0)
    # one thread: several add up in an order that changes from run to run
    with threadpool_limits(1):
        points = {"PCA": pca.transform(chosen), "t-SNE": tsne.fit_transform(chosen)}
    shares = {"PCA": pca.explained_variance_ratio_, "t-SNE": np.full(2, np.nan)}
    parts = [
        pd.DataFrame(
            {
                "corpus": corpus,
                "method": method,
                "x": x.astype(np.float64),
                "y": y.astype(np.float64),
                "x_share": shares[method][0],
                "y_share": shares[method][1],
                **known,
            }
        )
        for method, (x, y) in ((method, xy.T) for method, xy in points.items())
    ]
    return pd.concat(parts, ignore_index=True)
