"""The precision of training: bf16 where the device has bf16 instructions, fp32 everywhere else.

Emulated bf16 is many times slower and less exact than fp32, so it is used only if the user chooses it.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

from medzoo.errors import UsageError

if TYPE_CHECKING:
    import torch

Precision = Literal["fp32", "bf16"]
PrecisionChoice = Literal["auto", "fp32", "bf16"]
PRECISION_CHOICES: tuple[str, ...] = get_args(PrecisionChoice)
# Slow-down of a bf16 step over fp32 on a CPU with AVX2: ResNet-18, 32 to 64 px, batch 64, one or two threads.
SLOWER = (7, 30)
# Values of ONEDNN_MAX_CPU_ISA that exclude bf16 instructions; all others allow them.
# https://uxlfoundation.github.io/oneDNN/dev_guide_cpu_dispatcher_control.html
_WITHOUT_BF16 = ("sse41", "avx", "avx2", "avx2_vnni", "avx2_vnni_2", "avx512_core", "avx512_core_vnni")
_PLAIN_KERNELS = ("default", "avx2")  # of ATEN_CPU_CAPABILITY
# cuBLAS uses a fixed order only with a workspace of fixed size. Older versions of torch read the variable once, at the first
# matrix product of a process, so it is set before any. Source: https://docs.nvidia.com/cuda/cublas/#results-reproducibility
WORKSPACE, FIXED_SIZE = "CUBLAS_WORKSPACE_CONFIG", ":4096:8"


def device_kind(device: str | None = "auto") -> str:
    """The kind of device that a run computes on: "cpu", "cuda", "mps", "xpu", ...

    Args:
        device: "cpu"; "auto" or None uses the accelerator of this machine.
    """
    import torch

    forced = os.environ.get("ACCELERATE_USE_CPU", "").lower() in ("1", "true", "yes", "y", "t", "on")
    if device == "cpu" or forced or not torch.accelerator.is_available():
        return "cpu"
    accelerator = torch.accelerator.current_accelerator()
    return "cpu" if accelerator is None else accelerator.type


def free_memory(device: torch.device) -> int:
    """The bytes of a graphics card that this process can use: those that nobody has, and those that it has and does not use.

    Args:
        device: of the kind "cuda".
    """
    import torch

    free, _ = torch.cuda.mem_get_info(device)
    return int(free + max(torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device), 0))


@contextmanager
def full_float32(kind: str) -> Iterator[None]:
    """A block in which a GPU computes float32 with all its bits, so that fp32 means the same on every machine.

    By default, torch lets a GPU round the factors of convolutions to 11 bits (TF32). Autocast is not affected.

    Args:
        kind: of the device, as `device_kind` gives it; only "cuda" has TF32.
    """
    import torch

    if kind != "cuda":
        yield
        return
    os.environ.setdefault(WORKSPACE, FIXED_SIZE)
    matmul, cudnn = torch.backends.cuda.matmul, cast(Any, torch.backends.cudnn)
    products = matmul.fp32_precision
    parts = [(part, part.fp32_precision) for part in (cudnn.conv, cudnn.rnn)]
    if products not in ("none", "ieee"):
        matmul.fp32_precision = "ieee"
    cudnn.allow_tf32 = False  # the older setting of both parts: torch.compile reads it, and fails if they disagree
    try:
        yield
    finally:
        if matmul.fp32_precision != products:
            matmul.fp32_precision = products
        cudnn.allow_tf32 = "tf32" in [before for _, before in parts]
        for part, before in parts:
            if part.fp32_precision != before:
                part.fp32_precision = before


def is_native(kind: str) -> bool:
    """Whether a device has bf16 instructions.

    Args:
        kind: as `device_kind` gives it.
    """
    import torch

    if kind == "cpu":
        return cpu_limit() is None and _cpu_has_bf16()
    if kind == "cuda":  # each process of a launch uses one card
        cards = range(max(1, min(int(os.environ.get("LOCAL_WORLD_SIZE", "1")), torch.cuda.device_count())))
        return all(_card_has_bf16(card) for card in cards)
    if kind == "xpu":
        return bool(torch.xpu.is_bf16_supported(including_emulation=False))
    return False  # MPS supports bf16 without being faster; other devices are unknown


def _card_has_bf16(card: int) -> bool:
    import torch

    # by its properties: to switch to the card of another process would take memory there
    return bool(torch.version.hip) or torch.cuda.get_device_properties(card).major >= 8


def cpu_limit() -> str | None:
    """The setting that disables the CPU's bf16 instructions in this process, such as "ONEDNN_MAX_CPU_ISA=AVX2"; or None."""
    for name, plain in (
        ("ONEDNN_MAX_CPU_ISA", _WITHOUT_BF16),
        ("DNNL_MAX_CPU_ISA", _WITHOUT_BF16),
        ("ATEN_CPU_CAPABILITY", _PLAIN_KERNELS),
    ):
        if (value := os.environ.get(name, "")).lower() in plain:
            return f"{name}={value}"
    return None


def _cpu_has_bf16() -> bool:
    """AMX or AVX512-BF16; on ARM its bf16 instructions, if oneDNN can use them (Linux)."""
    import torch

    has = cpu_capabilities()
    if has.get("amx_bf16") or has.get("avx512_bf16"):
        return str(torch.backends.cpu.get_cpu_capability()).startswith(("AVX512", "AMX"))
    return bool(has.get("bf16")) and platform.system() == "Linux" and torch.backends.mkldnn.is_available()


def cpu_capabilities() -> dict[str, Any]:
    """The instructions of this CPU by name, as torch reports them; empty if it does not."""
    import torch

    try:
        return dict(torch.cpu.get_capabilities())
    except (AttributeError, RuntimeError):  # before torch 2.11
        tests = {"avx512_bf16": "_is_avx512_bf16_supported", "amx_bf16": "_is_amx_tile_supported"}
        return {name: bool(getattr(torch.cpu, test, lambda: False)()) for name, test in tests.items()}


def device_words(kind: str) -> str:
    """A device and its bf16 support in a few words, such as "this CPU, which has no bf16 instructions"."""
    if kind != "cpu":
        return f"this device ({kind}), which {'computes' if is_native(kind) else 'does not compute'} bf16 natively"
    if (limit := cpu_limit()) is not None:
        return f"this CPU, where {limit} disables bf16 instructions"
    return f"this CPU, which has {'' if is_native(kind) else 'no '}bf16 instructions"


def emulation_cost(kind: str) -> str:
    """How much longer bf16 takes where it is emulated, as the end of a sentence."""
    low, high = SLOWER
    return (
        f"a step takes {low} to {high} times as long as in fp32"
        if kind == "cpu"
        else "a step takes longer than in fp32"
    )


def suited(device: str | None = "auto") -> Precision:
    """The best precision for a device.

    Args:
        device: "auto" or "cpu".

    >>> suited("cpu") in ("fp32", "bf16")
    True
    """
    return "bf16" if is_native(device_kind(device)) else "fp32"


def checked(choice: object, where: str = "--precision") -> PrecisionChoice:
    """A valid choice of precision.

    Args:
        choice: the value that was typed or read from a file.
        where: the option or the file, for the message.

    Raises:
        UsageError: names the choices.
    """
    if choice not in PRECISION_CHOICES:
        raise UsageError(
            f"{where} is {choice!r}; choose {', '.join(PRECISION_CHOICES[:-1])} or {PRECISION_CHOICES[-1]}.",
            code="precision-unknown",
        )
    return cast(PrecisionChoice, choice)


def resolve(
    choice: PrecisionChoice | None, device: str | None = "auto", *, began: Precision | None = None
) -> Precision:
    """The precision of a run: for "auto" (or None) that of the run's start, else the best one for the device.

    Args:
        choice: "auto", "fp32" or "bf16".
        device: "auto" or "cpu".
        began: the precision at the start of a resumed run; None for a new run.

    >>> resolve("fp32"), resolve("auto", "cpu", began="fp32")
    ('fp32', 'fp32')
    """
    if choice in ("fp32", "bf16"):
        return choice
    return began or suited(device)


def emulated(precision: Precision, kind: str, *, kept: bool = False) -> str:
    """A warning, with the cost, if the device does not compute the precision natively; else empty.

    Args:
        precision: of the run.
        kind: of the device.
        kept: whether a resumed run keeps this precision; False if the user chose it.
    """
    if precision != "bf16" or is_native(kind):
        return ""
    advice = (
        "The run started in bf16 and keeps it; to start a new run, use --precision fp32 and another --out"
        if kept
        else "--precision fp32 (or auto) is faster here"
    )
    return f"bf16 is emulated on {device_words(kind)}: {emulation_cost(kind)}. {advice}."
