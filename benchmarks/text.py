"""Codes of made documents before a classifier: autoencoder, its start, TruncatedSVD.

Documents are made of topics: words have Zipf's frequencies, a topic prefers some of
them, a document mixes a few topics, and a word that came comes again. Classes are main
topics. Words are counted and weighted by tf-idf, rows have norm one, sparse; each
contender makes 100 features of all training documents, and a logistic regression, which
chooses its strength, learns from those that have labels.
"""

import argparse
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from reporting import RESULTS, environment, print_table, write_json
from scipy import sparse
from sklearn.base import clone
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.linear_model import LogisticRegressionCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skae import AutoencoderTransformer

_N_COMPONENTS = 100
_TOPICS_PER_CLASS = 3
_N_TEST = 2_000

SVD, START, AUTOENCODER = "TruncatedSVD", "start", "autoencoder"


class Documents(NamedTuple):
    """A kind of corpus: documents, the numbers of labels, topics, and the mean of the
    logarithm of a document's length in words."""

    n_documents: int
    n_labels: tuple[int, ...]
    n_topics: int = 60
    log_length: float = 4.5


CORPORA = (
    Documents(3_000, (3_000,)),
    Documents(6_000, (1_000, 6_000), n_topics=30, log_length=3.5),
    Documents(20_000, (1_000, 5_000, 20_000)),
)


def make_documents(
    n_documents: int, n_words: int, n_topics: int, log_length: float, seed: int
):
    """Counts (n, d), sparse, and classes (n,)."""
    rng = np.random.default_rng(seed)
    zipf = 1 / np.arange(2, n_words + 2)
    # A topic prefers a few words, rare ones as well.
    topics = zipf * rng.gamma(0.05, size=(n_topics, n_words)) + 1e-12
    topics /= topics.sum(1, keepdims=True)
    general = zipf / zipf.sum()
    rows, classes = [], rng.integers(n_topics // _TOPICS_PER_CLASS, size=n_documents)
    for label in classes:
        # The main topic is one of three of the class; others come in.
        weights = rng.dirichlet(np.full(n_topics, 0.03))
        main = label * _TOPICS_PER_CLASS + rng.integers(_TOPICS_PER_CLASS)
        mixed = 0.25 * topics[main] + 0.25 * weights @ topics + 0.5 * general
        length = int(rng.lognormal(log_length, 0.6)) + 20
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
    # Words are left out at random, and the rate suits 10,000 columns: a principal
    # axis has weights of a hundredth.
    autoencoder = AutoencoderTransformer(
        _N_COMPONENTS,
        noise="dropout",
        noise_level=0.5,
        learning_rate_init=2e-4,
        max_iter=5,
        random_state=seed,
    )
    return {
        SVD: TruncatedSVD(_N_COMPONENTS, random_state=seed),
        START: clone(autoencoder).set_params(max_iter=0),
        AUTOENCODER: autoencoder,
    }


def compare(corpus: Documents, n_words: int, seed: int) -> list[dict]:
    n = corpus.n_documents
    counts, y = make_documents(
        n + _N_TEST, n_words, corpus.n_topics, corpus.log_length, seed
    )
    tfidf = TfidfTransformer(sublinear_tf=True).fit(counts[:n])
    X, X_test = tfidf.transform(counts[:n]), tfidf.transform(counts[n:])
    rows = []
    for name, model in contenders(seed).items():
        begun = time.perf_counter()
        codes = model.fit(X).transform(X)
        seconds = time.perf_counter() - begun
        test_codes = model.transform(X_test)
        for n_labels in corpus.n_labels:
            classifier = make_pipeline(
                StandardScaler(),
                LogisticRegressionCV(Cs=np.logspace(-4, 0, 5), cv=3, max_iter=300),
            ).fit(codes[:n_labels], y[:n_labels])
            rows.append(
                {
                    "model": name,
                    **corpus._asdict(),
                    "n_words": n_words,
                    "filled": counts.nnz / np.prod(counts.shape),
                    "n_labels": n_labels,
                    "seed": seed,
                    "accuracy": classifier.score(test_codes, y[n:]),
                    "seconds": seconds,
                    "best_iter": getattr(model, "best_iter_", None),
                }
            )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--words", type=int, default=10_000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--output", type=Path, default=RESULTS / "text.json")
    arguments = parser.parse_args()
    rows = []
    for seed in range(arguments.seeds):
        for corpus in CORPORA:
            for row in compare(corpus, arguments.words, seed):
                rows.append(row)
                print_table(tuple(row), [tuple(row.values())])
            write_json(arguments.output, {"environment": environment(), "rows": rows})


if __name__ == "__main__":
    main()
