"""The package as it is installed: version, types, and the promises of its metadata."""

import re
from importlib import metadata
from pathlib import Path

import pytest

import skae

PACKAGE = Path(skae.__file__).parent
PROJECT = PACKAGE.parent


def test_version_is_one_of_pep_440():
    assert re.fullmatch(r"\d+\.\d+\.\d+((a|b|rc)\d+)?(\.dev\d+)?", skae.__version__)


def test_installed_version_is_the_one_of_the_source():
    try:
        installed = metadata.version("skae")
    except metadata.PackageNotFoundError:
        pytest.skip("skae runs from its source and is not installed")
    assert installed == skae.__version__


def test_types_are_offered_to_type_checkers():
    assert (PACKAGE / "py.typed").is_file()


def test_oldest_promised_versions_are_those_that_are_tested():
    project, constraints = (
        PROJECT / "pyproject.toml",
        PROJECT / "constraints-oldest.txt",
    )
    if not project.exists():
        pytest.skip("only a clone has the project's files")
    promised = dict(re.findall(r'"([\w-]+) >= ([\d.]+)"', project.read_text()))
    tested = dict(re.findall(r"^([\w-]+)==([\d.]+)$", constraints.read_text(), re.M))
    for name in ("scikit-learn", "skorch", "torch"):
        assert tested[name].startswith(promised[name] + ".")
