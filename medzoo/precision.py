"""The precision of training: bf16 where the device computes it in its own instructions, fp32 everywhere else.

Where bf16 is emulated, a step takes many times as long and the numbers get worse, so nobody should get it without asking.
"""

from __future__ import annotations

import os
import platform
from typing import Any, Literal, cast, get_args

from medzoo.errors import UsageError

Precision = Literal["fp32", "bf16"]
PrecisionChoice = Literal["auto", "fp32", "bf16"]
PRECISION_CHOICES: tuple[str, ...] = get_args(PrecisionChoice)
SLOWER = (
    7,
    30,
)  # times as long as fp32, a step on a CPU with AVX2: ResNet-18, 32 to 64 px, batch 64, one or two threads
# what oneDNN may be told to stay below, of the instructions that it knows; all others leave it bf16
# https://uxlfoundation.github.io/oneDNN/dev_guide_cpu_dispatcher_control.html
_WITHOUT_BF16 = ("sse41", "avx", "avx2", "avx2_vnni", "avx2_vnni_2", "avx512_core", "avx512_core_vnni")
_PLAIN_KERNELS = ("default", "avx2")  # of ATEN_CPU_CAPABILITY


def device_kind(device: str | None = "auto") -> str:
    """The kind of device that a run will compute on: "cpu", "cuda", "mps", "xpu", ...

    Args:
        device: "cpu"; "auto" or None takes the accelerator that is there.
    """
    import torch

    forced = os.environ.get("ACCELERATE_USE_CPU", "").lower() in ("1", "true", "yes", "y", "t", "on")
    if device == "cpu" or forced or not torch.accelerator.is_available():
        return "cpu"
    found = torch.accelerator.current_accelerator()
    return "cpu" if found is None else found.type


def is_native(kind: str) -> bool:
    """Whether a device computes bf16 in instructions of its own.

    Args:
        kind: as `device_kind` gives it.
    """
    import torch

    if kind == "cpu":
        return cpu_limit() is None and _cpu_has_bf16()
    if kind == "cuda":  # the processes of a launch take one card each
        cards = range(max(1, min(int(os.environ.get("LOCAL_WORLD_SIZE", "1")), torch.cuda.device_count())))
        return all(_card_has_bf16(card) for card in cards)
    if kind == "xpu":
        return bool(torch.xpu.is_bf16_supported(including_emulation=False))
    return False  # MPS takes bf16 and gains nothing; of other devices nothing is known


def _card_has_bf16(card: int) -> bool:
    import torch

    with torch.cuda.device(card):
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))


def cpu_limit() -> str | None:
    """The setting that keeps this process from the CPU's bf16 instructions, such as "ONEDNN_MAX_CPU_ISA=AVX2"; or None."""
    for name, plain in (
        ("ONEDNN_MAX_CPU_ISA", _WITHOUT_BF16),
        ("DNNL_MAX_CPU_ISA", _WITHOUT_BF16),
        ("ATEN_CPU_CAPABILITY", _PLAIN_KERNELS),
    ):
        if (value := os.environ.get(name, "")).lower() in plain:
            return f"{name}={value}"
    return None


def _cpu_has_bf16() -> bool:
    """AMX or AVX512-BF16; on ARM its bf16 instructions, which oneDNN uses on Linux."""
    import torch

    has = cpu_capabilities()
    if has.get("amx_bf16") or has.get("avx512_bf16"):
        return str(torch.backends.cpu.get_cpu_capability()).startswith(("AVX512", "AMX"))
    return bool(has.get("bf16")) and platform.system() == "Linux" and torch.backends.mkldnn.is_available()


def cpu_capabilities() -> dict[str, Any]:
    """The instructions of this CPU by name, as torch finds them; empty if it does not say."""
    import torch

    try:
        return dict(torch.cpu.get_capabilities())
    except (AttributeError, RuntimeError):  # before torch 2.11
        tests = {"avx512_bf16": "_is_avx512_bf16_supported", "amx_bf16": "_is_amx_tile_supported"}
        return {name: bool(getattr(torch.cpu, test, lambda: False)()) for name, test in tests.items()}


def device_words(kind: str) -> str:
    """A device and its bf16 in a few words, such as "this CPU, which has no bf16 instructions"."""
    if kind != "cpu":
        return f"this device ({kind}), which {'computes' if is_native(kind) else 'does not compute'} bf16 natively"
    if (limit := cpu_limit()) is not None:
        return f"this CPU, which {limit} keeps from bf16 instructions"
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
    """The precision that a device computes well.

    Args:
        device: "auto" or "cpu".

    >>> suited("cpu") in ("fp32", "bf16")
    True
    """
    return "bf16" if is_native(device_kind(device)) else "fp32"


def checked(wish: object, where: str = "--precision") -> PrecisionChoice:
    """A wish, if it is one.

    Args:
        wish: what was typed or stands in a file.
        where: it stands, for the message.

    Raises:
        UsageError: naming the choices.
    """
    if wish not in PRECISION_CHOICES:
        raise UsageError(f"{where} is {wish!r}; choose {', '.join(PRECISION_CHOICES[:-1])} or {PRECISION_CHOICES[-1]}.")
    return cast(PrecisionChoice, wish)


def resolve(wish: PrecisionChoice | None, device: str | None = "auto", *, began: Precision | None = None) -> Precision:
    """A wish as a precision: "auto" (or None) is what the run began with, or else what suits the device.

    Args:
        wish: "auto", "fp32" or "bf16".
        device: "auto" or "cpu".
        began: the precision of the run that goes on, if there is one.

    >>> resolve("fp32"), resolve("auto", "cpu", began="fp32")
    ('fp32', 'fp32')
    """
    if wish in ("fp32", "bf16"):
        return wish
    return began or suited(device)


def emulated(precision: Precision, kind: str, *, kept: bool = False) -> str:
    """What to warn of where a device does not compute a precision natively, with what that costs; else empty.

    Args:
        precision: of the run.
        kind: of the device.
        kept: whether it is that of a run which goes on, and not asked for now.
    """
    if precision != "bf16" or is_native(kind):
        return ""
    way = "--precision fp32 and another --out start anew" if kept else "--precision fp32 (or auto) is the fast one here"
    begun = "The run began in bf16 and keeps it; " if kept else ""
    return f"bf16 is emulated on {device_words(kind)}: {emulation_cost(kind)}. {begun}{way}."
