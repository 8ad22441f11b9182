"""Pages of docs and the numbers of README.md, from benchmarks/results.

``python benchmarks/write_docs.py`` writes them. ``--check`` writes nothing, says which
of them differ, and exits with 1 if any does.
"""

import argparse
import json
import re
import sys
from pathlib import Path

from docs_sections import SECTIONS
from docs_sections.beside_pca import readme_numbers
from docs_sections.losses import losses
from reporting import RESULTS

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "benchmarks.md"
EVIDENCE = ROOT / "docs" / "evidence" / "index.md"
README = ROOT / "README.md"

_MARKED = re.compile(r"(<!-- numbers -->\n).*?(<!-- /numbers -->)", re.DOTALL)

_INTRODUCTION = """\
# Benchmarks

Written by `python benchmarks/write_docs.py` from the files in
[benchmarks/results](../benchmarks/results): change those, not this page. A test says
when they differ.

Unless a section says otherwise, settings are the defaults, features are standardised
and rows are held out; figures are of processors, but for
[those of a GPU](#on-a-gpu). The tables are scikit-learn's and ADBench's, which also
served to choose the defaults; results on further tables stand in
[defaults.md](defaults.md#further-tables). Losses stand beside wins: ratios above one,
counts of "worse", bold figures in another column.

The packages to compare with come with `pip install -e '.[bench]'`; what is not
installed is left out by name. `SKAE_DATA` names a folder with ADBench's tables,
`adbench/*.npz`, and with MNIST, `mnist_784.npz`. Without it there are scikit-learn's
tables and OpenML's MNIST, and nothing for `outliers.py`.
"""


def load_results() -> dict[str, dict]:
    paths = sorted(RESULTS.glob("*.json"))
    return {path.stem: json.loads(path.read_text()) for path in paths}


def page(results: dict) -> str:
    parts = [_INTRODUCTION, "\n".join(f"- [{t}](#{_anchor(t)})" for t in SECTIONS)]
    parts += [f"\n## {title}\n\n{write(results)}" for title, write in SECTIONS.items()]
    return "\n".join(parts) + "\n"


def _anchor(title: str) -> str:
    return title.lower().replace(" ", "-")


def readme(text: str, results: dict) -> str:
    """README.md with the numbers of the results between its markers."""
    return _filled(text, readme_numbers(results), README)


def evidence(text: str, results: dict) -> str:
    """The page on evidence, with where skae is not the best."""
    return _filled(text, losses(results), EVIDENCE)


def _filled(text: str, numbers: str, path: Path) -> str:
    text, n_found = _MARKED.subn(
        lambda found: f"{found[1]}\n{numbers}\n\n{found[2]}", text
    )
    if n_found != 1:
        raise ValueError(f"{path.name} has the markers of numbers {n_found} times.")
    return text


def contents() -> dict[Path, str]:
    """All files as they should be."""
    results = load_results()
    return {
        PAGE: page(results),
        README: readme(README.read_text(), results),
        EVIDENCE: evidence(EVIDENCE.read_text(), results),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="exit with 1 where a file differs"
    )
    check = parser.parse_args().check
    stale = {
        path: text
        for path, text in contents().items()
        if not path.exists() or path.read_text() != text
    }
    for path, text in stale.items():
        if not check:
            path.write_text(text)
        print(path.relative_to(ROOT), "differs" if check else "written")
    sys.exit(1 if check and stale else 0)


if __name__ == "__main__":
    main()
