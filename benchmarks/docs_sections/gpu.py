"""One run of `gpu.sh`."""

from docs_sections.markdown import fixed, made_by, prose, section, table

_SIGNS = {"<=": "at most", ">=": "at least"}


def gpu(results: dict) -> str:
    results = results["gpu"]
    lines = [
        (part, figure["name"], _text(figure["value"]), _goal(figure))
        for part, found in results["parts"].items()
        for figure in found["figures"]
    ]
    return section(
        made_by(results),
        prose(f"""
            {results["data"]}; the epochs are beside a hand-written loop with a fused
            optimiser on the same device. What the parts are and what has not run stands
            in [gpu.md](../benchmarks/results/gpu.md).
        """),
        table(("part", "figure", "value", "goal"), lines),
    )


def _text(value) -> str:
    return str(value) if isinstance(value, int) else fixed(value, 2)


def _goal(figure: dict) -> str:
    if "goal" not in figure:
        return ""
    sign, bound = figure["goal"]
    return f"{_SIGNS[sign]} {bound}"
