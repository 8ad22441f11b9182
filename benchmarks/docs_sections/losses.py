"""Where skae is not the best: what the other sections have against it, in one list."""

from statistics import median

from speed import ratios

from docs_sections import beside_pca, gpu, outliers, tables
from docs_sections.codes import ENCODER, errors
from docs_sections.markdown import listed, number, table

_JAX, _SKAE = "JAX, jitted scan", "skae"
_NORMAL = "normal law"


def losses(results: dict) -> str:
    """A table of subjects, what is better, and the section that shows it."""
    lines = [
        (f"[{subject}](../benchmarks.md#{anchor})", *write(results))
        for subject, anchor, write in (
            ("Reconstruction", "autoencoder-and-vae-beside-pca", _reconstruction),
            ("Seconds", "autoencoder-and-vae-beside-pca", _fit),
            ("Seconds of an epoch", "speed", _epoch),
            ("Architectures", "architectures", _architectures),
            ("Ordered codes", "ordered-codes", _ordered),
            ("Outliers", "outliers", _outliers),
            ("Missing values", "missing-values", _missing),
            ("Few labels", "few-labels", _few_labels),
            ("GPU", "on-a-gpu", _gpu),
        )
    ]
    return table(("subject", "what is better", "by how much"), lines)


def _reconstruction(results):
    cases = beside_pca._cases(results["versus_pca"]["rows"])[ENCODER]
    _, n_level, n_worse = beside_pca._counts(cases)
    worst = max(beside_pca._values(cases, "ratio"))
    return (
        "PCA, on some tables of few rows",
        f"of {len(cases)} cases {n_worse} with more error than PCA and {n_level} with "
        f"as much (within {beside_pca.LEVEL:.2%}); the largest ratio is {worst:.3f}",
    )


def _fit(results):
    rows = results["versus_pca"]["rows"]
    pca, ae, vae = (beside_pca._seconds(rows, name) for name in ("pca", "ae", "vae"))
    return "PCA", f"{pca} s in the median, the autoencoder {ae}, the VAE {vae}"


def _epoch(results):
    rows = results["speed"]["epochs"]["digits"]
    times = median(ratios(rows, _SKAE, _JAX))
    return "a jitted loop in JAX, on small networks", f"{times:.1f} times as fast"


def _architectures(results):
    fits = results["architectures"]["fits"]
    found = {
        fit["net"]: errors(fit)[ENCODER] / fit["pca_error"]
        for fit in fits
        if fit["data"] == "sequences"
    }
    texts = listed(f"{value:.3f} ({net})" for net, value in found.items())
    return (
        "fully connected layers, on sequences of one length",
        f"error / PCA's {texts}",
    )


def _ordered(results):
    worst = [
        max(size["prefix"] / size["alone"] for size in fit["sizes"])
        for fit in results["ordered"]["fits"]
    ]
    return (
        "a model of that size alone",
        f"the first latents have up to {max(worst):.2f} times its error",
    )


def _outliers(results):
    means = results["outliers"]["summary"]["semi"]
    duel = outliers._duel(means[outliers.OURS], means["5-NN"])
    return (
        "five nearest neighbours, on most tables of clean rows",
        f"difference of the mean AUROC, and tables better and worse: {duel}",
    )


def _missing(results):
    found = tables._by_table(results["missing"]["rows"])
    means = {name: tables._errors(own) for name, own in found.items()}
    names = tables._losses(means, _NORMAL)
    return "the multivariate normal alone, on some tables", f"less error on {names}"


def _few_labels(results):
    summary = results["few_labels"]["summary"]["all"]
    counts = summary["auroc"]["AE swap"]["against"]["raw"]
    return (
        "the rows as they are, on some tables",
        f'"AE swap" is worse on {number(counts["worse"])} of {summary["n_tables"]}',
    )


def _gpu(results):
    missed = [
        f"{part}, {figure['name']}: {gpu._text(figure['value'])}, {gpu._goal(figure)} "
        "was the goal"
        for part, found in results["gpu"]["parts"].items()
        for figure in found["figures"]
        if "goal" in figure and not _is_reached(figure)
    ]
    return "our own goals", "; ".join(missed) or "none is missed"


def _is_reached(figure: dict) -> bool:
    sign, bound = figure["goal"]
    return figure["value"] <= bound if sign == "<=" else figure["value"] >= bound
