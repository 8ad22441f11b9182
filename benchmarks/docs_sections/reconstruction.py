"""Reconstruction of images and sequences, and by a part of an ordered code."""

from mnist_reconstruction import _PUBLISHED

from docs_sections.codes import errors, kinds
from docs_sections.markdown import best_in_bold, fixed, made_by, prose, section, table

# `transform_max_iter` of results that do not name it: the default of their time.
_STEPS = 3


# MNIST.


def mnist(results: dict) -> str:
    """Of 30 latents and the published network, and of 32 with default settings."""
    deep, default = results["mnist_reconstruction"], results["versus_pca"]["mnist"]
    lines = [
        (
            f"{deep['components']} numbers, hidden layers "
            f"{'-'.join(map(str, deep['hidden_layer_sizes']))}",
            *_errors(deep),
            f"{deep['minutes']:.0f}",
        )
    ]
    if default:
        lines.append(
            (
                f"{default['k']} numbers, default settings",
                *_errors(default),
                f"{default['ae_seconds'] / 60:.0f}",
            )
        )
    header = ("", "encoder", "refined", "PCA", "minutes of fit")
    return section(
        made_by(deep, *([default] if default else [])),
        prose(f"""
            Squared error of a test image, summed over its 784 pixels in [0, 1], after a
            fit to the 60,000 training images. Hinton and Salakhutdinov (2006) report
            {_PUBLISHED:.2f} for 30 numbers and the same hidden layers.
        """),
        table(header, lines),
    )


def _errors(row: dict) -> tuple[str, ...]:
    found = errors(row)
    return tuple(
        fixed(value, 2)
        for value in (found.get("encoder"), found.get("refined"), row["pca_error"])
    )


# Architectures.

_DATA = {
    "images": "10,000 of MNIST, 16 latents",
    "sequences": "sinusoids of 64 positions, 4 latents",
}


def architectures(results: dict) -> str:
    results = results["architectures"]
    fits = results["fits"]
    found = kinds(fits)
    lines = []
    for name in dict.fromkeys(fit["data"] for fit in fits):
        own = {fit["net"]: fit for fit in fits if fit["data"] == name}
        ratios = [
            best_in_bold(
                {n: errors(fit)[kind] / fit["pca_error"] for n, fit in own.items()},
                3,
                min,
            )
            for kind in found
        ]
        lines += [
            (
                _DATA[name],
                net,
                f"{fit['n_weights']:,}",
                f"{fit['seconds'] / 60:.1f}",
                *(fixed(errors(fit)[kind], 2) for kind in found),
                *(texts[net] for texts in ratios),
            )
            for net, fit in own.items()
        ]
    header = (
        "data",
        "network",
        "weights",
        "minutes",
        *(f"error, {kind}" for kind in found),
        *(f"/ PCA's, {kind}" for kind in found),
    )
    return section(
        made_by(results),
        prose("""
            Squared error of held-out rows. The perceptron (`mlp`, the default) on
            images has about as many weights as the convolutional networks; sinusoids
            have a random frequency and phase, and noise.
        """),
        table(header, lines),
    )


# Ordered codes.


def ordered(results: dict) -> str:
    results = results["ordered"]
    params, fits = dict(results["params"]), results["fits"]
    steps = params.pop("transform_max_iter", _STEPS)
    sizes = [size["size"] for size in fits[0]["sizes"]]
    lines = [
        (
            fit["data"],
            *(
                f"{size['prefix'] / size['alone']:.2f} "
                f"({size['prefix'] / size['pca']:.2f})"
                for size in fit["sizes"]
            ),
        )
        for fit in fits
    ]
    settings = ", ".join(f"`{name}={value}`" for name, value in params.items())
    share = results["share"]
    return section(
        made_by(results),
        prose(f"""
            The first latents of one ordered code of {max(sizes)} beside a model of that
            size alone with the same settings ({settings},
            `transform_max_iter={steps}`): ratio of held-out errors, above one where the
            model alone is better; in brackets the ratio to PCA's error. "mnist" is
            10,000 of its images.
        """),
        table(("data", *sizes), lines),
        f"`n_components={share['share']}` takes {share['components']} components of "
        f"digits, PCA {share['pca_components']}.",
    )
