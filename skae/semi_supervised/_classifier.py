"""A classifier on features that are learned from labelled and unlabelled rows."""

from numbers import Real

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone
from sklearn.linear_model import LogisticRegression
from sklearn.utils import Bunch, check_random_state, get_tags, indexable
from sklearn.utils.metadata_routing import (
    MetadataRouter,
    MethodMapping,
    process_routing,
)
from sklearn.utils.validation import has_fit_parameter

from skae._sklearn import (
    CallbackSupportMixin,
    HasMethods,
    _check_method_params,
    _fit_context,
    _raise_for_params,
    _routing_enabled,
    _safe_indexing,
    validate_data,
)
from skae.data._tables import Table, is_table
from skae.io import FileMixin, storable
from skae.semi_supervised._candidates import one_stage, stages
from skae.semi_supervised._checks import (
    SEMI_SUPERVISED,
    check_no_inner_folds,
    check_numbers,
    check_weight,
    last_step,
    warn_of_no_mark,
)
from skae.semi_supervised._choice import Choice, choose, default_classifiers
from skae.semi_supervised._encoders import check_not_encoded
from skae.semi_supervised._labels import split_labels
from skae.semi_supervised._predictions import PredictionMixin
from skae.transformers._apply import all_or_nothing
from skae.transformers._monitoring import fit_part, fit_tasks

# Columns that a category of a mixed table has at most.
_MOST_CATEGORIES = 255


@storable
class SemiSupervisedClassifier(
    CallbackSupportMixin,
    FileMixin,
    PredictionMixin,
    ClassifierMixin,
    MetaEstimatorMixin,
    BaseEstimator,
):
    """Classifier on features that are learned from labelled and unlabelled rows.

    The transformer is fitted to all rows, without labels, and the classifier to the
    features of the labelled rows. With many rows and few labels, the transformer learns
    the structure of the rows, and the classifier needs few labels on top of it [1]_.
    What is not given is chosen by cross-validation on the labelled rows.

    A row is unlabelled where its `y` is None, NaN or the number -1, as in
    :mod:`sklearn.semi_supervised`; `unlabeled` says another mark. By default, -1 and 1
    alone are two classes, see the Notes.

    Parameters
    ----------
    transformer : transformer or None, default=None
        Model of the features: :class:`AutoencoderTransformer`, :class:`VAETransformer`,
        or any other, a :class:`~sklearn.pipeline.Pipeline` that ends in a scaler, say.
        None chooses them, see the Notes; X must be dense numbers then.
    classifier : classifier or None, default=None
        Classifier of the labelled rows. None is a logistic regression or a support
        vector machine with a Gaussian kernel, whichever, and with which `C`, suits the
        features; it has probabilities.
        :class:`~sklearn.semi_supervised.LabelSpreading`,
        :class:`~sklearn.semi_supervised.LabelPropagation`,
        :class:`~sklearn.semi_supervised.SelfTrainingClassifier` and a pipeline that
        ends in one of them are fitted to all rows, with -1 for the unlabelled ones and
        the ranks of the classes for the others. A search over one of them is refused;
        see the Notes.
    passthrough : bool, default=False
        Whether the classifier gets the columns of X, which must be numbers then, after
        the features.
    unlabeled : "auto", number, str or None, default="auto"
        Mark of unlabelled rows in `y`. Missing labels (None, NaN, NaT, pandas.NA) mark
        them as well, and with None or NaN they alone do: -1 is a class then. "auto" is
        -1 unless `y` holds -1 and 1 alone, with a warning where -1 may be either. A
        number or string that marks no row is warned of.
    random_state : int, RandomState instance or None, default=None
        Seed of what is chosen: the autoencoders and the folds. A transformer and a
        classifier that are given have their own.

    Attributes
    ----------
    transformer_ : transformer
        The fitted transformer.
    features_ : str
        The chosen features: "rows", "swap", "rows+swap", "dropout", "rows+dropout",
        "rows+neighbours" or "dropout+neighbours". Only where `transformer` is None.
    cv_results_ : dict
        What the choice was made from, a value for each classifier on each features:
        "features" and "classifier" (lists of str and of classifiers), "mean_test_loss"
        and "mean_test_accuracy" (arrays). The loss is minus the logarithm of the
        probability of a row's class. Only where something was chosen.
    classifier_ : classifier
        The fitted classifier. The `transduction_` of one that was fitted to all rows
        holds ranks of `classes_`.
    classes_ : ndarray of shape (n_classes,)
        Classes of the labelled rows.
    n_features_in_ : int
        Number of features seen during `fit`.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, where X has string names for all.

    See Also
    --------
    skae.model_selection.LabelledFolds : Cross-validation with unlabelled rows.
    sklearn.semi_supervised.SelfTrainingClassifier : Learns from its own predictions.

    Notes
    -----
    `score` leaves unlabelled rows out, and with it a search or a cross-validation by
    the default scorer. Other scorers need folds without such rows in their test sets:
    ``GridSearchCV(model, grid, scoring="roc_auc", cv=LabelledFolds(5))``. With None or
    NaN in `y`, beside numbers or strings, use these for any scorer: scikit-learn's
    stratified folds, which ``cv=3`` often means, fail there.

    With ``unlabeled="auto"``, -1 and 1 alone are taken for two classes; a warning says
    so, unless None or NaN marks other rows. Beside 0 and 1, or beside other negative
    numbers, -1 marks unlabelled rows; a warning says so, too. A `y` with -1, None or
    NaN, and another class than 1 is refused: -1 may be a class there or one more mark,
    and a fold without None would not show which. Setting `unlabeled` settles each.

    The strings "None", "nan" and "-1", which an array of strings makes of marks, are
    refused in every container unless `unlabeled` says whether they are marks or
    classes.

    Ensembles that encode `y` (:class:`~sklearn.ensemble.VotingClassifier`,
    :class:`~sklearn.ensemble.StackingClassifier`,
    :class:`~sklearn.ensemble.BaggingClassifier` and those of
    :mod:`sklearn.multiclass`) would make a class of the unlabelled rows. They belong
    inside: ``SemiSupervisedClassifier(transformer, VotingClassifier(...))``. Outside
    they are refused, but for those of `sklearn.multiclass` that fit in other processes
    (`n_jobs`).

    A search belongs outside, where its folds keep the unlabelled rows:
    ``GridSearchCV(SemiSupervisedClassifier(transformer, LabelSpreading()),
    {"classifier__gamma": [1, 10]}, cv=LabelledFolds())``. As `classifier` it would see
    the labelled rows alone.

    `sample_weight` and other parameters of `fit` are the classifier's, of the labelled
    rows; with metadata routing the transformer may request some too.

    **The choice.** Candidates are compared by losses on held-out labelled rows, in five
    folds or as many as the smallest class of two rows or more has rows; three
    times where there are at most 300 labelled rows, and on 2,000 of them at most. The
    first are the rows, standardised, or divided by one number where the features share
    a unit as pixels do. Others replace them where their loss, paired row by row, is
    lower by more than one standard error, or by two where they may lose something, and
    they have no more errors. So ties go to the rows. In order:

    - "swap": a wide autoencoder that restores swapped entries, for tables, and it
      beside the rows (one error);
    - "dropout": 14 latents of an autoencoder that restores dropped entries, from random
      weights, and these beside the rows (two); for at least 56 features of one unit;
    - "neighbours": smooth axes of the graph of nearest neighbours, on which a linear
      classifier is label spreading of low rank, beside the rows (two), or beside the 14
      latents where these lead (one); not for a `classifier` that is a graph itself.

    Neighbours of new rows are found among the training rows, which are kept.

    A `classifier` without probabilities is compared by a softmax of its decisions or by
    its errors; one that learns from unlabelled rows is fitted to the features that suit
    the default. Where no class has two labelled rows, or `classifier` cannot be fitted
    to a fold, the rows are taken, with a warning.

    References
    ----------
    .. [1] Kingma, D. P. et al. (2014). Semi-supervised learning with deep generative
       models. NeurIPS. (The model M1.)

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.svm import SVC
    >>> from skae import AutoencoderTransformer, SemiSupervisedClassifier
    >>> X, labels = load_digits(return_X_y=True)
    >>> y = np.full_like(labels, -1)
    >>> y[:100] = labels[:100]
    >>> autoencoder = AutoencoderTransformer(
    ...     16, noise="masking", noise_level=0.5, max_iter=10, random_state=0
    ... )
    >>> model = SemiSupervisedClassifier(autoencoder, SVC()).fit(X, y)
    >>> bool(model.score(X[100:], labels[100:]) > 0.75)
    True

    What is left out is chosen:

    >>> from sklearn.datasets import load_iris
    >>> X, labels = load_iris(return_X_y=True)
    >>> y = np.where(np.arange(150) % 5 == 0, labels, -1)
    >>> model = SemiSupervisedClassifier(random_state=0).fit(X, y)
    >>> bool(model.score(X, labels) > 0.9)
    True
    """

    _parameter_constraints: dict = {
        "transformer": [HasMethods(["fit", "transform"]), None],
        # A stacking classifier has `predict` when it is fitted.
        "classifier": [HasMethods(["fit", "predict"]), ClassifierMixin, None],
        "passthrough": ["boolean"],
        "unlabeled": [Real, str, None],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        transformer=None,
        classifier=None,
        *,
        passthrough=False,
        unlabeled="auto",
        random_state=None,
    ):
        self.transformer = transformer
        self.classifier = classifier
        self.passthrough = passthrough
        self.unlabeled = unlabeled
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=False)
    @all_or_nothing
    def fit(self, X, y, **params):
        """Fit the transformer to all rows, the classifier to the labelled ones.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Rows, as the transformer takes them. Where it is chosen, a dataframe with
            columns beside numbers is encoded by their dtypes.
        y : array-like of shape (n_samples,)
            Labels; None, NaN, NaT or the mark where there is none.
        **params : dict
            `sample_weight` of shape (n_samples,), for the classifier; with metadata
            routing whatever transformer and classifier request.

        Returns
        -------
        self : object
            The fitted classifier.

        Raises
        ------
        ValueError
            If no row has a label, all labels are the same, `y` mixes strings and
            numbers, the meaning of -1 is not clear, or an ensemble has encoded `y`.
        """
        # All checks come before the transformer is trained, which takes the time.
        X, y = indexable(X, y)
        is_labelled, labels = split_labels(y, self.unlabeled)
        classes, ranks = np.unique(labels, return_inverse=True)
        self._check_classes(classes)
        if is_labelled.all():
            check_not_encoded(self)
            warn_of_no_mark(self.unlabeled)
        check_no_inner_folds(self.classifier)
        self._table = None
        if self.transformer is None and is_table(X, always=False):
            validate_data(self, X, skip_check_array=True)
            self._table = Table(X, _MOST_CATEGORIES)
            X = self._encoded(X)
        elif self.passthrough:
            check_numbers(X)
        params = self._route(params)
        weight = params.classifier.fit.get("sample_weight")
        check_weight(weight, is_labelled, ranks)
        # The transformer checks the rows; here, their number of features and names.
        if self._table is None:
            validate_data(self, X, skip_check_array=True)
        n_tasks = 1 + (self.transformer is not None)
        with fit_tasks(self, n_tasks, X, y) as tasks:
            if self.transformer is not None:
                self.transformer_ = fit_part(
                    self,
                    tasks,
                    clone(self.transformer),
                    "fit-transformer",
                    X,
                    None,
                    **params.transformer.fit,
                )
            classifier = self._choose(X, is_labelled, labels, params.classifier.fit)
            self.classes_ = classes
            self._fit_classifier(
                tasks, classifier, X, is_labelled, labels, ranks, params.classifier.fit
            )
        return self

    def get_metadata_routing(self):
        """Return how metadata are routed.

        Returns
        -------
        routing : MetadataRouter
            Parameters that `fit` passes to the `fit` of transformer and classifier.
        """
        to_fit = MethodMapping().add(caller="fit", callee="fit")
        router = MetadataRouter(owner=self).add_self_request(self)
        if self.transformer is not None:
            router.add(transformer=self.transformer, method_mapping=to_fit)
        return router.add(classifier=self._classifier(), method_mapping=to_fit)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        own = get_tags(self._classifier())
        # Rows reach the transformer, and with `passthrough` the classifier too.
        if self.transformer is not None:
            tags.input_tags = get_tags(self.transformer).input_tags
        tags.input_tags.sparse &= own.input_tags.sparse
        tags.input_tags.allow_nan &= own.input_tags.allow_nan
        tags.classifier_tags = own.classifier_tags or tags.classifier_tags
        return tags

    def __sklearn_clone__(self):
        # Ensembles clone what they are about to fit, in other processes maybe.
        check_not_encoded(self)
        return super().__sklearn_clone__()

    def _check_classes(self, classes):
        name = type(self).__name__
        if not len(classes):
            raise ValueError(f"{name} needs labelled rows; y has no label.")
        if len(classes) == 1:
            raise ValueError(
                f"{name} needs two classes; the labelled rows of y have one class "
                f"alone: {classes.tolist()[0]!r}."
            )

    def _route(self, params):
        """Parameters of `fit` for the transformer and for the classifier."""
        # Without routing, `sample_weight` is the only one; None is as if not given.
        others = {name: v for name, v in params.items() if name != "sample_weight"}
        _raise_for_params(others, self, "fit")
        if params.get("sample_weight") is None:
            params = others
        if _routing_enabled():
            return process_routing(self, "fit", **params)
        if params and not has_fit_parameter(self._classifier(), "sample_weight"):
            raise TypeError(
                f"{type(self.classifier).__name__}.fit takes no sample_weight; that of "
                "a pipeline does with metadata routing enabled."
            )
        return Bunch(transformer=Bunch(fit={}), classifier=Bunch(fit=params))

    def _classifier(self):
        """The classifier that is given, or one like those that are chosen among."""
        if self.classifier is not None:
            return self.classifier
        default = LogisticRegression()
        if not _routing_enabled():
            return default
        return default.set_fit_request(sample_weight=True)

    def _choose(self, X, is_labelled, labels, params):
        """The classifier, not fitted; sets `transformer_` where none is given."""
        for name in ("features_", "cv_results_"):  # of an earlier choice
            vars(self).pop(name, None)
        if self.transformer is not None and self.classifier is not None:
            return clone(self.classifier)
        rows = np.flatnonzero(is_labelled)
        X_labelled = _safe_indexing(X, rows)
        seed = check_random_state(self.random_state).randint(2**30)
        sees_all = isinstance(last_step(self.classifier), SEMI_SUPERVISED)
        if self.classifier is None or sees_all:
            classifiers = default_classifiers(len(rows))
        else:
            classifiers = [self.classifier]
        # Weights of all rows are not for classifiers of the labelled ones.
        params = {} if sees_all else _check_method_params(X, params, rows)
        if self.transformer is None:
            found = stages(X, seed, is_for_graph=sees_all)
        else:
            found = one_stage("transformer", self.transformer_)
        choice = Choice(classifiers, labels, params, seed)
        leader = choose(found, lambda made: self._columns(made, X_labelled), choice)
        if self.transformer is None:
            self.features_ = leader.features
        self.transformer_, self.cv_results_ = leader.transformer, choice.results()
        return clone(leader.classifier if self.classifier is None else self.classifier)

    def _fit_classifier(self, tasks, classifier, X, is_labelled, labels, ranks, params):
        """Fit to all rows with ranks as labels, or to the labelled rows alone."""
        rows = np.flatnonzero(is_labelled)
        self._sees_all = isinstance(last_step(classifier), SEMI_SUPERVISED)
        if not self._sees_all:
            # Weights and the like of the labelled rows.
            params = _check_method_params(X, params, rows)
            features = self._features(_safe_indexing(X, rows))
            self.classifier_ = fit_part(
                self, tasks, classifier, "fit-classifier", features, labels, **params
            )
            return
        # Ranks, since -1 may be one of the classes.
        y = np.full(len(is_labelled), -1)
        y[rows] = ranks
        self.classifier_ = fit_part(
            self, tasks, classifier, "fit-classifier", self._features(X), y, **params
        )
