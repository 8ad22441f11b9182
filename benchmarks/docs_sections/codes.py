"""Errors of the encoder's codes and of refined ones, under whichever name they have."""

ENCODER, REFINED = "encoder", "refined"

# The first of these that a row has. A row with neither name is of the time when
# `transform` refined codes by default.
_NAMES = {
    ENCODER: ("ae_encoder_error", "encoder_error", "error_of_the_encoder"),
    REFINED: ("ae_refined_error", "refined_error", "ae_error", "error"),
}

EXPLAINED = (
    "*Encoder*: codes as the encoder returns them, the default of `transform`. "
    "*Refined*: after a few steps of optimisation for each row "
    "(`transform_max_iter=3`), which take several times as long."
)


def errors(row: dict) -> dict[str, float]:
    """By kind of code; a kind that was not measured is left out."""
    found = {}
    for kind, names in _NAMES.items():
        known = [row[name] for name in names if row.get(name) is not None]
        if known:
            found[kind] = known[0]
    return found


def kinds(rows: list[dict]) -> list[str]:
    """Those that all rows have."""
    return [kind for kind in _NAMES if all(kind in errors(row) for row in rows)]
