"""Where training in bfloat16 is faster: a rule from measurements, so that the choice is the same on every start."""

from typing import Literal

import torch


def trains_in_bfloat16(precision: Literal["auto", "float32", "bfloat16"]) -> bool:
    """Whether products are computed in bfloat16.

    `auto` says yes on GPUs and CPUs that have instructions for it (AVX512-BF16, AMX): there ResNet18 trains
    1.7 times as fast at 44 pixels and 1.9 times at 112 (two cores with AVX512-BF16, benchmarks/precision.py).
    """
    if precision != "auto":
        return precision == "bfloat16"
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
