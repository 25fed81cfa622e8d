import pytest
import torch

from service.device.failures import answers, is_out_of_memory


def accelerator_error(message: str, code: int) -> torch.AcceleratorError:
    """Return an error as torch raises it for a failed call of CUDA."""
    error = torch.AcceleratorError(message)
    error.error_code = code  # type: ignore[attr-defined]
    return error


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        MemoryError(),
        accelerator_error("CUDA error: out of memory", 2),
        RuntimeError("Triton Error [CUDA]: out of memory"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9000 bytes."),
    ],
    ids=lambda error: f"{type(error).__name__} {error}",
)
def test_out_of_memory_is_recognised_whichever_library_reports_it(error: Exception) -> None:
    assert is_out_of_memory(error)


@pytest.mark.parametrize(
    "error",
    [
        accelerator_error("CUDA error: an illegal memory access was encountered", 700),
        accelerator_error("CUDA error: invalid argument", 1),
        RuntimeError("Triton Error [CUDA]: an illegal memory access was encountered"),
        RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
        ValueError("out of memory is what this is not"),
    ],
    ids=lambda error: f"{type(error).__name__} {error}",
)
def test_other_errors_are_not_taken_for_out_of_memory(error: Exception) -> None:
    assert not is_out_of_memory(error)


def test_out_of_memory_is_recognised_when_torch_really_raises_it_on_a_cpu() -> None:
    with pytest.raises(RuntimeError) as raised:
        torch.empty(2**58)
    assert is_out_of_memory(raised.value)


def test_a_device_that_computes_answers() -> None:
    assert answers(torch.device("cpu"))


def test_a_device_that_fails_at_everything_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_args: object, **_options: object) -> None:
        raise accelerator_error("CUDA error: an illegal memory access was encountered", 700)

    monkeypatch.setattr(torch, "zeros", fail)

    assert not answers(torch.device("cuda"))


def test_an_error_left_over_from_an_earlier_failure_does_not_mean_that_the_device_is_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    zeros, left_over = torch.zeros, [accelerator_error("CUDA error: invalid argument", 1)]

    def fail_once(size: int, device: torch.device) -> torch.Tensor:
        if left_over:
            raise left_over.pop()
        return zeros(size, device=device)

    monkeypatch.setattr(torch, "zeros", fail_once)

    assert answers(torch.device("cpu"))


def test_a_device_that_has_no_memory_left_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_args: object, **_options: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(torch, "zeros", fail)

    assert answers(torch.device("cuda"))
