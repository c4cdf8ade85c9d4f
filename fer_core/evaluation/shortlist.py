"""Shortlists of gallery members that may be the nearest, by matrix products in few bits whose error is bounded.

Legend: Q queries, G gallery, D embedding size, B block of queries, M members of a shortlist, P terms of a product.
"""

import torch

_BLOCK = 1024  # rows made ready at once, so that what lies between is never in memory as a whole


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether the device has instructions for products of bfloat16: without them they are slower than float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


class Shortlist:
    """Squared distances to a gallery, roughly, and the most that they can be wrong.

    A squared distance is one product, (-2q, |q|^2, 1) with (g, 1, |g|^2), of points that are taken from the gallery's
    mean and in units of its largest norm. In bfloat16 a number is its first 8 bits and the next 8, and of the products
    of these parts that of the two second ones is left out.

    Args:
        gallery_GD: float64.
        dtype: float64, float32 or bfloat16, in which the product is taken; summed in float32 at least.
    """

    def __init__(self, gallery_GD: torch.Tensor, dtype: torch.dtype) -> None:
        self._dtype = dtype
        self._center_D = gallery_GD.mean(dim=0)
        blocks = gallery_GD.split(_BLOCK)
        largest = max(float((part_GD - self._center_D).square().sum(dim=1).max()) for part_GD in blocks)
        self._unit = largest**0.5 or 1.0
        self._members_GP = torch.cat([self._members(part_GD) for part_GD in blocks])

    def of(self, query_BD: torch.Tensor, own_B: torch.Tensor | None, size: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Members (B, M) in rising order of index, and what no other member's squared distance (B) is below.

        Args:
            query_BD: float64.
            own_B: a member of each query that is left out.
            size: M, below the number of members.
        """
        scaled_BD, norm_B1 = self._scaled(query_BD)
        first, *second = self._parts(torch.cat([-2 * scaled_BD, norm_B1, torch.ones_like(norm_B1)], dim=1))
        squared_BG = self._product(torch.cat([first, first, *second] if second else [first], dim=1))
        if own_B is not None:
            squared_BG.scatter_(1, own_B[:, None], torch.inf)
        farthest_BM, member_BM = squared_BG.topk(size, dim=1, largest=False)
        written = 1 - torch.finfo(squared_BG.dtype).eps / 2
        below_B = written * farthest_BM[:, -1].double() - self._error * 2 * (1 + norm_B1[:, 0])
        return member_BM.sort(dim=1).values, below_B * self._unit**2

    def _members(self, member_BD: torch.Tensor) -> torch.Tensor:
        scaled_BD, norm_B1 = self._scaled(member_BD)
        first, *second = self._parts(torch.cat([scaled_BD, torch.ones_like(norm_B1), norm_B1], dim=1))
        return torch.cat([first, *second, first] if second else [first], dim=1)

    def _scaled(self, points_BD: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Points from the centre in the gallery's unit, and their squared norms (B, 1)."""
        scaled_BD = (points_BD - self._center_D) / self._unit
        return scaled_BD, scaled_BD.square().sum(dim=1, keepdim=True)

    @property
    def _error(self) -> float:
        """Of a product, as a share of the sum of its terms' sizes, which is 2 (1 + |q|^2) at most."""
        rounding = torch.finfo(self._dtype).eps / 2
        of_numbers = 4 * rounding**2 if self._dtype == torch.bfloat16 else 8 * rounding
        of_sums = torch.finfo(torch.promote_types(self._dtype, torch.float32)).eps
        return of_numbers + self._members_GP.shape[1] * of_sums

    def _parts(self, numbers: torch.Tensor) -> list[torch.Tensor]:
        first = numbers.to(self._dtype)
        return [first, (numbers - first).to(self._dtype)] if self._dtype == torch.bfloat16 else [first]

    def _product(self, query_BP: torch.Tensor) -> torch.Tensor:
        if query_BP.is_cuda and self._dtype == torch.bfloat16:  # whose sums might else be rounded on the way
            return torch.mm(query_BP, self._members_GP.T, out_dtype=torch.float32)
        return query_BP @ self._members_GP.T
