"""Files of estimators, which are read without running any code of theirs.

`_codec.py` turns objects into JSON values and arrays, `_file.py` has the file itself,
`_estimators.py` what users call, `_parts.py` and `_foreign.py` register classes of `nn`
and of other packages. Other folders register theirs with `storable`.

Imported by all folders of users, by `training` and `data`. May import torch, NumPy,
scikit-learn, safetensors and `nn`.
"""

import skae.io._foreign
import skae.io._parts  # noqa: F401  # they register
from skae.io._codec import Given, Reader, Writer, register, storable
from skae.io._estimators import FileMixin, load
from skae.io._file import malformed, read, replaced_when_whole, write

__all__ = [
    "FileMixin",
    "Given",
    "Reader",
    "Writer",
    "load",
    "malformed",
    "read",
    "register",
    "replaced_when_whole",
    "storable",
    "write",
]
