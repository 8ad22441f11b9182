"""Codes of made documents before a classifier: autoencoder, its start, TruncatedSVD.

Documents are made of topics: words have Zipf's frequencies, a topic prefers some of
them, a document mixes a few topics, and a word that came comes again. Classes are main
topics. Words are counted and weighted by tf-idf, rows have norm one, sparse; each
contender makes 100 features, and a logistic regression chooses its strength.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from reporting import RESULTS, environment, print_table, write_json
from scipy import sparse
from sklearn.base import clone
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.linear_model import LogisticRegressionCV
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skae import AutoencoderTransformer

_N_COMPONENTS = 100
_N_TOPICS = 60
_N_CLASSES = 20


def make_documents(n_documents: int, n_words: int, seed: int):
    """Counts (n, d), sparse, and classes (n,)."""
    rng = np.random.default_rng(seed)
    zipf = 1 / np.arange(2, n_words + 2)
    # A topic prefers a few words, rare ones as well.
    topics = zipf * rng.gamma(0.05, size=(_N_TOPICS, n_words)) + 1e-12
    topics /= topics.sum(1, keepdims=True)
    general = zipf / zipf.sum()
    rows, classes = [], rng.integers(_N_CLASSES, size=n_documents)
    for label in classes:
        # The main topic is one of three of the class; others come in.
        weights = rng.dirichlet(np.full(_N_TOPICS, 0.03))
        main = label * 3 + rng.integers(3)
        mixed = 0.25 * topics[main] + 0.25 * weights @ topics + 0.5 * general
        length = int(rng.lognormal(4.5, 0.6)) + 20
        words, counts = np.unique(
            rng.choice(n_words, length, p=mixed), return_counts=True
        )
        # Words come in bursts.
        counts = counts + rng.poisson(0.7 * counts)
        row = sparse.csr_array(
            (counts.astype(np.float32), (np.zeros(len(words), int), words)),
            shape=(1, n_words),
        )
        rows.append(row)
    return sparse.vstack(rows, format="csr"), classes


def contenders(seed: int) -> dict:
    autoencoder = AutoencoderTransformer(_N_COMPONENTS, random_state=seed)
    return {
        "TruncatedSVD": TruncatedSVD(_N_COMPONENTS, random_state=seed),
        "start": clone(autoencoder).set_params(max_iter=0),
        "autoencoder": autoencoder,
    }


def compare(n_documents: int, n_words: int, seed: int) -> list[dict]:
    counts, y = make_documents(n_documents, n_words, seed)
    train, test = train_test_split(np.arange(len(y)), test_size=0.3, random_state=seed)
    tfidf = TfidfTransformer(sublinear_tf=True).fit(counts[train])
    X_train, X_test = tfidf.transform(counts[train]), tfidf.transform(counts[test])
    rows = []
    for name, model in contenders(seed).items():
        begun = time.perf_counter()
        codes = model.fit(X_train).transform(X_train)
        seconds = time.perf_counter() - begun
        classifier = make_pipeline(
            StandardScaler(),
            LogisticRegressionCV(Cs=np.logspace(-4, 0, 5), cv=3, max_iter=300),
        ).fit(codes, y[train])
        rows.append(
            {
                "model": name,
                "n_documents": n_documents,
                "n_words": n_words,
                "filled": counts.nnz / np.prod(counts.shape),
                "seed": seed,
                "accuracy": classifier.score(model.transform(X_test), y[test]),
                "seconds": seconds,
            }
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--documents", type=int, default=6_000)
    parser.add_argument("--words", type=int, default=10_000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--output", type=Path, default=RESULTS / "text.json")
    arguments = parser.parse_args()
    rows = []
    for seed in range(arguments.seeds):
        for row in compare(arguments.documents, arguments.words, seed):
            rows.append(row)
            write_json(arguments.output, {"environment": environment(), "rows": rows})
            print_table(tuple(row), [tuple(row.values())])


if __name__ == "__main__":
    main()
