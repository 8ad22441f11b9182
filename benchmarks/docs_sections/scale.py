"""Seconds and memory as tables grow, and models that are served elsewhere."""

from collections import defaultdict

import numpy as np
from text import AUTOENCODER, START, SVD
from throughput import MODELS

from docs_sections.markdown import (
    best_in_bold,
    fixed,
    made_by,
    number,
    prose,
    section,
    table,
)

_MB, _MIB = 1e6, 2**20
_TEXT = SVD, START, AUTOENCODER


def throughput(results: dict) -> str:
    results = results["throughput"]
    rows = results["rows"]
    powers = {(s["model"], s["n_features"]): s["power"] for s in results["slopes"]}
    widths = sorted({row["n_features"] for row in rows})
    return section(
        made_by(results),
        prose("""
            Default fits of made rows, each in a process of its own. The memory is the
            largest beyond the packages and the rows, which are float32. Both axes of
            the plot are logarithmic.
        """),
        "![Seconds and memory of fits](../benchmarks/results/throughput.png)",
        _growth(rows),
        prose("""
            Seconds grow with a power of the rows, here between the two largest tables
            of each width; one is linear. A fit has at most 10,000 steps by default.
        """),
        table(
            ("features", *MODELS),
            [
                (f"{d:,}", *(fixed(powers.get((m, d)), 2) for m in MODELS))
                for d in widths
            ],
        ),
    )


def _growth(rows: list[dict]) -> str:
    found = {(r["n_rows"], r["n_features"], r["model"]): r for r in rows}
    sizes = sorted({key[:2] for key in found}, key=lambda size: (size[1], size[0]))
    lines = []
    for n, d in sizes:
        own = [found[n, d, model] for model in MODELS]
        seconds = [fixed(row["fit_seconds"], 2) for row in own]
        memory = [fixed(row["memory"] / _MB, 0) for row in own]
        lines.append(
            (f"{n:,} x {d:,}", *seconds, f"{own[0]['size'] / _MB:.0f}", *memory)
        )
    header = ("rows x features", *(f"{m}, s" for m in MODELS), "X, MB")
    return table((*header, *(f"{m}, MB" for m in MODELS)), lines)


def _sparse(found: dict) -> str:
    full, few, dense = (found[n] for n in ("all", "tenth", "tenth, dense batches"))
    return prose(f"""
        Sparse rows: two epochs over {full["n_rows"]:,} x {found["n_features"]:,},
        {100 * found["filled"]:g} % filled, take {full["seconds"] / 60:.1f} minutes,
        {full["processor_seconds"] / 60:.1f} of them of the processor, and
        {full["memory"] / _MIB:,.0f} MiB. A tenth of the rows takes
        {few["processor_seconds"]:.0f} s of the processor and
        {few["memory"] / _MIB:,.0f} MiB; with dense batches, whose products are in
        bfloat16 where a processor has instructions for it,
        {dense["processor_seconds"]:.0f} s and {dense["memory"] / _MIB:,.0f} MiB.
    """)


def streams(results: dict) -> str:
    results = results["streams"]
    speed, large = results["speed"], results["large"]
    errors = speed["errors"]
    return section(
        made_by(speed, large, results["sparse"]),
        prose(f"""
            A memory map of {speed["n_rows"]:,} x {speed["n_features"]:,} rows in
            float32 trains {speed["ratios"]["disk"]:.2f} times as many rows a second as
            the same rows in memory, a Parquet file
            {speed["ratios"]["parquet"]:.2f} times as many: medians of turns. Ten epochs
            have an error of new rows of {errors["disk"]:.4f} and
            {errors["parquet"]:.4f}, in memory {errors["memory"]:.4f}.
        """),
        prose(f"""
            Two epochs over a file of {large["gigabytes"]:.0f} GB, {large["n_rows"]:,} x
            {large["n_features"]:,}, take {large["seconds"] / 60:.0f} minutes and
            {large["memory"] / _MIB:.0f} MiB beyond the packages, of the process and of
            files together.
        """),
        _sparse(results["sparse"]),
    )


def text(results: dict) -> str:
    results = results["text"]
    rows = results["rows"]
    filled = [100 * row["filled"] for row in rows]
    n_seeds = len({row["seed"] for row in rows})
    return section(
        made_by(results),
        prose(f"""
            Documents made of topics, tf-idf of {rows[0]["n_words"]:,} words,
            {min(filled):.1f} to {max(filled):.1f} % filled. 100 features of all
            documents, then a logistic regression on those that have labels: accuracy
            of new documents, means of {number(n_seeds)} corpora. The autoencoder sees
            documents of which half of the entries are left out (`noise="dropout"`), at
            a low rate; its start is PCA. Differences are the autoencoder's from the
            other two, with standard errors; seconds are those of the features.
        """),
        _text_table(rows),
        prose("""
            Without noise no epoch is better than PCA on validation rows, and the start
            is kept.
        """),
    )


def _text_table(rows: list[dict]) -> str:
    groups = defaultdict(list)
    for row in rows:
        keys = "n_documents", "n_topics", "log_length", "n_labels"
        groups[tuple(row[key] for key in keys)].append(row)
    lines = []
    for (n, n_topics, log_length, n_labels), own in groups.items():
        # (3, number of seeds) each
        accuracies, seconds = (
            np.array([[r[key] for r in own if r["model"] == name] for name in _TEXT])
            for key in ("accuracy", "seconds")
        )
        lines.append(
            (
                f"{n:,}, {n_topics} topics, {20 + np.exp(log_length):.0f} words",
                f"{n_labels:,}",
                *best_in_bold(dict(zip(_TEXT, accuracies.mean(1))), 3, max).values(),
                *(_mean_and_error(accuracies[-1] - other) for other in accuracies[:-1]),
                *(fixed(value, 1) for value in seconds.mean(1)),
            )
        )
    differences = (f"less {name}" for name in _TEXT[:-1])
    times = (f"{name}, s" for name in _TEXT)
    return table(
        ("documents, median length", "labels", *_TEXT, *differences, *times), lines
    )


def _mean_and_error(values: np.ndarray) -> str:
    error = values.std(ddof=1) / len(values) ** 0.5
    return f"{values.mean():+.3f} ± {error:.3f}"


def serving(results: dict) -> str:
    results = results["onnx_environment"]
    names = {"onnxruntime": "onnxruntime alone", "skae": "skae"}
    lines = [
        (
            title,
            f"{results[name]['packages_bytes'] / _MIB:,.0f}",
            f"{results[name]['file_bytes'] / 1024:,.0f}",
            fixed(results[name]["import_s"], 2),
            fixed(results[name]["answer_s"], 2),
        )
        for name, title in names.items()
    ]
    return section(
        "Made by `python benchmarks/onnx_environment.py`.",
        prose("""
            A scaler, an autoencoder and a logistic regression for digits, as an ONNX
            file in an environment of onnxruntime, and as a pickle in one of skae. The
            seconds are those of a new process; labels are the same. Milliseconds of a
            row are printed by `docs/gallery/serve_with_onnx.py`.
        """),
        table(
            ("environment", "packages, MiB", "file, KiB", "import, s", "answer, s"),
            lines,
        ),
    )
