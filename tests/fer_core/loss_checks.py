"""What every loss is tested for alike."""

import torch


def check_half_input(loss_of, emb_BD, dtype):
    """`loss_of` embeddings of half precision, inside autocast too, is that of the same numbers in float32."""
    half_BD = emb_BD.to(dtype).requires_grad_()
    expected = loss_of(half_BD.detach().float())
    with torch.autocast("cpu", dtype=dtype):
        loss = loss_of(half_BD)
    loss.backward()
    assert loss.dtype == torch.float32
    assert torch.equal(loss, expected)
    assert half_BD.grad.dtype == dtype
    assert half_BD.grad.isfinite().all()
