"""Writing a fitted transformer as an ONNX model."""

from skae._sklearn import check_is_fitted


class OnnxMixin:
    """`to_onnx` of the transformers."""

    def to_onnx(self, path, part="encoder", *, dtype="float32"):
        """Write a part of the fitted model as an ONNX file.

        It takes rows in the units of the data, one or more of them, and needs neither
        torch nor scikit-learn: ``onnxruntime.InferenceSession(path)`` runs it. The
        extra ``skae[onnx]`` is needed to write it. Whole pipelines are converted by
        skl2onnx; see :mod:`skae.onnx`.

        Parameters
        ----------
        path : str or path-like
            File to write. It is whole or not there, whatever interrupts the writing.
        part : {"encoder", "decoder", "reconstruction", "score"}, default="encoder"
            What the file computes, from its only input to its only output:

            - "encoder": `transform`, from "X" to "codes";
            - "decoder": `inverse_transform`, from "codes" to "rows";
            - "reconstruction": both, from "X" to "rows";
            - "score": `score_samples`, from "X" of shape (n_samples, n_features) to
              "scores" of shape (n_samples,). The draws of a variational model are part
              of the file; all draws of all rows are in memory at once, so score many
              rows in batches.
        dtype : {"float32", "float64"}, default="float32"
            Dtype of input and output. Networks compute in float32; with "float64" all
            that is around them is float64, as rows far from zero need, whose deviations
            have few digits in float32.

        Raises
        ------
        NotFittedError
            If there is no fitted model.
        ImportError
            If the packages of the extra are missing.
        ValueError
            If there is no such part or dtype, or if the part has no ONNX form: codes
            refined by steps (``transform_max_iter > 0``), or a network or distribution
            of yours with operations that torch does not export.

        Warns
        -----
        UserWarning
            If ``dtype="float32"`` and a feature's mean is 10,000 times its scale or
            more.

        Notes
        -----
        Rows outside the support of the likelihood, which `transform` refuses, are
        encoded all the same; their score is minus infinity. NaN is a missing entry for
        a model that was fitted with ``allow_nan=True``, and gives NaN otherwise.
        """
        check_is_fitted(self)
        # A room of its own, whose packages not all installations have.
        from skae.onnx import write_part

        write_part(self, path, part, dtype)
