"""Objects with options, as scikit-learn wants them of parameters of an estimator."""

import inspect
import operator


class Options:
    """Base of objects whose constructor only checks and assigns its parameters.

    scikit-learn clones such an object by these, and searches over them.
    """

    @classmethod
    def _defaults(cls) -> dict:
        parameters = inspect.signature(cls).parameters.values()
        # A torch module without a constructor of its own takes anything by signature.
        anything = inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD
        return {p.name: p.default for p in parameters if p.kind not in anything}

    def get_params(self, deep: bool = True) -> dict:
        """Return the options by name.

        Parameters
        ----------
        deep : bool, default=True
            Ignored: no option has options.

        Returns
        -------
        params : dict
        """
        return {name: getattr(self, name) for name in self._defaults()}

    def set_params(self, **params) -> "Options":
        """Set options.

        Parameters
        ----------
        **params : dict
            Options by name.

        Returns
        -------
        self : Options
        """
        known = self._defaults()
        for name in params:
            if name not in known:
                raise ValueError(
                    f"{name!r} is not an option of {type(self).__name__}; there are: "
                    f"{', '.join(known) or 'none'}."
                )
        type(self)(**self.get_params() | params)  # it checks the values
        for name, value in params.items():
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        defaults = self._defaults().items()
        values = ((name, getattr(self, name), default) for name, default in defaults)
        changed = (f"{n}={v!r}" for n, v, default in values if repr(v) != repr(default))
        return f"{type(self).__name__}({', '.join(changed)})"

    def _plain(self) -> "Options":
        """A copy whose numbers are Python's: not all of torch takes those of NumPy."""
        return type(self)(**{n: plain(v) for n, v in self.get_params().items()})


def plain(value):
    """A number of NumPy or torch as one of Python; anything else as it is."""
    return value.item() if getattr(value, "ndim", None) == 0 else value


def is_count(value) -> bool:
    """Whether `value` is an integer from one on, also one of NumPy."""
    try:
        return operator.index(value) >= 1 and not isinstance(value, bool)
    except TypeError:
        return False
