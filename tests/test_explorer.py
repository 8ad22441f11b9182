"""The explorer of a latent space, in a browser."""

import json
import re
import shutil

import numpy as np
import pytest
from sklearn.datasets import load_digits, load_iris

from skae import AutoencoderTransformer, VAETransformer
from skae.plotting import LatentDisplay

pytest.importorskip("matplotlib", reason="matplotlib is not installed")


@pytest.fixture(scope="module")
def browser():
    reason = "playwright is not installed"
    sync_api = pytest.importorskip("playwright.sync_api", reason=reason)
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("there is no chromium to show pages")
    with sync_api.sync_playwright() as playwright:
        options = {"args": ["--no-sandbox"], "executable_path": path}
        chromium = playwright.chromium.launch(**options)
        yield chromium
        chromium.close()


def image_display():
    X, y = load_digits(return_X_y=True)
    vae = VAETransformer(3, hidden_layer_sizes=(8,), max_iter=2, random_state=0)
    return LatentDisplay.from_estimator(
        vae.fit(X[:200]), X[:200], y[:200], sample_shape=(8, 8)
    )


def series_display():
    phase = np.linspace(0, 6, 60)
    X = np.sin(np.arange(20) / 3 + phase[:, None])
    options = {"architecture": "conv", "sample_shape": (1, 20), "random_state": 0}
    model = AutoencoderTransformer(2, max_iter=2, **options).fit(X)
    return LatentDisplay.from_estimator(model, X, phase)


def table_display():
    iris = load_iris(as_frame=True)
    frame = iris.data.rename(columns={"sepal length (cm)": "</script><b>length"})
    model = AutoencoderTransformer(1, max_iter=2, random_state=0).fit(frame)
    return LatentDisplay.from_estimator(model, frame, iris.target_names[iris.target])


DISPLAYS = {"image": image_display, "series": series_display, "table": table_display}


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Addresses of pages, by the kind of their rows."""
    folder = tmp_path_factory.mktemp("pages")
    for kind, make in DISPLAYS.items():
        make().to_html(folder / f"{kind}.html", n_grid=8, n_rows=50)
    return {kind: (folder / f"{kind}.html").as_uri() for kind in DISPLAYS}


# What a page shows of the rows: pixels of pictures, texts of tables.
SHOWN = """() => [...document.querySelectorAll("#pictures canvas")]
    .map(canvas => canvas.toDataURL())
    .concat([...document.querySelectorAll("td")].map(cell => cell.textContent))"""
OVERFLOW = "document.documentElement.scrollWidth > document.documentElement.clientWidth"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("kind", DISPLAYS)
def test_pointing_at_a_code_shows_its_row(browser, pages, kind, width, scheme):
    with browser.new_context(
        viewport={"width": width, "height": 800},
        color_scheme=scheme,
        has_touch=width == 400,
        offline=True,
    ) as context:
        page, faults = context.new_page(), []
        page.on("console", lambda message: faults.append(message.text))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(pages[kind])
        box = page.locator("#plane").bounding_box()
        left = box["x"] + 0.25 * box["width"], box["y"] + 0.3 * box["height"]
        right = box["x"] + 0.8 * box["width"], box["y"] + 0.6 * box["height"]
        page.mouse.move(*left)
        before, place = page.evaluate(SHOWN), page.inner_text("#place")
        move = page.touchscreen.tap if width == 400 else page.mouse.move
        move(*right)
        after = page.evaluate(SHOWN)
        # The decoded row and the nearest one, or both columns of the table.
        assert len(before) == (8 if kind == "table" else 2)
        assert all(one != other for one, other in zip(before, after)) or kind == "table"
        assert before != after
        assert page.inner_text("#place") != place
        page.focus("#plane")
        page.keyboard.press("ArrowLeft")
        assert page.evaluate(SHOWN) != after
        assert not page.evaluate(OVERFLOW)
        assert faults == []


def test_a_code_of_the_grid_shows_what_the_model_decodes(browser, pages):
    display = image_display()
    latents = display.latents_
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(pages["image"])
        x, y = page.evaluate("data.axes.map(limits => limits[0])")
        shown = page.evaluate("([x, y]) => [...decode(x, y)]", [x, y])
        low, high = page.evaluate("[data.low[0], data.high[0]]")
    codes = np.median(display.codes, axis=0)[None]
    codes[:, latents] = x, y
    levels = np.array(shown) / 255 * (high - low) + low
    # Half a level is what rounding to 256 of them leaves.
    truth = display.decode(codes)[0].clip(low, high)
    assert levels == pytest.approx(truth, abs=(high - low) / 500)


def data_of(page):
    return json.loads(re.search(r'id="data">(.*?)</script>', page, re.S)[1])


def test_a_page_has_no_more_than_it_needs():
    display = image_display()
    page = display.to_html(n_grid=8, n_rows=50)
    data = data_of(page)
    assert len(data["x"]) == len(data["ranks"]) == 50
    assert not re.search(r"https?://|src=|@import", page)
    # 64 decoded and 50 real rows of 64 bytes, by 4 / 3, beside the page itself.
    assert len(page) < 30_000
    assert page == display.to_html(n_grid=8, n_rows=50)


def test_names_cannot_end_the_data():
    page = table_display().to_html(n_grid=3)
    assert data_of(page)["names"][0] == "</script><b>length"


def test_codes_alone_cannot_be_decoded():
    display = LatentDisplay.from_codes(np.eye(3))
    with pytest.raises(ValueError, match=r"LatentDisplay\.from_estimator"):
        display.to_html()
    with pytest.raises(ValueError, match="At most 2 latents"):
        image_display().to_html(latents=[0, 1, 2])
