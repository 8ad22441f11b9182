#!/usr/bin/env bash
# Everything that waits for a GPU, in eight minutes: tests of devices, epochs beside
# eager torch, a VAE and an autoencoder of MNIST. One table; JSON in $OUT where that is
# set.
#
# bash benchmarks/gpu.sh                  on the first GPU
# bash benchmarks/gpu.sh --device cpu     the same on the processor, cut to a minute
# bash benchmarks/gpu.sh --help           further options
#
# PYTHON names the interpreter; else it is that of .venv, else python3. MNIST is read
# from mnist_784.npz in the folder SKAE_DATA, or in shared/data beside or in the
# checkout. Nothing is downloaded, nothing installed.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)

python=${PYTHON:-$root/.venv/bin/python}
if [[ -z ${PYTHON:-} && ! -x $python ]]; then
    python=python3
fi

missing=$("$python" -c '
from importlib.util import find_spec
needed = "numpy pytest scipy sklearn skorch torch tqdm".split()
print(*[name for name in needed if find_spec(name) is None])
')
if [[ -n $missing ]]; then
    echo "gpu.sh: Python modules are missing: $missing" >&2
    exit 2
fi

export PYTHONPATH=$root${PYTHONPATH:+:$PYTHONPATH}
exec "$python" "$root/benchmarks/gpu.py" "$@"
