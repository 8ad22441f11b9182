"""The variational autoencoder: likelihood, new images, disentanglement."""

from disentanglement import medians
from mnist_likelihood import _PUBLISHED

from docs_sections.markdown import best_in_bold, fixed, made_by, prose, section, table

_BURDA = "Burda et al. (2016), 784-200-200-50, 3,280 epochs"


def likelihood(results: dict) -> str:
    results = results["mnist_likelihood"]
    fits = results["fits"]
    minutes = {f'`"{fit["prior"]}"`': f"{fit['minutes']:.0f}" for fit in fits}
    nats = dict(zip(minutes, (fit["nats"] for fit in fits)))
    texts = best_in_bold(nats | {_BURDA: _PUBLISHED}, 2, min)
    lines = [(name, text, minutes.get(name, "")) for name, text in texts.items()]
    layers = "-".join(map(str, results["hidden_layer_sizes"]))
    return section(
        made_by(results),
        prose(f"""
            Dynamically binarised MNIST, {results["components"]} latents, hidden layers
            {layers}, {fits[0]["n_epochs"]} epochs: minus the importance-weighted bound
            over {results["n_draws"]} samples of the posterior, nats per test image;
            lower is better.
        """),
        table(("prior", "nats", "minutes of fit"), lines),
    )


def sampling(results: dict) -> str:
    results = results["sampling"]
    rows = results["rows"]
    distances = best_in_bold({row["name"]: row["frechet"] for row in rows}, 1, min)
    lines = [
        (row["name"], distances[row["name"]], f"{row['accuracy']:.0%}") for row in rows
    ]
    return section(
        made_by(results),
        prose(f"""
            Images drawn after fits to 20,000 of MNIST with 16 latents, by where their
            codes come from: the standard normal prior, `density="prior"`, or a Gaussian
            mixture of the codes, `density="mixture"`. The Frechet distance is that
            between features (the hidden layer of a classifier) of drawn and of test
            images; for training images it is {results["training_images"]:.1f}. "Told
            apart" is the accuracy of a classifier between drawn and test images; 50 %
            would be perfect.
        """),
        table(("codes from", "Frechet distance", "told apart"), lines),
    )


def disentanglement(results: dict) -> str:
    results = results["disentanglement"]
    lines = [
        (name, fixed(gap, 2), fixed(without, 2))
        for name, gap, without, _ in medians(results["rows"])
    ]
    return section(
        made_by(results),
        prose("""
            Sprites with known shape, scale, rotation and position; mutual information
            gap (MIG, one where each factor has a latent of its own), medians over five
            seeds, `init="random"`. Each model has the best weight of those tried. With
            `init="pca"` the gap is smaller ([defaults](defaults.md#disentanglement)).
        """),
        table(("model", "MIG", "without shape"), lines),
    )
