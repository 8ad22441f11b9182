"""A scan over the batches of an epoch, compiled by JAX: a contender of `speed.py`."""

from functools import partial
from itertools import pairwise

from contest import LEARNING_RATE, Task


def jax(task: Task) -> None:
    import jax
    import jax.numpy as jnp
    import numpy as np

    X = jnp.asarray(task.X)
    key, start = jax.random.split(jax.random.key(task.seed))
    params = _initial(start, task.widths)
    zeros = jax.tree.map(jnp.zeros_like, params)
    state = (params, zeros, zeros, jnp.zeros(()))
    code = len(task.hidden)
    # X is an argument: as a constant it would be compiled in, which takes long.
    epoch = jax.jit(partial(_epoch, batch_size=task.batch_size, code=code))
    forward = jax.jit(partial(_forward, code=code))
    for _ in range(task.n_epochs):
        key, shuffle = jax.random.split(key)
        state = jax.block_until_ready(epoch(state, shuffle, X))
        params = state[0]
        task.watch.epoch(lambda X, params=params: np.asarray(forward(params, X)))


def _initial(key, widths):
    """Weights and biases as `torch.nn.Linear` draws them."""
    import jax

    params = []
    for n_in, n_out in pairwise(widths):
        key, first, second = jax.random.split(key, 3)
        bound = n_in**-0.5
        weight = jax.random.uniform(first, (n_in, n_out), minval=-bound, maxval=bound)
        bias = jax.random.uniform(second, (n_out,), minval=-bound, maxval=bound)
        params.append((weight, bias))
    return params


def _forward(params, x, code):
    """ReLU after all layers but the code's and the last."""
    import jax

    for i, (weight, bias) in enumerate(params):
        x = x @ weight + bias
        if i not in (code, len(params) - 1):
            x = jax.nn.relu(x)
    return x


def _epoch(state, key, X, batch_size, code):
    """One pass over X; the last batch is filled up from the first rows."""
    import jax
    import jax.numpy as jnp

    def loss(params, x):
        return jnp.square(_forward(params, x, code) - x).mean()

    def step(state, rows):
        gradient = jax.grad(loss)(state[0], X[rows])
        return _adamw(state, gradient), None

    n_batches = -(-len(X) // batch_size)
    order = jax.random.permutation(key, len(X))
    order = jnp.resize(order, (n_batches, batch_size))
    return jax.lax.scan(step, state, order)[0]


def _adamw(state, gradient, decay=1e-2, beta1=0.9, beta2=0.999, eps=1e-8):
    """AdamW with torch's default settings."""
    import jax
    import jax.numpy as jnp

    params, mean, square, t = state
    t = t + 1
    mean = jax.tree.map(lambda m, g: beta1 * m + (1 - beta1) * g, mean, gradient)
    square = jax.tree.map(
        lambda s, g: beta2 * s + (1 - beta2) * g * g, square, gradient
    )

    def move(p, m, s):
        scaled = jnp.sqrt(s / (1 - beta2**t)) + eps
        step = m / (1 - beta1**t) / scaled
        return p * (1 - LEARNING_RATE * decay) - LEARNING_RATE * step

    return jax.tree.map(move, params, mean, square), mean, square, t
