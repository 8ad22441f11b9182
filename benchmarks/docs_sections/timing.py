"""Seconds of an epoch and to a goal, beside other ways to train an autoencoder."""

from statistics import median

from contenders import MEASURE
from speed import _GOAL, _RACE_COMPONENTS, NETS, ratios

from docs_sections.markdown import made_by, number, prose, section, table


def speed(results: dict) -> str:
    several, results = results["speed_race"], results["speed"]
    n_rounds = len({row["round"] for row in results["epochs"]["mnist"]})
    n_races = len({row["round"] for row in several["race"]["mnist"]})
    limits = ", ".join(f"{net.limit:.0f} ({name})" for name, net in NETS.items())
    return section(
        made_by(results),
        prose(f"""
            **Seconds of an epoch**, divided by those of "{MEASURE}", a hand-written
            loop with a fused optimiser: median of {number(n_rounds)} interleaved
            rounds, in brackets the lowest and the highest, on a machine that other work
            shared. JAX is compiled already. Below one is faster.
        """),
        _epochs(results["epochs"]),
        prose(f"""
            **Seconds until the held-out error is {_GOAL} of PCA's**, {_RACE_COMPONENTS}
            latents, initialisation and compilation included. All have the widths of
            skae's default; skae has its default settings, the others a rate of 1e-3.
            Seconds at most: {limits}. Those who do not arrive are there with their best
            error / PCA's.
        """),
        _race(results["race"]),
        made_by(several),
        f"The faster contenders, {number(n_races)} rounds, medians:",
        _race(several["race"]),
    )


def _epochs(parts: dict) -> str:
    lines = []
    for name in _contenders(parts):
        cells = []
        for rows in parts.values():
            found = ratios(rows, name, MEASURE)
            cells.append(
                f"{median(found):.2f} ({min(found):.2f} to {max(found):.2f})"
                if found
                else "-"
            )
        lines.append((name, *cells))
    return table(("", *map(_title, parts)), lines)


def _title(name: str) -> str:
    net = NETS[name]
    widths = "-".join(map(str, (*net.hidden, net.n_components)))
    return f"{name}, {widths}, batches of {net.batch_size}"


def _race(parts: dict) -> str:
    lines = [
        (name, *(_seconds(rows, name) for rows in parts.values()))
        for name in _contenders(parts)
    ]
    return table(("", *parts), lines)


def _seconds(rows: list[dict], name: str) -> str:
    mine = [row for row in rows if row["contender"] == name]
    if not mine:
        return "-"
    if all(row["reached"] for row in mine):
        return f"{median(row['seconds'] for row in mine):.1f}"
    return f"not reached ({min(row['best_ratio'] for row in mine):.2f})"


def _contenders(parts: dict) -> list[str]:
    return list(dict.fromkeys(row["contender"] for p in parts.values() for row in p))
