"""Copies in large pages are copies: the same bits, in memory of their own, with and without the system's help."""

import pytest
import torch

from medzoo.zoo.models import huge_pages


@pytest.mark.parametrize("helped", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int64, torch.bool])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (1025, 1031), (2, 1024, 1024, 3)])
def test_a_copy_has_the_same_bits_and_its_own_memory(monkeypatch, shape, dtype, helped):
    if not helped:
        monkeypatch.setattr(huge_pages, "_madvise", lambda: None)
    tensor = (torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 9).to(dtype)
    copy = huge_pages.copied(tensor)
    assert torch.equal(copy, tensor) and copy.dtype == dtype and copy.stride() == tensor.stride()
    assert copy.numel() == 0 or copy.data_ptr() != tensor.data_ptr()
    assert copy.untyped_storage().nbytes() == tensor.numel() * tensor.element_size()


def test_pages_around_the_tensor_are_not_advised(monkeypatch):
    asked = []
    monkeypatch.setattr(huge_pages, "_madvise", lambda: lambda *a: asked.append(a) or -1)  # the system says no
    copy = huge_pages.copied(torch.ones(huge_pages.HUGE // 4 + 1000))
    ((start, length, _),) = asked
    assert (
        copy.data_ptr() <= start and start + length <= copy.data_ptr() + 4 * copy.numel() and copy.sum() == copy.numel()
    )
    huge_pages.copied(torch.ones(huge_pages.HUGE // 4 - 1))
    assert len(asked) == 1
