"""Latents in the order of their importance: prefixes of a code that are codes.

Decoding a random prefix of each row's code makes the first latents serve every size
and each further one add the most to those before it.

References
----------
Rippel, O., Gelbart, M. and Adams, R. (2014). Learning ordered representations with
nested dropout. ICML.
"""

import torch
from torch import Tensor


def random_prefixes(n: int, k: int, generator: torch.Generator) -> Tensor:
    """Masks (n, k) of the first 1 to k latents, ones and zeros.

    The logarithm of the size is uniform: each doubling of the code gets the same share
    of the rows.
    """
    share = torch.rand(n, generator=generator, device=generator.device)
    sizes = ((k + 1) ** share).unsqueeze(1)  # within [1, k + 1)
    ranks = torch.arange(1, k + 1, device=sizes.device)
    return (ranks <= sizes).float()
