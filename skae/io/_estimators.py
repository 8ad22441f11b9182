"""Files and pickles of estimators."""

import platform
import warnings
from collections.abc import Mapping
from importlib.metadata import version

from sklearn.exceptions import InconsistentVersionWarning

import skae
from skae._sklearn import check_is_fitted
from skae.io._codec import CannotBeWrittenError, Reader, Writer
from skae.io._file import MALFORMED, malformed, read, write

_PACKAGES = "numpy", "scikit-learn", "skorch", "torch"


class FileMixin:
    """Files of a fitted estimator, and pickles that know their version."""

    def save(self, path):
        """Write the fitted estimator to a file, which :func:`skae.load` reads.

        It is one safetensors file: the weights and all other arrays, and in its
        metadata, as JSON, the class, the parameters, what else was fitted, the
        versions, and a SHA-256 checksum of the whole file. No code is in it, and none
        of it is run when it is read. An earlier file is replaced when the new one is
        whole.

        Functions and modules of your own are only named, and passed again to
        :func:`skae.load`. As pickles, files have no momentum of `partial_fit`.

        Rows of the training are in the file where the estimator keeps some: those among
        which an :class:`AutoencoderDetector` finds neighbours, a classifier's, those of
        a `partial_fit` that has just begun, and of them the prior "vamp" has some.

        Parameters
        ----------
        path : path-like
            Where the file is written.

        Raises
        ------
        TypeError
            If a fitted attribute holds what files do not have, an object of another
            package say, whose state is not in plain values and arrays. In a file are
            estimators of skae and scikit-learn, but not its trees.
        """
        check_is_fitted(self)
        writer = Writer()
        try:
            encoded = writer.encode(self, "estimator")
        except CannotBeWrittenError as error:
            raise TypeError(
                f"{type(self).__name__} cannot be written to a file: {error}, and "
                "files have no code. A pickle has it."
            ) from None
        versions = {name: version(name) for name in _PACKAGES}
        versions |= {"python": platform.python_version(), "skae": skae.__version__}
        values = {"versions": versions, "given": writer.given, "estimator": encoded}
        write(path, values, writer.arrays)

    def __getstate__(self):
        return super().__getstate__() | {"_skae_version": skae.__version__}

    def __setstate__(self, state):
        state = dict(state)
        written = state.pop("_skae_version", "unknown")
        if written != skae.__version__:
            warnings.warn(
                InconsistentVersionWarning(
                    estimator_name=type(self).__name__,
                    current_sklearn_version=skae.__version__,
                    original_sklearn_version=written,
                ),
                stacklevel=2,
            )
        super().__setstate__(state)


def load(path, **given):
    """Read an estimator that its `save` has written.

    No code of the file is run: it names classes of skae and estimators of scikit-learn,
    and holds numbers and text for them. Its checksum finds damage. Whoever makes a file
    on purpose makes a right checksum as well, and can choose what the model computes.

    Parameters
    ----------
    path : path-like
        The file.
    **given : dict
        Functions and modules of your own that the estimator was made with, by the name
        of the parameter, such as ``architecture=my_network``. Which ones a file needs,
        an error says.

    Returns
    -------
    estimator : object
        The fitted estimator, which computes the same bits on the same machine.

    Raises
    ------
    ValueError
        If the file is damaged, or was not written by `save`, or by that of a later
        version; or if a part of your own is missing.
    TypeError
        If `given` has a name that the file does not need.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> import skae
    >>> from sklearn.datasets import load_iris
    >>> X = load_iris().data
    >>> model = skae.AutoencoderTransformer(max_iter=2, random_state=0).fit(X)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "iris.safetensors")
    ...     model.save(path)
    ...     loaded = skae.load(path)
    >>> bool(np.array_equal(loaded.transform(X), model.transform(X)))
    True
    """
    values, arrays = read(path)
    _check_given(values.get("given"), given)
    try:
        estimator = Reader(arrays, given).decode(values["estimator"])
        assert isinstance(estimator, FileMixin)
    except MALFORMED as error:
        raise malformed(path, error) from error
    return estimator


def _check_given(needed, given: Mapping) -> None:
    needed = needed or {}
    missing = [
        f"{name} ({looks})" for name, looks in needed.items() if name not in given
    ]
    if missing:
        raise ValueError(
            f"The file has no code of your own: pass {', '.join(missing)} to load, "
            "by name."
        )
    unknown = sorted(given.keys() - needed.keys())
    if unknown:
        raise TypeError(
            f"The file needs no {', '.join(unknown)}; it needs "
            f"{', '.join(needed) or 'nothing'}."
        )
