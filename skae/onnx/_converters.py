"""skae's estimators for skl2onnx, which converts whole pipelines."""

import torch
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import FunctionTransformer

from skae.detection import AutoencoderDetector
from skae.onnx._detector import Detector
from skae.onnx._export import to_model
from skae.onnx._parts import check_no_table, part_model
from skae.semi_supervised import SemiSupervisedClassifier
from skae.training._determinism import ordinary_torch
from skae.transformers import AutoencoderTransformer, VAETransformer


def register():
    """Make the estimators known to skl2onnx.

    Raises
    ------
    ImportError
        If packages are missing.
    """
    try:
        import onnxscript  # noqa: F401  # torch's exporter needs it
        from skl2onnx import update_registered_converter, update_registered_parser
    except ImportError as error:
        raise ImportError(
            f'{error}. ONNX export needs the extra: pip install "skae[onnx]".'
        ) from error

    for estimator in (AutoencoderTransformer, VAETransformer):
        update_registered_converter(
            estimator,
            f"Skae{estimator.__name__}",
            _shape_of_codes,
            _convert_transformer,
        )
    update_registered_converter(
        AutoencoderDetector,
        "SkaeAutoencoderDetector",
        _shapes_of_scores,
        _convert_detector,
        parser=_parse_detector,
        options={"score_samples": [True, False]},
    )
    update_registered_parser(SemiSupervisedClassifier, _parse_classifier)


def _shape_of_codes(operator):
    operator.outputs[0].type = _float_type(operator)([None, _n_codes(operator)])


def _n_codes(operator):
    return operator.raw_operator._n_features_out


def _float_type(operator):
    """skl2onnx's type of the rows: double, or float for all others."""
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType

    kinds = {type(variable.type) for variable in operator.inputs}
    return DoubleTensorType if DoubleTensorType in kinds else FloatTensorType


def _dtype(operator):
    is_double = _float_type(operator).__name__.startswith("Double")
    return torch.float64 if is_double else torch.float32


def _convert_transformer(scope, operator, container):
    model = part_model(
        operator.raw_operator, "encoder", _dtype(operator), container.target_opset
    )
    _splice(scope, operator, container, model)


def _parse_detector(scope, detector, inputs, custom_parsers=None):
    from skl2onnx.common.data_types import Int64TensorType, guess_tensor_type

    options = scope.get_options(detector, {"score_samples": False})
    operator = scope.declare_local_operator("SkaeAutoencoderDetector", detector)
    operator.inputs = inputs
    kind = guess_tensor_type(inputs[0].type)
    outputs = {"label": Int64TensorType(), "scores": kind}
    if options["score_samples"]:
        outputs["score_samples"] = kind
    for name, output_type in outputs.items():
        operator.outputs.append(scope.declare_local_variable(name, output_type))
    return operator.outputs


def _shapes_of_scores(operator):
    from skl2onnx.common.data_types import Int64TensorType

    label, *scores = operator.outputs
    label.type = Int64TensorType([None, 1])
    for variable in scores:
        variable.type = _float_type(operator)([None, 1])


@ordinary_torch()
def _convert_detector(scope, operator, container):
    detector = operator.raw_operator
    check_no_table(detector)
    model = to_model(
        Detector(detector).eval(),
        detector.n_features_in_,
        _dtype(operator),
        ("X", "label", "scores", "score_samples"),
        container.target_opset,
    )
    _splice(scope, operator, container, model)


def _parse_classifier(scope, classifier, inputs, custom_parsers=None):
    """The classifier as the pipeline that it is, once it is fitted."""
    from skl2onnx._parse import _parse_sklearn

    check_no_table(classifier)
    if classifier._sees_all:
        raise ValueError(
            "SemiSupervisedClassifier has no ONNX form with a classifier that is "
            f"fitted to all rows; got {classifier.classifier_!r}."
        )
    features = classifier.transformer_
    if classifier.passthrough:
        features = FeatureUnion(
            [("features", features), ("rows", FunctionTransformer())]
        )
    pipeline = Pipeline(
        [("features", features), ("classifier", classifier.classifier_)]
    )
    # Options are found by the object that they were given for.
    given = scope.options or {}
    if id(classifier) in given:
        given[id(classifier.classifier_)] = given[id(classifier)]
    return _parse_sklearn(scope, pipeline, inputs, custom_parsers=custom_parsers)


def _splice(scope, operator, container, model):
    """Put the graph of a model in the place of an operator."""
    from onnx import TensorProto, compose

    # Fresh names: a pipeline may have several of its kind.
    prefix = scope.get_unique_operator_name("skae") + "_"
    graph = compose.add_prefix(model, prefix).graph
    rows = [
        scope.get_unique_variable_name(f"{variable.onnx_name}_rows")
        for variable in operator.inputs
    ]
    kind = (
        TensorProto.DOUBLE if _dtype(operator) == torch.float64 else TensorProto.FLOAT
    )
    # Integers are rows as well; frames come as one variable for each column.
    for variable, name in zip(operator.inputs, rows):
        container.add_node("Cast", variable.full_name, name, to=kind)
    container.add_node("Concat", rows, graph.input[0].name, axis=1)
    container.nodes.extend(graph.node)
    container.initializers.extend(graph.initializer)
    for found, variable in zip(graph.output, operator.outputs):
        container.add_node("Identity", found.name, variable.full_name)
    for opset in model.opset_import:
        container.node_domain_version_pair_sets.add((opset.domain, opset.version))
