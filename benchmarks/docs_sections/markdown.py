"""Tables and lines of Markdown."""

import math
import re
import textwrap

import numpy as np

# A script, and what was done besides: "python benchmarks/missing.py, table by table".
_COMMAND = re.compile(r"^(python \S+\.py)[,;] (.+)$")


def section(*parts: str) -> str:
    """Paragraphs, tables and lists, with a blank line between them."""
    return "\n\n".join(parts)


def prose(text: str) -> str:
    """A paragraph, its lines filled anew."""
    return textwrap.fill(
        " ".join(text.split()), 88, break_long_words=False, break_on_hyphens=False
    )


def table(header, rows) -> str:
    """Markdown of a table; a float is not formatted here."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def made_by(*all_results: dict) -> str:
    """The commands that made the results, and when and on what they ran."""
    lines = []
    for results in all_results:
        environment = results["environment"]
        command, remark = environment["command"], ""
        if found := _COMMAND.match(command):
            command, remark = found[1], f" ({found[2]})"
        torch = environment["packages"]["torch"]
        lines.append(
            f"Made by `{command}`{remark}, {environment['date'][:10]}, torch {torch}, "
            f"{_device(environment)}."
        )
    return "  \n".join(lines)  # two spaces: a line of its own


def _device(environment: dict) -> str:
    if environment["device"] != "cpu":
        return environment["device"]
    threads = environment["torch_threads"]
    return f"{environment['cpu']}, {number(threads)} thread{'s' * (threads > 1)}"


def number(count: int) -> str:
    """Small numbers as words."""
    words = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight")
    return words[count] if 0 <= count < len(words) else f"{count:,}"


def fixed(value, digits: int, sign: str = "") -> str:
    """A dash where there is no number; a small one keeps its first digit."""
    if value is None or not math.isfinite(value):
        return "-"
    text = f"{value:{sign}.{digits}f}"
    return f"{value:{sign}.1g}" if value and not float(text) else text


def best_in_bold(values: dict, digits: int, choose) -> dict:
    """Texts of numbers; those that print as the best one are bold."""
    texts = {name: fixed(value, digits) for name, value in values.items()}
    known = [v for v in values.values() if v is not None and math.isfinite(v)]
    best = fixed(choose(known), digits) if known else None
    return {n: f"**{text}**" if text == best else text for n, text in texts.items()}


def geometric_mean(values) -> float:
    return float(np.exp(np.mean(np.log(list(values)))))


def listed(names) -> str:
    """a, b and c."""
    names = list(names)
    if len(names) < 2:
        return "".join(names) or "none"
    return ", ".join(names[:-1]) + " and " + names[-1]
