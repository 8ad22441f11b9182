"""Callbacks of scikit-learn (from 1.9 on) in the estimators of skae."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skae import (
    AutoencoderDetector,
    AutoencoderTransformer,
    SemiSupervisedClassifier,
    VAETransformer,
    load,
)

callback = pytest.importorskip(
    "sklearn.callback", reason="scikit-learn < 1.9 has no callbacks"
)

N_EPOCHS = 3


class Recorder:
    """Record the begins and ends of tasks; propagated to estimators within others."""

    max_propagation_depth = None

    def __init__(self, stops_after=None):
        self.begun, self.ended, self.states = [], [], []
        self.stops_after = stops_after

    def setup(self, estimator, context):
        self.states.append("setup")

    def teardown(self, estimator, context):
        self.states.append("teardown")

    def on_fit_task_begin(self, estimator, context):
        self.begun.append((context.estimator_name, context.task_name))

    def on_fit_task_end(self, estimator, context):
        self.ended.append((context.estimator_name, context.task_name))
        n_epochs = sum(name == "epoch" for _, name in self.ended)
        return self.stops_after is not None and n_epochs >= self.stops_after


class Scores(Recorder):
    """Record the score of the estimator that each task ends with."""

    def __init__(self):
        super().__init__()
        self.scores = []

    def on_fit_task_end(self, estimator, context, *, X=None, fitted_estimator=None):
        self.scores.append(fitted_estimator.score(X))


def transformer(kind=AutoencoderTransformer, **options):
    return kind(2, max_iter=N_EPOCHS, random_state=0, **options)


KINDS = [AutoencoderTransformer, VAETransformer]


@pytest.mark.parametrize("kind", KINDS)
def test_each_epoch_is_a_task_of_the_fit(iris, kind):
    recorder = Recorder()
    transformer(kind).set_callbacks(recorder).fit(iris)
    name = kind.__name__
    assert recorder.begun == [(name, "fit")] + N_EPOCHS * [(name, "epoch")]
    assert recorder.ended == N_EPOCHS * [(name, "epoch")] + [(name, "fit")]
    assert recorder.states == ["setup", "teardown"]


@pytest.mark.parametrize("kind", KINDS)
def test_callbacks_leave_the_bits_of_a_fit_alone(iris, kind):
    plain = transformer(kind).fit(iris)
    watched = transformer(kind).set_callbacks(Scores()).fit(iris)
    assert watched.loss_curve_ == plain.loss_curve_
    assert np.array_equal(watched.transform(iris), plain.transform(iris))


@pytest.mark.parametrize("kind", KINDS)
def test_the_last_epoch_has_the_score_of_a_fit_that_ends_there(iris, kind):
    # Without validation rows the last epoch is kept.
    scores = Scores()
    fitted = transformer(kind, early_stopping=False).set_callbacks(scores).fit(iris)
    *of_epochs, of_fit = scores.scores
    assert len(of_epochs) == N_EPOCHS
    assert of_epochs[-1] == of_fit == fitted.score(iris)
    assert of_epochs[0] != of_epochs[-1]


def test_the_monitor_logs_a_score_for_each_epoch_without_y(iris):
    # With scoring=None, scikit-learn 1.9.1 takes a number for a dict.
    scoring = {"likelihood": lambda fitted, X, y: fitted.score(X)}
    monitor = callback.ScoringMonitor(scoring=scoring)
    model = transformer(VAETransformer, early_stopping=False)
    fitted = model.set_callbacks(monitor).fit(iris)
    logged = [row["likelihood"] for row in monitor.get_logs().data]
    assert len(logged) == N_EPOCHS + 1
    assert logged[-1] == fitted.score(iris)


def test_a_true_value_ends_the_fit(iris):
    fitted = transformer().set_callbacks(Recorder(stops_after=2)).fit(iris)
    assert (fitted.n_iter_, fitted.stopped_by_) == (2, "callback")


def test_callbacks_end_when_a_fit_fails(iris):
    recorder = Recorder()
    failing = transformer(penalty=lambda *args: 1 / 0).set_callbacks(recorder)
    with pytest.raises(ZeroDivisionError):
        failing.fit(iris)
    assert recorder.states == ["setup", "teardown"]
    assert not hasattr(failing, "_callback_fit_ctx")


def test_a_pipeline_in_a_search_shows_its_epochs(iris):
    recorder = Recorder()
    pipeline = make_pipeline(StandardScaler(), transformer())
    grid = {"autoencodertransformer__n_components": [1, 2]}
    GridSearchCV(pipeline, grid, cv=2).set_callbacks(recorder).fit(iris)
    # Two candidates in two folds, and the best of them with all rows.
    n_epochs = recorder.ended.count(("AutoencoderTransformer", "epoch"))
    assert n_epochs == (2 * 2 + 1) * N_EPOCHS


def test_the_bar_of_a_search_shows_candidates_and_epochs(iris, capfd, monkeypatch):
    pytest.importorskip("rich")
    monkeypatch.setenv("COLUMNS", "160")
    search = GridSearchCV(transformer(), {"n_components": [1, 2]}, cv=2)
    search.set_callbacks(callback.ProgressBar()).fit(iris)
    shown = capfd.readouterr().out
    assert "AutoencoderTransformer - fit #3" in shown
    assert "GridSearchCV - fit" in shown
    assert "100%" in shown


def test_a_detector_shows_the_epochs_of_its_transformers(iris):
    recorder = Recorder()
    AutoencoderDetector(transformer(), random_state=0).set_callbacks(recorder).fit(iris)
    # One fit to all rows, and one to each half.
    assert recorder.ended.count(("AutoencoderTransformer", "fit")) == 3
    assert recorder.ended.count(("AutoencoderTransformer", "epoch")) == 3 * N_EPOCHS
    assert recorder.ended[-1] == ("AutoencoderDetector", "fit")


def test_a_classifier_shows_the_epochs_of_its_transformer(iris):
    recorder, y = Recorder(), np.repeat([0, 1, 2], 50)
    model = SemiSupervisedClassifier(transformer(), LogisticRegression())
    model.set_callbacks(recorder).fit(iris, y)
    assert recorder.ended.count(("AutoencoderTransformer", "epoch")) == N_EPOCHS
    assert ("LogisticRegression", "fit") in recorder.ended


def test_files_have_no_callbacks(iris, tmp_path):
    fitted = transformer().set_callbacks(Recorder()).fit(iris)
    fitted.save(tmp_path / "model")
    read = load(tmp_path / "model")
    assert np.array_equal(read.transform(iris), fitted.transform(iris))
    assert not hasattr(read, "_skl_callbacks")
    assert clone(fitted)._skl_callbacks == fitted._skl_callbacks
