"""Which device and which precision a fit uses."""

import torch

# Multiply-adds of a step from which half precision pays for its conversions.
_WORTH_HALVING = 2**24


def available_devices() -> list[str]:
    """Devices that a fit can use; mps has no float64 for the scale of the data."""
    devices = ["cpu"]
    return devices + [f"cuda:{i}" for i in range(torch.cuda.device_count())]


def resolve_device(device: str) -> torch.device:
    """The torch device that `device` names; "auto" is a GPU where there is one.

    Raises
    ------
    ValueError
        If there is no such device; the message lists those that exist.
    """
    devices = available_devices()
    if device == "auto":
        return torch.device(devices[1] if len(devices) > 1 else "cpu")
    try:
        resolved = torch.device(device)
    except RuntimeError:
        resolved = None
    if resolved is not None and resolved.type == "cuda" and resolved.index is None:
        resolved = torch.device("cuda:0")
    if resolved is None or str(resolved) not in devices:
        known = ", ".join(["auto", *devices])
        raise ValueError(
            f"device={device!r} is not available here; there are: {known}."
        )
    return resolved


def resolve_precision(precision: str, device: torch.device, multiply_adds: int) -> str:
    """Half precision where the hardware computes in it and a step is large enough."""
    if precision != "auto":
        return precision
    # On hardware without the type each product would be converted back and forth.
    if multiply_adds >= _WORTH_HALVING and _has_native_bfloat16(device):
        return "bfloat16"
    return "float32"


def _has_native_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        # From Ampere on; earlier ones emulate the type.
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type != "cpu" or not hasattr(torch.cpu, "get_capabilities"):
        return False
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name) for name in ("avx512_bf16", "amx_bf16"))
