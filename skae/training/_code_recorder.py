"""A callback that records how codes move in the course of a fit."""

import torch
from sklearn.utils import check_array
from skorch.callbacks import Callback
from torch import Tensor

from skae.nn._modules import Encoder


class CodeRecorder(Callback):
    """Record the codes of some rows before the first epoch and after each.

    It is an element of the parameter `callbacks` of a transformer; training and its
    result are the same with it and without. :func:`skae.plotting.animate_codes` shows
    what it has recorded.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Rows, as the transformer gets them: behind a scaler the scaled ones.

    Attributes
    ----------
    codes_ : list of ndarray of shape (n_samples, n_components)
        Codes under the initial model, and after each epoch.

    See Also
    --------
    animate_codes : An animation of them.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skae import AutoencoderTransformer
    >>> from skae.plotting import CodeRecorder
    >>> X = load_iris().data
    >>> recorder = CodeRecorder(X)
    >>> model = AutoencoderTransformer(max_iter=3, callbacks=[recorder]).fit(X)
    >>> len(recorder.codes_), recorder.codes_[0].shape
    (4, (150, 2))
    """

    codes_: list
    rows_: Tensor

    def __init__(self, X):
        self.X = X

    def on_train_begin(self, net, **kwargs):
        """Check the rows, and forget what an earlier fit has recorded."""
        X = check_array(self.X, dtype="float32", ensure_all_finite="allow-nan")
        n_features = net.module_.units.n_features
        if X.shape[1] != n_features:
            raise ValueError(
                f"X of CodeRecorder has {X.shape[1]} features, but the transformer is "
                f"fitted to {n_features}: behind other steps it gets what they make."
            )
        self.rows_ = torch.from_numpy(X).to(net.device)
        self.codes_ = []

    def on_epoch_begin(self, net, **kwargs):
        """Record the codes of the initial model, once."""
        if not self.codes_:
            self._record(net)

    def on_epoch_end(self, net, **kwargs):
        """Record the codes of the epoch."""
        self._record(net)

    def on_train_end(self, net, **kwargs):
        """Drop the rows on the device."""
        del self.rows_

    @torch.no_grad()
    def _record(self, net) -> None:
        model, was_training = net.module_, net.module_.training
        self.codes_.append(Encoder(model).eval()(self.rows_).numpy(force=True))
        model.train(was_training)
