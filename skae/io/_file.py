"""One file of JSON values and arrays, with a checksum, which is whole at each moment.

It is a safetensors file. Its metadata have the values under "skae", and under "sha256"
the checksum of all bytes of the file, computed with zeros in its own place: safetensors
itself has none, and a changed bit would be a changed weight.
"""

import hashlib
import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

# The layout of the values. Each one from the first stays readable.
FORMAT = 1

# Bytes of a header, at most: what safetensors itself reads.
_MAX_HEADER = 100_000_000

_NO_DIGEST = "0" * 64


@contextmanager
def replaced_when_whole(path) -> Iterator[str]:
    """A name to write a file under, which takes its place at `path` in the end.

    A process that is killed, or an error, leaves what was at `path`.
    """
    path = os.fspath(path)
    # In the same folder: from another disk, a file could not be renamed. Another name
    # each time: two may write at once.
    part = f"{path}.{uuid.uuid4().hex}.part"
    try:
        yield part
        os.replace(part, path)
    except BaseException:
        if os.path.exists(part):
            os.remove(part)
        raise


def write(path, values: dict, arrays: dict[str, np.ndarray]) -> None:
    """Write JSON values and arrays.

    Parameters
    ----------
    path : path-like
    values : dict
        Written with the number of the format.
    arrays : dict of str to ndarray
        C-ordered; of booleans, integers or floats.
    """
    metadata = {
        "skae": json.dumps({"format": FORMAT} | values, allow_nan=False),
        "sha256": _NO_DIGEST,
    }
    content = save(arrays, metadata)
    digest = hashlib.sha256(content).hexdigest()
    content = content.replace(_field(_NO_DIGEST), _field(digest), 1)
    with replaced_when_whole(path) as part, open(part, "xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())  # before the old file goes


def read(path) -> tuple[dict, dict[str, np.ndarray]]:
    """What `write` wrote.

    Raises
    ------
    ValueError
        If the file is damaged, no file of skae, or one of a later version.
    """
    try:
        content = _checked(path)
        values = json.loads(_header(content)["__metadata__"]["skae"])
        if values["format"] > FORMAT:
            raise _RefusedError(
                f"has format {values['format']} of a later version of skae; this one "
                f"reads formats up to {FORMAT}"
            )
        arrays = load(content)
    except _RefusedError as error:
        raise ValueError(f"{os.fspath(path)!r} {error}.") from None
    except (SafetensorError, *MALFORMED) as error:
        raise malformed(path, error) from error
    # Copied: those of safetensors may share memory that cannot be written to.
    return values, {name: array.copy() for name, array in arrays.items()}


# What reading values of another structure raises.
MALFORMED = (
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    OverflowError,
    RecursionError,
    RuntimeError,
    TypeError,
    ValueError,
)


def malformed(path, error: Exception) -> ValueError:
    """The error of a file whose content is not as `write` writes it."""
    reason = f"{type(error).__name__}: {error}"
    return ValueError(f"{os.fspath(path)!r} is no file of skae ({reason}).")


class _RefusedError(Exception):
    """Why a file is not read."""


def _checked(path) -> bytes:
    """The content of a file whose checksum is right."""
    size = os.stat(path).st_size
    with open(path, "rb") as file:
        start = file.read(8)
        n_header = int.from_bytes(start, "little")
        # Before anything of such a size is in memory.
        if size < 8 or n_header > min(_MAX_HEADER, size - 8):
            raise _RefusedError("is damaged, or no safetensors file: its header is cut")
        content = start + file.read()
    digest = _header(content)["__metadata__"]["sha256"]
    # In the header alone: the arrays may have any bytes.
    n_header += 8
    blank = content[:n_header].replace(_field(digest), _field(_NO_DIGEST), 1)
    found = hashlib.sha256(blank)
    found.update(memoryview(content)[n_header:])
    if found.hexdigest() != digest:
        raise _RefusedError("is damaged: its checksum is not that of its content")
    return content


def _header(content: bytes) -> dict:
    n_header = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + n_header])


def _field(digest: str) -> bytes:
    """The checksum as the header has it."""
    return f'"sha256":"{digest}"'.encode()
