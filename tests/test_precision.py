"""bf16 where the device computes it natively, fp32 everywhere else; what is asked for is done, with a word where it is slow."""

import platform
from types import SimpleNamespace

import pytest
import torch

from medzoo import precision
from medzoo.errors import UsageError


@pytest.fixture(autouse=True)
def no_limits(monkeypatch):
    for name in (
        "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY", "ACCELERATE_USE_CPU", "LOCAL_WORLD_SIZE",
    ):  # fmt: skip
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def cpu(monkeypatch):
    def is_(kernels="AVX512", **has):
        monkeypatch.setattr(precision, "cpu_capabilities", lambda: has)
        monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: kernels)
        monkeypatch.setattr(torch.accelerator, "is_available", lambda: False)

    return is_


@pytest.fixture
def accelerator(monkeypatch):
    def is_(kind):
        monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
        monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda: torch.device(kind))

    return is_


@pytest.mark.parametrize(
    ("has", "kernels", "suits"),
    [
        ({}, "DEFAULT", "fp32"),
        ({"avx2": True}, "AVX2", "fp32"),
        ({"avx2": True, "avx512_f": True}, "AVX512", "fp32"),  # without bf16 instructions it is emulated too
        ({"avx512_f": True, "avx512_bf16": True}, "AVX512", "bf16"),
        ({"avx512_f": True, "amx_tile": True, "amx_bf16": True}, "AVX512", "bf16"),
        ({"amx_int8": True, "amx_tile": True}, "AVX512", "fp32"),
        ({"avx512_bf16": True}, "AVX2", "fp32"),  # torch's own kernels were told to stay below
    ],
)
def test_cpus(cpu, has, kernels, suits):
    cpu(kernels, **has)
    assert precision.suited() == precision.suited("cpu") == precision.resolve("auto") == suits


@pytest.mark.parametrize(("system", "suits"), [("Linux", "bf16"), ("Darwin", "fp32")])
def test_arm(cpu, monkeypatch, system, suits):
    monkeypatch.setattr(platform, "system", lambda: system)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)
    cpu("DEFAULT", bf16=True, neon=True)
    assert precision.suited() == suits


@pytest.mark.parametrize(
    ("name", "value", "suits"),
    [
        ("ONEDNN_MAX_CPU_ISA", "AVX2", "fp32"), ("ONEDNN_MAX_CPU_ISA", "avx512_core", "fp32"),
        ("ONEDNN_MAX_CPU_ISA", "AVX512_CORE_VNNI", "fp32"), ("ONEDNN_MAX_CPU_ISA", "SSE41", "fp32"),
        ("DNNL_MAX_CPU_ISA", "AVX2", "fp32"), ("ATEN_CPU_CAPABILITY", "avx2", "fp32"),
        ("ATEN_CPU_CAPABILITY", "default", "fp32"), ("ONEDNN_MAX_CPU_ISA", "AVX512_CORE_BF16", "bf16"),
        ("ONEDNN_MAX_CPU_ISA", "AVX512_CORE_AMX", "bf16"), ("ONEDNN_MAX_CPU_ISA", "ALL", "bf16"),
        ("ONEDNN_MAX_CPU_ISA", "", "bf16"), ("ATEN_CPU_CAPABILITY", "avx512", "bf16"),
    ],
)  # fmt: skip
def test_an_imitated_plain_machine_is_plain(cpu, monkeypatch, name, value, suits):
    cpu(avx512_bf16=True, amx_bf16=True)
    monkeypatch.setenv(name, value)
    assert precision.suited() == suits
    assert (f"{name}={value}" in precision.device_words("cpu")) == (suits == "fp32")


@pytest.mark.parametrize(
    ("majors", "processes", "suits"),
    [((9,), "1", "bf16"), ((8,), "1", "bf16"), ((7,), "1", "fp32"), ((8, 7), "1", "bf16"), ((8, 7), "2", "fp32")],
)
def test_cards(accelerator, monkeypatch, majors, processes, suits):
    accelerator("cuda")
    # to switch to the card of another process would take memory there
    monkeypatch.setattr(torch.cuda, "device", lambda card: pytest.fail("another card was used"))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: len(majors))
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda card: SimpleNamespace(major=majors[card]))
    monkeypatch.setenv("LOCAL_WORLD_SIZE", processes)
    assert precision.suited() == suits and precision.resolve(None) == suits


@pytest.mark.parametrize("kind", ["mps", "xla"])
def test_what_computes_no_bf16_or_says_nothing_gets_fp32(accelerator, kind):
    accelerator(kind)
    assert precision.device_kind() == kind and precision.suited() == "fp32"


@pytest.mark.parametrize(
    ("device", "use_cpu", "kind"), [("auto", "", "mps"), ("cpu", "", "cpu"), ("auto", "true", "cpu")]
)
def test_the_device_that_will_compute(accelerator, monkeypatch, device, use_cpu, kind):
    accelerator("mps")
    monkeypatch.setenv("ACCELERATE_USE_CPU", use_cpu)
    assert precision.device_kind(device) == kind


def test_what_is_asked_for_wins_and_a_run_keeps_what_it_began_with(cpu):
    cpu()
    assert precision.resolve("bf16") == "bf16" and precision.resolve("fp32", began="bf16") == "fp32"
    assert precision.resolve("auto", began="bf16") == "bf16" and precision.resolve("auto") == "fp32"


@pytest.mark.parametrize("wish", ["fp16", "BF16", "", None, 32])
def test_wishes_that_are_none(wish):
    with pytest.raises(UsageError):
        precision.checked(wish)


def test_emulation_is_told_with_its_cost(cpu):
    cpu("AVX2", avx2=True)
    told = precision.emulated("bf16", "cpu")
    assert all(str(times) in told for times in precision.SLOWER) and "--precision fp32" in told
    assert precision.emulated("fp32", "cpu") == ""
    assert "--out" in precision.emulated("bf16", "cpu", kept=True)
    cpu(avx512_bf16=True)
    assert precision.emulated("bf16", "cpu") == ""


def test_this_machine_says_what_it_has():
    has = precision.cpu_capabilities()
    assert has and all(isinstance(name, str) for name in has)


def test_full_float32_turns_tf32_off_on_a_gpu_only():
    matmul, conv = torch.backends.cuda.matmul, torch.backends.cudnn.conv
    before = (matmul.fp32_precision, conv.fp32_precision)
    matmul.fp32_precision = "tf32"
    try:
        with precision.full_float32("cuda"):
            assert (matmul.fp32_precision, conv.fp32_precision) == ("ieee", "none")
            assert torch.backends.cudnn.allow_tf32 is False
        with precision.full_float32("cpu"):
            assert matmul.fp32_precision == "tf32"
        assert (matmul.fp32_precision, conv.fp32_precision) == ("tf32", before[1])
    finally:
        matmul.fp32_precision = before[0]
