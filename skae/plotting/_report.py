"""A report on drawn rows of a mixed table, a panel for each measure."""

import numpy as np

from skae.plotting._style import PANEL, merged, palette, panels, text_colour

# Measure: its name in words, with its unit.
_TITLES = {
    "kolmogorov_smirnov": "Numbers: distance of distributions",
    "total_variation": "Categories: distance of frequencies",
    "missing": "Missing entries: difference of fractions",
    "association": "Pairs of columns: difference of associations",
    "detection_auroc": "Told from real rows (AUROC)",
    "prediction_auroc": "Prediction of categories (AUROC)",
    "prediction_r2": "Prediction of numbers (R²)",
    "nearer_train": "Nearer to training rows (fraction)",
    "copies": "Copies of training rows (fraction)",
    "invalid_rows": "Invalid rows (fraction)",
    "changed_dtypes": "Columns of another dtype (fraction)",
}

# Column of a report: its name in words.
_LABELS = {
    "new": "drawn rows",
    "fresh": "fresh rows",
    "bootstrap": "bootstrap",
    "ideal": "ideal",
}

# Between a measure and the column of a line.
_SEPARATOR = ": "

# A panel is at least that wide: small differences look small. No measure exceeds one.
_SPAN, _MOST = 0.1, 1.0

# Inches of a line of points, and of what is below each panel and above them all.
_LINE, _TICKS, _LEGEND = 0.22, 0.26, 0.5


class ReportDisplay:
    """Measures of a report on drawn rows, each on its own scale.

    Drawn rows stand beside fresh ones, a bootstrap and the ideal: good rows are where
    fresh ones are.

    It is recommended to create it by `from_report`. All parameters are stored as
    attributes.

    Parameters
    ----------
    measures : list of str
        Name of each line of the report; "measure: column" where it is of one column.
    new : ndarray of shape (n_measures,)
        Values of drawn rows.
    fresh : ndarray of shape (n_measures,)
        Values of fresh rows.
    bootstrap : ndarray of shape (n_measures,)
        Values of training rows, drawn with replacement.
    ideal : ndarray of shape (n_measures,)
        Values where drawn rows are as good as fresh ones. What is not known is NaN, as
        in the others.
    name : str, default=None
        Name of the model.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes of the first measure.
    axes_ : list of matplotlib Axes
        Those of all measures that have a value.
    figure_ : matplotlib Figure
        Figure of the axes.
    points_ : dict of list of matplotlib Line2D
        Points of "new", "fresh", "bootstrap" and "ideal", one artist for each panel.
    legend_ : matplotlib Legend
        Legend, whose title is the name.

    See Also
    --------
    skae.tables.report : Measures that are drawn.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from skae.plotting import ReportDisplay
    >>> from skae.tables import report
    >>> rng = np.random.default_rng(0)
    >>> ages = pd.DataFrame({"age": rng.integers(18, 80, 300)})
    >>> too_old = ages[200:] + 10
    >>> found = report(ages[:100], ages[100:200], too_old, target=[], random_state=0)
    >>> display = ReportDisplay.from_report(found)
    >>> bool(display.new[0] > display.fresh[0])
    True
    """

    def __init__(self, *, measures, new, fresh, bootstrap, ideal, name=None):
        self.measures = measures
        self.new = new
        self.fresh = fresh
        self.bootstrap = bootstrap
        self.ideal = ideal
        self.name = name

    def plot(
        self,
        ax=None,
        *,
        max_columns=8,
        name=None,
        point_kwargs=None,
        ideal_kwargs=None,
    ):
        """Draw the measures.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes whose place the panels take. None makes a new figure.
        max_columns : int, default=8
            Columns whose lines follow that of all, for each measure at most: those
            where drawn rows differ most from fresh ones, none where they are equal.
        name : str, default=None
            Title, in the place of `name`.
        point_kwargs : dict, default=None
            Keyword arguments of all points, for `matplotlib.axes.Axes.plot`.
        ideal_kwargs : dict, default=None
            Those of the marks at the ideal.

        Returns
        -------
        display : ReportDisplay
            This object.

        Raises
        ------
        ValueError
            If no measure has a value.
        """
        groups = self._groups(max_columns)
        sizes = [len(lines) for lines in groups.values()]
        height = (_LEGEND + _LINE * sum(sizes)) / len(sizes) + _TICKS
        grid = panels(
            ax,
            "ReportDisplay.plot",
            len(sizes),
            1,
            size=(2.7 * PANEL, height),
            height_ratios=sizes,
        )
        self.axes_ = list(grid[:, 0])
        self.ax_, self.figure_ = self.axes_[0], self.axes_[0].figure
        styles = self._styles(point_kwargs, ideal_kwargs)
        self.points_ = {kind: [] for kind in styles}
        for panel, (measure, lines) in zip(self.axes_, groups.items()):
            self._draw(panel, lines, styles)
            _name_lines(panel, measure, [self.measures[i] for i in lines])
        self.legend_ = self.ax_.legend(
            loc="lower right",
            bbox_to_anchor=(1, 1),
            ncols=len(styles),
            title=name or self.name,
            frameon=False,
            handletextpad=0.2,
            columnspacing=1.2,
        )
        return self

    def _groups(self, max_columns):
        """Numbers of the lines that are drawn, by measure."""
        values = np.stack([self.new, self.fresh, self.bootstrap])
        groups = {}
        for i in np.flatnonzero(~np.isnan(values).all(0)):
            measure = self.measures[i].partition(_SEPARATOR)[0]
            groups.setdefault(measure, []).append(int(i))
        groups = {m: self._chosen(lines, max_columns) for m, lines in groups.items()}
        if not any(groups.values()):
            raise ValueError("No measure of the report has a value to draw.")
        return {measure: lines for measure, lines in groups.items() if lines}

    def _chosen(self, lines, max_columns):
        """That of all columns, then those of the columns that differ most."""
        # An unknown difference comes first: it is no good sign.
        difference = np.nan_to_num(np.abs(self.new - self.fresh), nan=np.inf)
        of_all = [i for i in lines if _SEPARATOR not in self.measures[i]]
        of_one = [i for i in lines if i not in of_all and difference[i] > 0]
        of_one.sort(key=lambda i: -difference[i])
        return of_all + of_one[:max_columns]

    def _styles(self, point_kwargs, ideal_kwargs):
        """Keyword arguments of the points of each kind.

        Shapes fit into one another, so that equal values are all seen.
        """
        new, fresh, bootstrap = palette(self.ax_)[:3]
        hollow = {"markerfacecolor": "none", "markeredgewidth": 1.5}
        ideal = {"color": text_colour(), "marker": "|", "markersize": 14}
        points = {
            "new": {"color": new, "marker": "o", "markersize": 5, "zorder": 3},
            "fresh": {"color": fresh, "marker": "D", "markersize": 8} | hollow,
            "bootstrap": {"color": bootstrap, "marker": "s", "markersize": 10} | hollow,
        }
        points = {kind: merged(style, point_kwargs) for kind, style in points.items()}
        return points | {"ideal": merged(ideal, ideal_kwargs)}

    def _draw(self, panel, lines, styles):
        for kind, style in styles.items():
            options = merged({"linestyle": "", "label": _LABELS[kind]}, style)
            values = getattr(self, kind)[lines]
            self.points_[kind] += panel.plot(values, range(len(lines)), **options)
        drawn = np.stack([getattr(self, kind)[lines] for kind in styles])
        low = min(np.nanmin(drawn), _MOST - _SPAN)
        high = max(np.nanmax(drawn), low + _SPAN)
        margin = 0.04 * (high - low)
        panel.set_xlim(low - margin, high + margin)

    @classmethod
    def from_report(
        cls,
        report,
        *,
        max_columns=8,
        ax=None,
        name=None,
        point_kwargs=None,
        ideal_kwargs=None,
    ):
        """Draw a report.

        Parameters
        ----------
        report : data frame of shape (n_measures, 4)
            What :func:`skae.tables.report` returns, in any library of data frames.
            Measures without a value are left out.
        max_columns : int, default=8
            Columns whose lines follow that of all, for each measure at most.
        ax : matplotlib Axes, default=None
            Axes to draw on. None makes a new figure.
        name : str, default=None
            Title.
        point_kwargs, ideal_kwargs : dict, default=None
            Keyword arguments of artists, as in `plot`.

        Returns
        -------
        display : ReportDisplay
            The display, drawn.

        Raises
        ------
        TypeError
            If `report` is no data frame.
        ValueError
            If it has no measures, lacks one of the columns "new", "fresh", "bootstrap"
            and "ideal", or has no value in them.
        """
        return cls(**_values(report), name=name).plot(
            ax,
            max_columns=max_columns,
            point_kwargs=point_kwargs,
            ideal_kwargs=ideal_kwargs,
        )


def _values(report):
    """Measures of a report and their values, by kind.

    Measures are the index, or a column where frames have none.
    """
    import narwhals.stable.v2 as nw

    frame = nw.from_native(report, eager_only=True)
    index = nw.maybe_get_index(frame)
    measures = [] if index is None else list(index)
    if "measure" in frame.columns:
        measures = frame["measure"].to_list()
    is_named = bool(measures) and all(isinstance(line, str) for line in measures)
    if not is_named or not set(_LABELS) <= set(frame.columns):
        raise ValueError(
            "ReportDisplay draws what skae.tables.report returns: lines named by their "
            f"measures, with the columns {list(_LABELS)}; got the columns "
            f"{frame.columns}."
        )
    values = {kind: frame[kind].to_numpy().astype(float) for kind in _LABELS}
    return {"measures": measures} | values


def _name_lines(panel, measure, lines):
    """Names beside the lines of a panel, from top to bottom."""
    columns = [line.partition(_SEPARATOR)[2] for line in lines]
    names = [column or _TITLES.get(measure, measure) for column in columns]
    panel.set_yticks(range(len(names)), names)
    for tick, column in zip(panel.yaxis.get_major_ticks(), columns):
        tick.label1.set_fontsize("small" if column else "medium")
    panel.set_ylim(len(names) - 0.5, -0.5)
    panel.xaxis.get_major_locator().set_params(nbins=5, steps=[1, 2, 5, 10])
    panel.xaxis.set_major_formatter("{x:.4g}")
    panel.tick_params(axis="x", labelsize="small")
    panel.tick_params(axis="y", length=0)
    panel.grid(axis="y", alpha=0.4)
    panel.set_axisbelow(True)
    panel.spines[["left", "right", "top"]].set_visible(False)
