"""Tables with missing values, and with few labels."""

import few_labels_report as report
import numpy as np
from few_labels import TUNED

from docs_sections.markdown import (
    best_in_bold,
    fixed,
    listed,
    made_by,
    number,
    prose,
    section,
    table,
)

# Missing values.

_IMPUTERS = {
    "mean": "means",
    "KNNImputer": "`KNNImputer`",
    "IterativeImputer": "`IterativeImputer`",
    "normal law": "multivariate normal",
}


def missing(results: dict) -> str:
    results = results["missing"]
    rows = results["rows"]
    n_patterns = len({row["seed"] for row in rows})
    n_above = sum(r["errors"]["VAE"] > r["errors"]["IterativeImputer"] for r in rows)
    coverages = [row["coverage"]["VAE"] for row in rows]
    means = {name: _errors(own) for name, own in _by_table(rows).items()}
    return section(
        made_by(results),
        prose(f"""
            Half of the entries of each standardised table are masked at random, in
            {number(n_patterns)} patterns; mean squared error of the imputed ones. The
            models have d - 1 latents of d features, at most 32, and default settings
            otherwise. "Multivariate normal" is what completes rows for the encoder,
            used alone. "Covered" is the fraction of the masked entries within the VAE's
            intervals of 90 %, from 100 imputations.
        """),
        _imputations(rows, means),
        prose(f"""
            The VAE is above `IterativeImputer` in {number(n_above)} of {len(rows)}
            pairs of table and pattern. Its mean is above the multivariate normal's on
            {_losses(means, "normal law")}, that of the autoencoder on
            {_losses(means, "normal law", "AE")}. By table and pattern, between
            {min(coverages):.0%} and {max(coverages):.0%} of the entries are covered. On
            tables of more than 200 features `IterativeImputer` takes the 20 nearest
            features of each; a run with all of them takes hours.
        """),
    )


def _errors(rows: list[dict]) -> dict[str, float]:
    names = rows[0]["errors"]
    return {name: float(np.mean([r["errors"][name] for r in rows])) for name in names}


def _losses(means: dict, rival: str, ours: str = "VAE") -> str:
    """Tables whose error, as printed, is above the rival's."""
    return listed(
        name
        for name, errors in means.items()
        if round(errors[ours], 3) > round(errors[rival], 3)
    )


def _imputations(rows: list[dict], means: dict) -> str:
    lines = []
    for name, own in _by_table(rows).items():
        shape = f"{own[0]['n_rows']:,} x {own[0]['n_features']:,}"
        covered = np.mean([row["coverage"]["VAE"] for row in own])
        errors = best_in_bold(means[name], 3, min).values()
        lines.append((f"{name} ({shape})", *errors, f"{100 * covered:.0f}"))
    names = [_IMPUTERS.get(name, name) for name in rows[0]["errors"]]
    return table(("table (rows x features)", *names, "covered, %"), lines)


def _by_table(rows: list[dict]) -> dict[str, list[dict]]:
    return report._by_table(rows)


# Few labels.


def few_labels(results: dict) -> str:
    results = results["few_labels"]
    rows, summary = results["rows"], results["summary"]
    shares = sorted({row["share"] for row in rows})
    n_tables = summary["all"]["n_tables"]
    fractions = listed(f"{share:.0%}" for share in shares)
    return section(
        made_by(results),
        prose(f"""
            Features are learned on all training rows without labels, and logistic
            regression on {fractions} of their labels, with C chosen by cross-validation
            on the labelled rows. One setting for all tables, "AE swap":
            `AutoencoderTransformer(max(64, 2 * d), hidden_layer_sizes=(256,),
            noise="swap", noise_level=0.2)` of d features, so more latents than
            features, and no scaler after it. At most {results["max_rows"]:,} rows of
            each of {n_tables} tables, five splits. AUROC, mean over the fractions and
            the splits:
        """),
        _contenders(summary["all"]["auroc"]),
        prose("""
            In brackets: by two standard errors over the splits, which share rows, so
            that the errors come out too small. "Best of raw and PCA" is chosen for each
            table after the fact, among the raw rows and six variants of PCA. "AE no
            noise" has no corruption, "d/2" half as many latents as features.
        """),
        f"The same over the {summary['unseen']['n_tables']} tables that did not choose "
        "the setting:",
        _contenders(summary["unseen"]["auroc"]),
        "By table (* chose nothing):",
        _few_labels_by_table(rows),
    )


def _contenders(found: dict) -> str:
    lines = []
    for name, values in found.items():
        cells = [
            f"{c['better']}, {c['level']}, {c['worse']} "
            f"({c['clearly_better']}, {c['clearly_worse']})"
            for c in values["against"].values()
        ]
        lines.append((name, fixed(values["mean"], 3), *cells))
    rivals = next(iter(found.values()))["against"]
    header = ("features", "mean", *(f"better, level, worse than {r}" for r in rivals))
    return table(header, lines)


def _few_labels_by_table(rows: list[dict]) -> str:
    names = ("raw", "PCA", "PCA whitened", report._LINEAR)
    names += tuple(n for n in rows[0]["measures"] if n.startswith("AE"))
    lines = []
    for title, own in report._by_table(rows).items():
        means = report._means(own, "auroc")
        mark = "" if title in TUNED else " *"
        texts = best_in_bold({name: means[name] for name in names}, 3, max)
        lines.append((title + mark, *texts.values()))
    return table(("table", *names), lines)


def few_labels_default(results: dict) -> str:
    own, images = results["few_labels_default"], results["few_labels_default_mnist"]
    rows = own["rows"] + [r for r in images["rows"] if r["table"] == "mnist"]
    of_images = [r for r in rows if r["table"] in ("digits", "mnist")]
    of_images = [r for r in of_images if r["labels"].endswith("a class")]
    names = list(rows[0]["measures"])
    return section(
        made_by(own, images),
        prose("""
            `SemiSupervisedClassifier()` without arguments beside the raw rows, with the
            same choice of a classifier, with a cross-validated logistic regression and
            with `SVC()`. Tables, 5, 10 and 25 % of the labels: the geometric mean of
            the errors of new rows over the rival's, and the cases in which the default
            is worse, or better, by a standard error of the paired differences.
        """),
        table(
            ("rival", "cases", "error / rival's", "worse", "better"),
            [
                (
                    each["rival"],
                    each["cases"],
                    fixed(each["error_ratio"], 3),
                    each["worse"],
                    each["better"],
                )
                for each in own["summary"]["tables"]
            ],
        ),
        "Digits and MNIST, errors of new rows in %:",
        table(
            ("", *names, "features"),
            [
                (
                    f"{row['table']}, {row['labels']}",
                    *(fixed(100 * row["measures"][n]["error"], 1) for n in names),
                    row["measures"]["default"]["features"],
                )
                for row in of_images
            ],
        ),
    )


def few_labels_mnist(results: dict) -> str:
    results = results["few_labels_mnist"]
    rows, setting = results["rows"], results["setting"]
    seconds = [fit["autoencoder"] / 60 for fit in results["seconds_of_fit"]]
    numbers = sorted({row["n_labels"] for row in rows})
    lines = []
    for kind, features in dict.fromkeys((r["classifier"], r["features"]) for r in rows):
        cells = []
        for n in numbers:
            own = [
                row
                for row in rows
                if (row["classifier"], row["features"]) == (kind, features)
                and row["n_labels"] == n
            ]
            cells.append(_mean_and_deviation(own))
        lines.append((_CLASSIFIERS[kind], _FEATURES[features], *cells))
    graph = _arguments(results["graph"])
    return section(
        made_by(results),
        prose(f"""
            Error in percent on the 10,000 test images, mean and standard deviation over
            ten balanced draws of the labels, with each of {number(len(seconds))}
            networks. Features are learned from all 60,000 training images, without
            labels and without knowing that rows are images:
            `AutoencoderTransformer({_arguments(setting)})`, fitted in
            {min(seconds):.0f} to {max(seconds):.0f} minutes on one core. `SVC` sees the
            labelled rows, `LabelPropagation({graph})` all rows; its `max_iter` is part
            of the setting
            ([defaults](defaults.md#mnist-without-knowing-that-rows-are-images)).
        """),
        table(("classifier", "features", *(f"{n:,} labels" for n in numbers)), lines),
        "Means by network:",
        _by_network(results["summary"], numbers),
    )


_CLASSIFIERS = {"SVC": "`SVC()`", "graph": "`LabelPropagation`"}
_FEATURES = {"PCA": "PCA, 50 components", "autoencoder": "autoencoder, 14 latents"}


def _arguments(setting: dict) -> str:
    return ", ".join(f"{name}={_python(value)}" for name, value in setting.items())


def _python(value) -> str:
    """JSON has lists where the call has tuples."""
    if isinstance(value, str):
        return f'"{value}"'
    return repr(tuple(value) if isinstance(value, list) else value)


def _mean_and_deviation(rows: list[dict]) -> str:
    errors = [row["error_percent"] for row in rows]
    if not errors:
        return "-"
    return f"{np.mean(errors):.1f} ({np.std(errors, ddof=1):.1f})"


def _by_network(summary: list[dict], numbers: list[int]) -> str:
    lines = []
    for kind, features, seed in dict.fromkeys(
        (case["classifier"], case["features"], case["seed"]) for case in summary
    ):
        means = {
            case["n_labels"]: case["mean"]
            for case in summary
            if (case["classifier"], case["features"], case["seed"])
            == (kind, features, seed)
        }
        lines.append(
            (
                _CLASSIFIERS[kind],
                f"{_FEATURES[features]}, seed {seed}",
                *(fixed(means.get(n), 2) for n in numbers),
            )
        )
    return table(("classifier", "features", *(f"{n:,}" for n in numbers)), lines)
