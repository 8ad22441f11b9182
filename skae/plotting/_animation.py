"""How codes move in the course of a fit."""

import numpy as np

from skae.plotting._estimators import checked_latents
from skae.plotting._style import axes_for, legend
from skae.plotting._targets import make_targets, scatter

# Width of the margin around the points, in units of their range.
_MARGIN = 0.06


def animate_codes(
    codes,
    y=None,
    *,
    latents=(0, 1),
    ax=None,
    name=None,
    interval=120,
    scatter_kwargs=None,
):
    """Animate codes that :class:`CodeRecorder` has recorded, an epoch a frame.

    Parameters
    ----------
    codes : sequence of array-like of shape (n_samples, n_components)
        Codes of the same rows, before the first epoch and after each.
    y : array-like of shape (n_samples,), default=None
        Classes or numbers by which they are coloured.
    latents : pair of int, default=(0, 1)
        Latents to draw.
    ax : matplotlib Axes, default=None
        Axes to draw on. None makes a new figure.
    name : str, default=None
        Title, before the number of the epoch.
    interval : int, default=120
        Milliseconds of a frame.
    scatter_kwargs : dict, default=None
        Keyword arguments of the points, for `matplotlib.axes.Axes.scatter`.

    Returns
    -------
    animation : matplotlib.animation.FuncAnimation
        ``animation.save("codes.gif", writer="pillow")`` writes a GIF,
        ``animation.to_jshtml()`` returns a page with buttons.

    See Also
    --------
    CodeRecorder : Callback that records the codes.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skae import VAETransformer
    >>> from skae.plotting import CodeRecorder, animate_codes
    >>> X, y = load_iris(return_X_y=True)
    >>> recorder = CodeRecorder(X)
    >>> vae = VAETransformer(max_iter=3, callbacks=[recorder]).fit(X)
    >>> animation = animate_codes(recorder.codes_, y)
    >>> "<img" in animation.to_jshtml()
    True
    """
    frames = np.asarray([np.asarray(frame, dtype=float) for frame in codes])
    if frames.ndim != 3:
        raise ValueError(
            "codes must be a sequence of arrays (n_samples, n_components); got the "
            f"shape {frames.shape}."
        )
    first, second = checked_latents(latents, frames.shape[2], at_most=2)
    points = frames[:, :, [first, second]]  # (epochs, n, 2)
    targets = make_targets(y, points.shape[1])
    ax = axes_for(ax, "animate_codes", figsize=(5.6, 4.4))
    options = {"s": 10, "alpha": 0.8, "linewidths": 0} | (scatter_kwargs or {})
    artists = scatter(ax, *points[0].T, targets, **options)
    ax.set(xlabel=f"Latent {first}", ylabel=f"Latent {second}")
    _set_limits(ax, points)
    if targets.ranks is None:
        ax.figure.colorbar(artists[0], ax=ax, label=targets.label)
    elif targets.label:
        legend(ax, len(targets.classes)).set_title(targets.label)
    title = f"{name}, epoch" if name else "Epoch"

    def draw(epoch):
        for rank, artist in enumerate(artists):
            shown = slice(None) if len(artists) == 1 else targets.ranks == rank
            artist.set_offsets(points[epoch][shown])
        return [*artists, ax.set_title(f"{title} {epoch}")]

    from matplotlib.animation import FuncAnimation

    return FuncAnimation(ax.figure, draw, len(points), interval=interval, blit=False)


def _set_limits(ax, points):
    """Limits of all epochs, so that axes stay as they are."""
    low, high = points.min((0, 1)), points.max((0, 1))
    margin = _MARGIN * (high - low)
    ax.set_xlim(low[0] - margin[0], high[0] + margin[0])
    ax.set_ylim(low[1] - margin[1], high[1] + margin[1])
