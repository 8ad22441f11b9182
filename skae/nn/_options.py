"""Objects with options, as scikit-learn wants them of parameters of an estimator."""

import inspect


class Options:
    """Base of objects whose constructor only checks and assigns its parameters.

    scikit-learn clones such an object by these, and searches over them.
    """

    @classmethod
    def _defaults(cls) -> dict:
        parameters = inspect.signature(cls).parameters
        return {name: parameter.default for name, parameter in parameters.items()}

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
                    f"{', '.join(known)}."
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
