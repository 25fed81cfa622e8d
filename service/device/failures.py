"""Tests of errors of a device, which tell whether memory ran out, which passes, or whether the device is lost."""

import torch

_CUDA_OUT_OF_MEMORY = 2
"""Code of the error `cudaErrorMemoryAllocation`."""
_PHRASES = ("out of memory", "can't allocate memory", "ALLOC_FAILED", "ALLOCATION_FAILED")
"""Words by which the CUDA driver, torch on a CPU, cuBLAS and cuDNN say in a message that memory ran out."""


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that memory ran out, on the device or on the host.

    Torch's own allocator has a class of errors for that. An allocation of the driver, as for page-locked memory, for
    the launch of a graph or for kernels that are loaded when they are first used, fails with an error code; Triton,
    cuBLAS and cuDNN fail with a plain `RuntimeError`.
    """
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    if getattr(error, "error_code", None) == _CUDA_OUT_OF_MEMORY:
        return True
    return isinstance(error, RuntimeError) and any(phrase in str(error) for phrase in _PHRASES)


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, which leaves out the advice that torch adds to errors of CUDA."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def answers(device: torch.device) -> bool:
    """Return whether a device still computes, by a tiny operation on the current stream that is waited for.

    After some errors every call fails until the process ends; others concern one call alone. Torch raises the same
    class for both, and Triton and cuDNN raise a `RuntimeError` for either. An error of the second kind in cuDNN may be
    raised once more by torch's next call; so the operation is tried twice.
    """
    return _computes(device) or _computes(device)


def _computes(device: torch.device) -> bool:
    try:
        torch.zeros(1, device=device).add_(1).item()
    except Exception as error:
        return is_out_of_memory(error)
    return True
