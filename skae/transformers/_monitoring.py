"""What scikit-learn's callbacks (`sklearn.callback`, from 1.9 on) learn of a fit."""

from contextlib import contextmanager


class Monitor:
    """Tell callbacks of scikit-learn of the epochs of one fit.

    Parameters
    ----------
    estimator : BaseAutoencoder
    context : sklearn.callback.CallbackContext
        Of the whole fit.
    X, y, sample_weight : array-like
        As users passed them.
    """

    def __init__(self, estimator, context, X, y, sample_weight):
        self.estimator, self.context = estimator, context
        # An autoencoder's target is the row itself. Without any, scikit-learn's
        # `ScoringMonitor` computes no score.
        self.data = {"estimator": estimator, "X": X, "y": X if y is None else y}
        if sample_weight is not None:
            self.data["metadata"] = {"sample_weight": sample_weight}

    def begin(self, n_epochs, state):
        """Before the first epoch, of `n_epochs` at most; ``state(net)`` returns fitted
        attributes as they are now."""
        # Not known before the rows are: an automatic number depends on them.
        self.context.max_subtasks = n_epochs
        self.state = state
        self.context.call_on_fit_task_begin(**self.data)

    def reports(self):
        """Functions for the begin and the end of an epoch."""
        return self._epoch_begin, self._epoch_end

    def end(self):
        """After the fit, when the estimator has its fitted attributes."""
        self.context.call_on_fit_task_end(**self.data, reconstruction_attributes={})

    def _epoch_begin(self, net):
        self.epoch = self.context.subcontext(task_name="epoch")
        self.epoch.call_on_fit_task_begin(**self.data)

    def _epoch_end(self, net):
        # A function, which is called only where a callback asks for a fitted estimator.
        return self.epoch.call_on_fit_task_end(
            **self.data, reconstruction_attributes=lambda: self.state(net)
        )


@contextmanager
def monitor(estimator, X, y, sample_weight):
    """Context of a fit, with its `Monitor`, or None where no callback is set."""
    # Also without callbacks: the task of a search or pipeline is replaced by it.
    context = estimator._init_callback_context(max_subtasks=None)
    if not getattr(estimator, "_skl_callbacks", None):
        yield None
        return
    made = Monitor(estimator, context, X, y, sample_weight)
    yield made
    made.end()
    # The callbacks of the net keep it, but a fitted model holds no training row.
    vars(made).clear()


@contextmanager
def fit_tasks(owner, n_tasks, X, y):
    """Context of a fit that consists of so many fits, each by `fit_part`."""
    context = owner._init_callback_context(max_subtasks=n_tasks)
    if context is None:  # scikit-learn < 1.9
        yield None
        return
    context.call_on_fit_task_begin(estimator=owner, X=X, y=y)
    yield context
    context.call_on_fit_task_end(estimator=owner, X=X, y=y)


def fit_part(owner, tasks, part, task_name, *args, **params):
    """Fit an estimator that is a part of `owner`, whose callbacks reach into it."""
    if tasks is None:
        return part.fit(*args, **params)
    task = tasks.subcontext(task_name=task_name)
    with task.propagate_callback_context(part):
        task.call_on_fit_task_begin(estimator=owner)
        fitted = part.fit(*args, **params)
        task.call_on_fit_task_end(estimator=owner)
    return fitted
