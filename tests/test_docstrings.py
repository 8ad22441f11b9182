"""The documentation of the public face is complete."""

import pytest
from numpydoc.validate import validate

import skae
import skae.plotting

# Of numpydoc's rules, those that this project does not follow.
IGNORED = {
    "EX01",  # methods are shown in the examples of their class
    "SA01",  # the same for See Also
    "SA04",  # a name in See Also may speak for itself
    "ES01",  # a summary may say it all
    "GL01",  # the summary stands beside the quotes
    "GL08",  # inherited from scikit-learn
    "RT02",  # a return value has a name, as in scikit-learn
    "RT03",  # "self : object" says it all
    "PR06",  # scikit-learn writes "int, RandomState instance or None"
    "PR08",  # descriptions may start with a symbol or a number
    "PR09",  # bullet lists end without a full stop
}

METHODS = [
    "fit",
    "partial_fit",
    "transform",
    "inverse_transform",
    "sample",
    "score",
    "score_samples",
    "impute",
    "truncate",
    "to_onnx",
    "decision_function",
    "predict",
    "explain",
]

CLASSIFIER_METHODS = [
    "fit",
    "predict",
    "predict_proba",
    "predict_log_proba",
    "decision_function",
    "score",
    "get_metadata_routing",
]

TRANSFORMERS = ["skae.AutoencoderTransformer", "skae.VAETransformer"]
NAMES = [f"skae.{name}" for name in skae.__all__]
ESTIMATORS = [*TRANSFORMERS, "skae.AutoencoderDetector"]
NAMES += [
    f"{name}.{method}"
    for name in ESTIMATORS
    for method in METHODS
    if hasattr(getattr(skae, name.split(".")[1]), method)
]
NAMES += ["skae.VAETransformer.posterior"]
NAMES += [f"skae.SemiSupervisedClassifier.{name}" for name in CLASSIFIER_METHODS]
NAMES += ["skae.model_selection.LabelledFolds"]
NAMES += [f"{NAMES[-1]}.{method}" for method in ("split", "get_n_splits")]
NAMES += ["skae.tables.report"]
DISPLAY_METHODS = [
    "plot",
    "from_estimator",
    "from_codes",
    "from_predictions",
    "from_cv_results",
    "from_report",
    "to_html",
]
NAMES += [f"skae.plotting.{name}" for name in skae.plotting.__all__]
NAMES += [
    f"skae.plotting.{name}.{method}"
    for name in skae.plotting.__all__
    for method in DISPLAY_METHODS
    if hasattr(getattr(skae.plotting, name), method)
]


@pytest.mark.parametrize("name", NAMES)
def test_docstring_is_valid_and_complete(name):
    errors = [e for e in validate(name)["errors"] if e[0] not in IGNORED]
    assert errors == []
