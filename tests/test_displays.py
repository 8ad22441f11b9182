"""Displays: their artists, labels and limits, in light and in dark styles."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm
from sklearn.base import clone
from sklearn.datasets import load_digits, load_iris
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skae import AutoencoderDetector, AutoencoderTransformer, VAETransformer
from skae.plotting import (
    CodeRecorder,
    ExplainedVarianceDisplay,
    LatentDisplay,
    LoadingsDisplay,
    LossCurveDisplay,
    ManifoldDisplay,
    OutlierDisplay,
    ReconstructionDisplay,
    ReportDisplay,
    TraversalDisplay,
    animate_codes,
)
from skae.plotting._layout import make_layout
from skae.plotting._style import MIN_CONTRAST, palette
from skae.tables import report

matplotlib = pytest.importorskip("matplotlib", reason="matplotlib is not installed")
plt = pytest.importorskip("matplotlib.pyplot")


N_ROWS = 60
KINDS = {"ae": AutoencoderTransformer, "vae": VAETransformer}


@pytest.fixture(autouse=True)
def no_figure_stays(monkeypatch):
    """Closes figures; none may be shown."""
    plt.switch_backend("Agg")
    monkeypatch.setattr(plt, "show", lambda: pytest.fail("a display called plt.show"))
    yield
    plt.close("all")


def rows_of(data):
    """Rows, targets and options of images, series or a table."""
    if data == "images":
        X, y = load_digits(return_X_y=True)
        return X[:N_ROWS] / 16, y[:N_ROWS], {"sample_shape": (8, 8)}
    if data == "series":
        phase = np.linspace(0, 6, N_ROWS)[:, None]
        return np.sin(np.arange(20) / 3 + phase), phase.ravel(), {}
    iris = load_iris(as_frame=True)
    return iris.data[::3], iris.target_names[iris.target[::3]], {}


@pytest.fixture(scope="module")
def fits():
    """Fitted estimators by kind, data and number of latents, each fitted once."""
    made = {}

    def fitted(kind, data, k):
        if (kind, data, k) not in made:
            options = {"architecture": "conv", "sample_shape": (1, 20)}
            options = options if data == "series" else {"hidden_layer_sizes": (8,)}
            model = KINDS[kind](k, max_iter=2, random_state=0, **options)
            model = make_pipeline(StandardScaler(), model) if data == "table" else model
            made[kind, data, k] = model.fit(rows_of(data)[0])
        return made[kind, data, k]

    return fitted


def ticks(axis):
    """Labels of the ticks that are drawn, within the limits of an axis."""
    low, high = sorted(axis.get_view_interval())
    return [
        tick.label1
        for tick in axis.get_major_ticks()
        if low <= tick.get_loc() <= high and tick.label1.get_visible()
    ]


def texts(figure):
    """All texts that are drawn, and the lists of labels along each axis."""
    along = [ticks(axis) for ax in figure.axes for axis in (ax.xaxis, ax.yaxis)]
    found = [text for labels in along for text in labels]
    for ax in figure.axes:
        found += [ax.title, ax.xaxis.label, ax.yaxis.label]
        if ax.get_legend() is not None:
            found += ax.get_legend().get_texts()
    drawn = [t for t in found if t.get_text().strip() and t.get_visible()]
    return [t for t in drawn if t.axes is None or t.axes.axison], along


def check_readable(figure):
    """Texts lie within the figure and stand out from it; ticks do not overlap."""
    figure.canvas.draw()
    width, height = figure.bbox.size
    back = np.array(matplotlib.colors.to_rgb(figure.get_facecolor()))
    found, along = texts(figure)
    for text in found:
        box = text.get_window_extent()
        is_inside = box.x0 >= -1 and box.y0 >= -1
        assert is_inside and box.x1 <= width + 1 and box.y1 <= height + 1, text
        colour = np.array(matplotlib.colors.to_rgb(text.get_color()))
        assert np.abs(colour - back).max() > 0.5, text
    for labels in along:
        boxes = [t.get_window_extent() for t in labels if t.get_text()]
        for one, other in pairwise(boxes):
            assert not one.overlaps(other), [t.get_text() for t in labels]


CASES = [
    (kind, data, k)
    for data in ("images", "series", "table")
    for kind, k in (("ae", 1), ("vae", 3))
]

DISPLAYS = {
    "latent": lambda model, X, y, options: LatentDisplay.from_estimator(model, X, y),
    "loss": lambda model, X, y, options: LossCurveDisplay.from_estimator(model),
    "reconstruction": lambda model, X, y, options: ReconstructionDisplay.from_estimator(
        model, X, n_rows=3, **options
    ),
    "manifold": lambda model, X, y, options: ManifoldDisplay.from_estimator(
        model, n_grid=4, **options
    ),
    "traversal": lambda model, X, y, options: TraversalDisplay.from_estimator(
        model, n_steps=4, **options
    ),
    "loadings": lambda model, X, y, options: LoadingsDisplay.from_estimator(
        model, X, **options
    ),
}


@pytest.mark.parametrize("display", DISPLAYS)
@pytest.mark.parametrize("kind, data, k", CASES, ids=str)
def test_texts_are_within_the_figure_and_not_of_its_colour(
    fits, kind, data, k, display
):
    with plt.style.context("default" if kind == "ae" else "dark_background"):
        shown = DISPLAYS[display](fits(kind, data, k), *rows_of(data))
        check_readable(shown.figure_)
        assert shown.ax_.figure is shown.figure_
        for ax in shown.figure_.axes:
            # Images and the corners of grids have no axes, all others have names.
            is_named = ax.get_xlabel() or ax.get_ylabel() or ax.get_title()
            assert is_named or not ax.axison or not ticks(ax.xaxis) + ticks(ax.yaxis)


@pytest.mark.parametrize("display", DISPLAYS)
def test_they_draw_on_given_axes_and_return_themselves(fits, display):
    figure, axes = plt.subplots(1, 2)
    shown = DISPLAYS[display](fits("vae", "images", 3), *rows_of("images"))
    assert shown.plot(ax=axes[1]) is shown
    assert shown.figure_ is figure
    # Parameters are attributes, all of them and unchanged.
    parameters = type(shown).__init__.__kwdefaults__ or {}
    assert parameters.keys() <= vars(shown).keys()


def test_losses_are_those_of_the_fit(fits):
    vae = fits("vae", "images", 3)
    display = LossCurveDisplay.from_estimator(vae)
    training, validation = display.lines_
    assert np.array_equal(training.get_ydata(), vae.loss_curve_)
    assert np.array_equal(validation.get_ydata(), vae.validation_loss_curve_)
    assert display.initial_points_[0].get_ydata() == [vae.initial_loss_]
    assert [line.get_xdata()[0] for line in display.best_lines_] == 3 * [vae.best_iter_]
    labels = [ax.get_ylabel() for ax in display.axes_]
    assert labels == ["Loss of a row (nats)", "Rate (nats)", "Distortion (nats)"]
    rate, distortion = (np.array(ax.lines[0].get_ydata()) for ax in display.axes_[1:])
    assert rate.shape == distortion.shape == (vae.n_iter_,)
    assert (rate >= 0).all()
    assert display.axes_[-1].get_xlabel() == "Epoch"


@pytest.mark.parametrize(
    "loss, unit",
    [("squared_error", "squared units of X"), ("absolute_error", "units of X")],
)
def test_losses_of_errors_have_their_units(iris, loss, unit):
    model = AutoencoderTransformer(1, loss=loss, max_iter=1, random_state=0).fit(iris)
    display = LossCurveDisplay.from_estimator(model)
    assert display.ax_.get_ylabel() == f"Loss of a row ({unit})"


def test_losses_of_a_cross_validation_have_a_line_for_each_fit(iris):
    model = AutoencoderTransformer(1, max_iter=2, random_state=0)
    results = cross_validate(model, iris, cv=3, return_estimator=True)
    display = LossCurveDisplay.from_cv_results(results)
    assert len(display.lines_) == 2 * 3
    legend = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert legend == ["training", "validation", "initial model", "epoch that was kept"]
    del results["estimator"]
    with pytest.raises(ValueError, match="return_estimator=True"):
        LossCurveDisplay.from_cv_results(results)


def test_codes_are_those_of_transform_and_ellipses_of_the_posterior(fits):
    vae, (X, y, _) = fits("vae", "images", 3), rows_of("images")
    display = LatentDisplay.from_estimator(vae, X, y)
    mean, std = vae.posterior(X)
    best = np.sort(np.argsort(-vae.kl_per_component_)[:2])
    assert display.latents_ == tuple(best)
    points = np.vstack([np.asarray(s.get_offsets()) for s in display.scatters_])
    order = np.argsort(y, kind="stable")
    assert points == pytest.approx(mean[order][:, best])
    (ellipses,) = display.ellipses_
    assert ellipses._widths == pytest.approx(std[:, best[0]])
    assert ellipses._heights == pytest.approx(std[:, best[1]])
    assert display.legend_.get_title().get_text() == "y"
    assert len(display.legend_.get_texts()) == 10


def test_more_latents_are_a_grid_of_pairs(fits):
    X, y, _ = rows_of("series")
    display = LatentDisplay.from_estimator(fits("ae", "series", 3), X, y)
    display.plot(latents=[0, 1, 2])
    assert len(display.axes_) == 3
    assert display.axes_[0].get_ylabel() == "Latent 1"
    assert display.axes_[-1].get_xlabel() == "Latent 1"
    assert display.axes_[-1].get_ylabel() == ""  # that of its neighbour
    assert display.colorbar_.ax.get_ylabel() == "y"
    assert display.ellipses_ == []


def test_one_latent_is_a_strip_for_each_class(fits):
    X, y, _ = rows_of("table")
    display = LatentDisplay.from_estimator(fits("vae", "table", 1), X, y)
    names = [label.get_text() for label in display.ax_.get_yticklabels()]
    assert names == ["setosa", "versicolor", "virginica"]
    for rank, scatter in enumerate(display.scatters_):
        assert np.abs(scatter.get_offsets()[:, 1] - rank).max() <= 0.3
    assert len(display.ellipses_[0].get_segments()) == len(X)


def test_codes_alone_are_drawn():
    codes = np.random.default_rng(0).normal(size=(20, 4)) * [1, 3, 2, 1]
    display = LatentDisplay.from_codes(codes, name="codes")
    assert display.latents_ == (1, 2)
    assert display.ax_.get_title() == "codes"
    assert display.ax_.get_legend() is None
    with pytest.raises(ValueError, match=r"within 0 and 3; got \(0, 4\)"):
        display.plot(latents=[0, 4])
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        LatentDisplay.from_codes(codes, np.zeros(19))


def test_reconstructions_are_those_of_inverse_transform(fits):
    model, (X, _, options) = fits("ae", "images", 3), rows_of("images")
    display = ReconstructionDisplay.from_estimator(model, X, n_rows=4, **options)
    assert display.axes_.shape == (3, 4)
    back = model.inverse_transform(model.transform(X[:4]))
    images = [np.asarray(image.get_array()).ravel() for image in display.images_]
    assert np.array(images[:4]) == pytest.approx(X[:4])
    assert np.array(images[4:8]) == pytest.approx(back)
    assert np.array(images[8:]) == pytest.approx(X[:4] - back)
    low, high = display.images_[-1].get_clim()
    assert low == -high
    same = ReconstructionDisplay.from_predictions(X, X, n_rows=2, **options)
    assert not np.any(same.images_[-1].get_array())
    with pytest.raises(ValueError, match="shape"):
        ReconstructionDisplay.from_predictions(X, X[:3])


def test_entries_of_a_table_are_in_standard_deviations(fits):
    model, (X, _, _) = fits("ae", "table", 3), rows_of("table")
    display = ReconstructionDisplay.from_estimator(model, X, n_rows=2)
    scaled = StandardScaler().fit_transform(X)
    assert display.lines_[0].get_ydata() == pytest.approx(scaled[0])
    assert display.axes_[0, 0].get_ylabel() == "Standard deviations"
    ticks = [label.get_text() for label in display.axes_[1, 0].get_xticklabels()]
    assert ticks == list(X.columns)


def test_colours_of_images_are_drawn():
    X = np.random.default_rng(0).uniform(size=(3, 3 * 4 * 5))
    options = {"sample_shape": (3, 4, 5), "n_rows": 3}
    display = ReconstructionDisplay.from_predictions(X, X, **options)
    image = np.asarray(display.images_[0].get_array())
    assert image.shape == (4, 5, 3)
    # The channels follow one another in a row.
    assert image[..., 1].ravel() == pytest.approx(X[0, 20:40])


def test_a_manifold_goes_through_the_quantiles_of_the_prior(fits):
    vae, options = fits("vae", "images", 3), {"sample_shape": (8, 8)}
    display = ManifoldDisplay.from_estimator(vae, n_grid=5, latents=[2, 0], **options)
    quantiles = norm.ppf(np.linspace(0.05, 0.95, 5))
    assert display.values[0] == pytest.approx(quantiles)
    codes = np.array([[quantiles[3], 0.0, quantiles[1]]])
    decoded = vae.inverse_transform(codes)[0]
    assert display.rows[3, 1] == pytest.approx(decoded, abs=1e-5)
    mosaic = np.asarray(display.tiles_[0].get_array())
    # Upwards: the fourth of five rows of tiles is the second from the top.
    tile = mosaic[8:16, 8:16]
    assert tile.ravel() == pytest.approx(decoded, abs=1e-5)
    assert display.ax_.get_xlim() == (-0.5, 4.5)
    assert display.ax_.get_xlabel() == "Latent 2, at quantiles of the prior"


def test_a_manifold_of_codes_goes_through_their_quantiles(iris):
    pca = PCA(2).fit(iris)
    with pytest.raises(ValueError, match="PCA has no density of codes: pass X"):
        ManifoldDisplay.from_estimator(pca)
    display = ManifoldDisplay.from_estimator(pca, iris, n_grid=3, limits=(0.1, 0.9))
    codes = pca.transform(iris)
    assert display.values[1] == pytest.approx(np.quantile(codes[:, 1], [0.1, 0.5, 0.9]))
    with pytest.raises(ValueError, match="two rising probabilities"):
        ManifoldDisplay.from_estimator(pca, iris, limits=(0, 1))
    with pytest.raises(ValueError, match="At most 2 latents"):
        ManifoldDisplay.from_estimator(PCA(3).fit(iris), iris, latents=[0, 1, 2])


def test_a_traversal_moves_one_latent_of_a_row(fits):
    vae, (X, _, options) = fits("vae", "images", 3), rows_of("images")
    display = TraversalDisplay.from_estimator(
        vae, row=X[:1], latents=[1], n_steps=3, limits=(0.1, 0.9), **options
    )
    codes = np.repeat(vae.transform(X[:1]).astype(float), 3, axis=0)
    codes[:, 1] = norm.ppf([0.1, 0.5, 0.9])
    assert display.rows[0] == pytest.approx(vae.inverse_transform(codes), abs=1e-5)
    ticks = [label.get_text() for label in display.ax_.get_xticklabels()]
    assert ticks == ["10%", "50%", "90%"]


def test_the_most_informative_latent_is_on_top(fits):
    vae, options = fits("vae", "images", 3), {"sample_shape": (8, 8)}
    display = TraversalDisplay.from_estimator(vae, **options)
    assert display.latents == tuple(np.argsort(-vae.kl_per_component_))
    lowest, *_, top = (
        label.get_text() for label in display.ax_.get_yticklabels()[::-1]
    )
    assert top == f"Latent {display.latents[0]}"
    assert lowest == f"Latent {display.latents[-1]}"


def test_explained_variance_is_that_of_prefixes(digits):
    model = AutoencoderTransformer(3, ordered=True, max_iter=2, random_state=0)
    model.fit(digits)
    display = ExplainedVarianceDisplay.from_estimator(model, digits)
    X = digits - digits.mean(0)
    for size in (1, 2, 3):
        short = model.truncate(size)
        residual = short.inverse_transform(short.transform(digits)) - digits
        ratio = 1 - np.square(residual).sum() / np.square(X).sum()
        # A shorter code is encoded for its size.
        assert display.line_.get_ydata()[size - 1] == pytest.approx(ratio, abs=0.02)
    truth = PCA(3).fit(digits).explained_variance_ratio_.cumsum()
    assert display.pca_line_.get_ydata() == pytest.approx(truth)
    alone = ExplainedVarianceDisplay.from_estimator(model)
    assert alone.pca_line_ is None
    assert alone.line_.get_ydata() == pytest.approx(
        np.cumsum(model.explained_variance_ratio_)
    )


def test_explained_variance_needs_an_order(fits):
    with pytest.raises(ValueError, match="ordered=True"):
        ExplainedVarianceDisplay.from_estimator(fits("ae", "images", 3))


def test_outliers_have_a_threshold_and_reasons():
    frame = load_iris(as_frame=True).data
    frame = frame.rename(columns={"sepal width (cm)": "a name of many letters" * 2})
    frame.index = [f"flower {i}" for i in range(len(frame))]
    frame.iloc[7, 2] = 30.0
    transformer = AutoencoderTransformer(2, max_iter=2)
    detector = AutoencoderDetector(transformer, random_state=0).fit(frame)
    display = OutlierDisplay.from_estimator(detector, frame, n_top=3)
    assert display.threshold_line_.get_xdata()[0] == -detector.offset_
    heights = [sum(bar.get_height() for bar in bars) for bars in display.histogram_]
    n_outliers = (detector.predict(frame) == -1).sum()
    assert heights == [len(frame) - n_outliers, n_outliers]
    assert display.top_rows_[0] == 7
    names = [label.get_text() for label in display.axes_[1].get_xticklabels()]
    assert names[0] == "flower 7"
    parts = np.asarray(display.contributions_.get_array())
    assert parts[:, 0] == pytest.approx(detector.explain(frame)[7])
    check_readable(display.figure_)


def test_scores_alone_are_a_histogram():
    display = OutlierDisplay.from_predictions(np.arange(10.0), threshold=8.5)
    assert len(display.axes_) == 1
    legend = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert legend == ["inliers: 9", "outliers: 1", "threshold: 8.5"]


def test_a_likelihood_has_scores_but_no_reasons(iris):
    vae = VAETransformer(1, max_iter=1, random_state=0)
    detector = AutoencoderDetector(vae, outlier_score="likelihood", random_state=0)
    display = OutlierDisplay.from_estimator(detector.fit(iris), iris)
    assert display.contributions_ is None


def test_loadings_are_components_in_the_units_that_are_asked_for(fits):
    model, (X, _, _) = fits("ae", "table", 3), rows_of("table")
    plain = LoadingsDisplay.from_estimator(model, latents=[2, 0])
    assert plain.components == pytest.approx(model[-1].components_[[2, 0]])
    scaled = LoadingsDisplay.from_estimator(model, X, latents=[2])
    by = model.transform(X).std(0)[2]  # rows have deviation one after the scaler
    assert scaled.components[0] == pytest.approx(by * model[-1].components_[2])
    ticks = [label.get_text() for label in plain.ax_.get_xticklabels()]
    assert ticks == list(X.columns)
    assert LoadingsDisplay.from_estimator(PCA(2).fit(X)).components.shape == (2, 4)


@pytest.fixture(scope="module")
def tables():
    """A report with lines of columns: two of numbers, and one complete category."""
    rng = np.random.default_rng(0)
    age = rng.integers(18, 80, 240)
    income = np.where(rng.random(240) < 0.2, np.nan, 100.0 * age)
    plan = pd.Categorical(np.where(rng.random(240) < age / 100, "full", "basic"))
    people = pd.DataFrame({"age": age, "income": income, "plan": plan})
    train, test, new = people[:80], people[80:160], people[160:]
    new = new.assign(income=new["income"] * 3)
    return report(train, test, new, by_column=True, random_state=0)


def names_of(panel):
    return [label.get_text() for label in panel.get_yticklabels()]


def test_points_of_a_report_are_its_numbers(tables):
    means = tables[~tables.index.str.contains(": ")]
    display = ReportDisplay.from_report(means, name="VAE")
    assert len(display.axes_) == len(means)
    for kind in ("new", "fresh", "bootstrap", "ideal"):
        points = [line.get_xdata() for line in display.points_[kind]]
        np.testing.assert_array_equal(np.ravel(points), means[kind])
    names = [name for panel in display.axes_ for name in names_of(panel)]
    # All have a name in words, with the unit.
    assert not {*names} & {*means.index}
    assert names[4] == "Told from real rows (AUROC)"
    legend = [text.get_text() for text in display.legend_.get_texts()]
    assert legend == ["drawn rows", "fresh rows", "bootstrap", "ideal"]
    assert display.legend_.get_title().get_text() == "VAE"
    shapes = {lines[0].get_marker() for lines in display.points_.values()}
    assert len(shapes) == 4  # to be told without colours


@pytest.mark.parametrize("style", ["default", "dark_background"])
def test_texts_of_a_report_are_readable(tables, style):
    with plt.style.context(style):
        check_readable(ReportDisplay.from_report(tables, name="VAE").figure_)
        figure, axes = plt.subplots(1, 2, figsize=(12, 9), layout="constrained")
        shown = ReportDisplay.from_report(tables, ax=axes[1])
        assert shown.figure_ is figure
        check_readable(figure)


def test_scales_of_a_report_hold_all_points_and_do_not_magnify(tables):
    display = ReportDisplay.from_report(tables)
    for i, panel in enumerate(display.axes_):
        low, high = panel.get_xlim()
        values = [lines[i].get_xdata() for lines in display.points_.values()]
        assert low < np.min(values) <= np.max(values) < high
        assert high - low >= 0.1
    # Differences of dtypes are zero: no point would be below.
    assert display.axes_[-1].get_xlim()[0] == pytest.approx(0, abs=0.01)


def test_the_columns_that_differ_most_are_below_the_mean(tables):
    display = ReportDisplay.from_report(tables, max_columns=1)
    assert names_of(display.axes_[0]) == [
        "Numbers: distance of distributions",
        "income",
    ]
    lines = ["kolmogorov_smirnov", "kolmogorov_smirnov: income"]
    points = display.points_["new"][0]
    np.testing.assert_array_equal(points.get_xdata(), tables.loc[lines, "new"])
    np.testing.assert_array_equal(points.get_ydata(), [0, 1])
    top, bottom = display.axes_[0].get_ylim()[::-1]
    assert top < 0 < 1 < bottom  # from top to bottom
    both = display.plot().axes_[0]
    assert names_of(both)[1:] == ["income", "age"]
    # The worst: drawn rows of which no value is known.
    unknown = tables.copy()
    unknown.loc["kolmogorov_smirnov: age", "new"] = np.nan
    first = ReportDisplay.from_report(unknown, max_columns=1).axes_[0]
    assert names_of(first)[1:] == ["age"]
    # Dtypes are equal in all columns: none differs.
    assert "changed_dtypes: age" in tables.index
    assert names_of(display.axes_[-1]) == ["Columns of another dtype (fraction)"]


def test_measures_without_a_value_are_left_out(tables):
    found = tables[~tables.index.str.contains(": ")].copy()
    found.loc["total_variation"] = np.nan
    found.loc["prediction_auroc", "ideal"] = np.nan
    found.loc["detection_auroc", "new"] = np.nan
    display = ReportDisplay.from_report(found)
    left = found.drop(index="total_variation")
    for kind in left:
        points = [line.get_xdata() for line in display.points_[kind]]
        np.testing.assert_array_equal(np.ravel(points), left[kind])
    check_readable(display.figure_)


@pytest.mark.parametrize("package", ["polars", "pyarrow", "csv"])
def test_reports_of_other_packages_are_drawn_as_those_of_pandas(tables, package):
    frame = tables.reset_index()
    if package == "polars":
        frame = pytest.importorskip("polars").DataFrame(frame.to_dict("list"))
    elif package == "pyarrow":
        frame = pytest.importorskip("pyarrow").table(frame.to_dict("list"))
    shown, truth = map(ReportDisplay.from_report, (frame, tables))
    for kind, points in truth.points_.items():
        for line, other in zip(points, shown.points_[kind], strict=True):
            np.testing.assert_array_equal(line.get_xydata(), other.get_xydata())
    assert shown.measures == truth.measures == list(tables.index)


def test_frames_that_are_no_reports_are_refused(tables):
    for frame in (
        tables.drop(columns="fresh"),
        tables.T,
        tables.reset_index(drop=True),
        tables[:0],
    ):
        with pytest.raises(
            ValueError, match=r"draws what skae\.tables\.report returns"
        ):
            ReportDisplay.from_report(frame)
    # Nothing but an ideal; a column that does not differ.
    for frame in (
        tables.assign(new=np.nan, fresh=np.nan, bootstrap=np.nan),
        tables.loc[["changed_dtypes: age"]],
    ):
        with pytest.raises(ValueError, match="No measure of the report has a value"):
            ReportDisplay.from_report(frame)
    with pytest.raises(TypeError, match="dict"):
        ReportDisplay.from_report(tables.to_dict())
    assert plt.get_fignums() == []


def test_styles_of_users_replace_the_defaults(fits, tables):
    X, _, options = rows_of("images")
    vae = fits("vae", "images", 3)
    latent = LatentDisplay.from_estimator(
        vae, X, scatter_kwargs={"color": "k", "s": 3}, ellipse_kwargs={"alpha": 0.5}
    )
    assert latent.scatters_[0].get_sizes() == [3]
    assert latent.ellipses_[0].get_alpha() == 0.5
    images = {"image_kwargs": {"cmap": "viridis"}, "n_rows": 1}
    display = ReconstructionDisplay.from_estimator(vae, X, **options, **images)
    assert display.images_[0].get_cmap().name == "viridis"
    curve = LossCurveDisplay.from_estimator(vae, curve_kwargs={"linestyle": "--"})
    assert curve.lines_[0].get_linestyle() == "--"
    styles = {"point_kwargs": {"markersize": 3}, "ideal_kwargs": {"color": "red"}}
    points = ReportDisplay.from_report(tables, **styles).points_
    assert points["fresh"][0].get_markersize() == 3
    assert points["ideal"][0].get_color() == "red"


@pytest.mark.parametrize("style", ["default", "dark_background"])
def test_colours_can_be_seen_on_their_background(style):
    with plt.style.context(style):
        _, ax = plt.subplots()
        back = matplotlib.colors.to_rgb(ax.get_facecolor())
        contrasts = [contrast(colour, back) for colour in palette(ax)]
    assert min(contrasts) >= MIN_CONTRAST - 1e-9
    assert len(set(palette(ax))) == 10


def contrast(one, other):
    """Contrast of two colours of sRGB, by the approximation with a power of 2.2."""
    values = [
        np.array(matplotlib.colors.to_rgb(c)) ** 2.2 @ (0.2126, 0.7152, 0.0722)
        for c in (one, other)
    ]
    return 1.02 * (max(values) + 0.05) / (min(values) + 0.05)


def test_shapes_of_rows():
    rows = np.zeros((1, 12))
    conv = AutoencoderTransformer(architecture="conv", sample_shape=(3, 4))
    series = make_layout(conv, rows)
    assert (series.kind, series.shape) == ("series", (4, 3))
    recurrent = AutoencoderTransformer(architecture="recurrent", sample_shape=(3, 4))
    assert make_layout(recurrent, rows).shape == (3, 4)
    flat = np.arange(12.0)
    assert series.pictures(flat)[:, 1].tolist() == [4, 5, 6, 7]
    assert make_layout(recurrent, rows).pictures(flat)[1].tolist() == [4, 5, 6, 7]
    assert make_layout(conv, rows, (3, 4)).kind == "image"
    assert make_layout(None, rows, 12).kind == "series"
    assert make_layout(None, rows).kind == "table"
    with pytest.raises(ValueError, match="has 9 values, but rows have 12 features"):
        make_layout(None, rows, (3, 3))


def test_recorded_codes_are_animated(iris, tmp_path):
    recorder, y = CodeRecorder(pd.DataFrame(iris)), np.repeat([0, 1, 2], 50)
    options = {"max_iter": 3, "random_state": 0, "early_stopping": False}
    plain = VAETransformer(**options).fit(iris)
    vae = VAETransformer(callbacks=[recorder], **options).fit(iris)
    assert vae.loss_curve_ == plain.loss_curve_
    assert len(recorder.codes_) == 1 + 3
    assert recorder.codes_[-1] == pytest.approx(vae.transform(iris), abs=1e-5)
    initial = VAETransformer(max_iter=0, random_state=0).fit(iris)
    assert recorder.codes_[0] == pytest.approx(initial.transform(iris), abs=1e-4)
    animation = animate_codes(recorder.codes_, y, name="VAE")
    path = tmp_path / "codes.gif"
    animation.save(path, writer="pillow")
    from PIL import Image

    with Image.open(path) as image:
        assert image.n_frames == 4
    ax = animation._fig.axes[0]
    assert ax.get_title() == "VAE, epoch 3"
    points = np.vstack([np.asarray(s.get_offsets()) for s in ax.collections])
    assert points == pytest.approx(recorder.codes_[-1])


def test_rows_of_the_recorder_must_be_those_of_the_transformer(iris):
    recorder = CodeRecorder(iris[:, :3])
    model = AutoencoderTransformer(max_iter=1, callbacks=[recorder])
    with pytest.raises(ValueError, match="has 3 features, but the transformer"):
        model.fit(iris)
    assert clone(model).callbacks[0].X.shape == (150, 3)


def test_estimators_of_another_kind_are_named():
    X, y = load_iris(return_X_y=True)
    detector = AutoencoderDetector(PCA(2)).fit(X)
    classifier = make_pipeline(PCA(2), LogisticRegression()).fit(X, y)
    for draw, estimator in (
        (LossCurveDisplay.from_estimator, detector),
        (LossCurveDisplay.from_estimator, classifier),
        (lambda each: LatentDisplay.from_estimator(each, X), detector),
        (lambda each: OutlierDisplay.from_estimator(each, X), classifier),
    ):
        with pytest.raises(TypeError, match=r"has no \w+: this display is of an? "):
            draw(estimator)
    pipeline = make_pipeline(StandardScaler(), AutoencoderDetector(PCA(2))).fit(X)
    display = OutlierDisplay.from_estimator(pipeline, X)
    np.testing.assert_allclose(display.scores, -pipeline.score_samples(X))
