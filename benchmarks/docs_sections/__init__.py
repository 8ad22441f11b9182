"""The sections of docs/benchmarks.md, a module for each subject.

A section is a function of the results, ``{name of a JSON file: its content}``, to
Markdown. Its figures come from the results, through the benchmarks' own summaries where
there are some; the prose around them holds none.
"""

from docs_sections import (
    beside_pca,
    gpu,
    mixed,
    outliers,
    reconstruction,
    scale,
    tables,
    timing,
    variational,
)

SECTIONS = {
    "Autoencoder and VAE beside PCA": beside_pca.versus_pca,
    "MNIST through 30 numbers": reconstruction.mnist,
    "Architectures": reconstruction.architectures,
    "Ordered codes": reconstruction.ordered,
    "Likelihood of MNIST": variational.likelihood,
    "New images": variational.sampling,
    "Disentanglement": variational.disentanglement,
    "Missing values": tables.missing,
    "Mixed tables": mixed.mixed,
    "Outliers": outliers.outliers,
    "Few labels": tables.few_labels,
    "Few labels without arguments": tables.few_labels_default,
    "MNIST with few labels": tables.few_labels_mnist,
    "Speed": timing.speed,
    "From a thousand to a million rows": scale.throughput,
    "Rows on the disk": scale.streams,
    "Text": scale.text,
    "Served by ONNX": scale.serving,
    "On a GPU": gpu.gpu,
}
