"""The pages for users: snippets print what they show, figures are the results'."""

import doctest
import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
DOCS = ROOT / "docs"
BUILT = {"_build", "auto_examples", "generated"}  # by `make docs`
PAGES = sorted(
    [
        README,
        ROOT / "CHANGELOG.md",
        *(p for p in DOCS.rglob("*.md") if not BUILT & set(p.parts)),
    ]
)

_MOST_LINES = 200
_TOLERANCE = 0.05  # relative, of decimal numbers that a fit prints

_PYTHON = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
_DECIMAL = re.compile(r"-?\d+\.\d+")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_CODE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)


class NumbersWithinTolerance(doctest.OutputChecker):
    """Processors and versions of torch round differently, and fits follow them."""

    def check_output(self, want, got, optionflags):
        shown, printed = _DECIMAL.findall(want), _DECIMAL.findall(got)
        if len(shown) == len(printed) and [
            float(number) for number in printed
        ] == pytest.approx([float(number) for number in shown], rel=_TOLERANCE):
            printed = iter(shown)
            got = _DECIMAL.sub(lambda _: next(printed), got)
        return super().check_output(want, got, optionflags)


def run_snippets(text):
    """What doctest says of the Python blocks of a page, run in one namespace."""
    runner = doctest.DocTestRunner(
        NumbersWithinTolerance(),
        verbose=False,
        optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE,
    )
    parser, namespace, complaints = doctest.DocTestParser(), {}, []
    for block in _PYTHON.finditer(text):
        n_before = text[: block.start(1)].count("\n")
        test = parser.get_doctest(block[1], namespace, "page", "page", n_before)
        assert test.examples, f"a Python block has no >>>: {block[1]}"
        runner.run(test, out=complaints.append, clear_globs=False)
        namespace = test.globs
    return "".join(complaints)


WITH_SNIPPETS = [page for page in PAGES if _PYTHON.search(page.read_text())]


def name_of(page):
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", WITH_SNIPPETS, ids=name_of)
def test_snippets_print_what_they_show(page):
    assert not run_snippets(page.read_text())


def test_the_readme_has_snippets():
    assert README in WITH_SNIPPETS


@pytest.mark.parametrize("printed", ["0.64", "0.71 0.71", "AE 0.7"])
def test_a_snippet_that_prints_something_else_is_found(printed):
    page = f"```python\n>>> print({printed!r})\n{{}}\n\n```\n"
    assert run_snippets(page.format("0.70"))
    assert not run_snippets(page.format(printed))


def test_blocks_share_one_namespace_and_numbers_may_round():
    page = "```python\n>>> a = 0.712\n\n```\n\n```python\n>>> print(a)\n0.70\n\n```\n"
    assert not run_snippets(page)


@pytest.fixture
def write_docs(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("write_docs")


def test_figures_are_those_of_the_results(write_docs):
    """docs/benchmarks.md, and what other pages have between their markers."""
    files = write_docs.contents().items()
    stale = [path.name for path, text in files if path.read_text() != text]
    assert not stale, f"run python benchmarks/write_docs.py: {', '.join(stale)}"


def test_both_kinds_of_codes_are_shown_where_both_were_measured(write_docs):
    results = write_docs.load_results()
    for row in results["versus_pca"]["rows"]:
        row["ae_refined_error"] = 0.25 * row["pca_error"]
        row["ae_encoder_error"] = 0.5 * row["pca_error"]
    shown = write_docs.readme(README.read_text(), results)
    assert "| encoder codes | refined codes |" in shown
    assert "| **0.500** | **0.250** |" in shown
    assert "0.500, 0.250" in write_docs.page(results)


def test_readme_is_short():
    assert len(README.read_text().splitlines()) < _MOST_LINES


def anchors(page):
    """Those that GitHub gives to the headings of a page."""
    titles = _HEADING.findall(_CODE.sub("", page.read_text()))
    kept = (re.sub(r"[^\w\- ]", "", title.strip().lower()) for title in titles)
    return {title.replace(" ", "-") for title in kept}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_relative_links_lead_somewhere(page):
    for link in _LINK.findall(_CODE.sub("", page.read_text())):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link
