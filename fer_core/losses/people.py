"""Batches of people with expressions: checked, and grouped by their labels.

B batch, D embedding size.
"""

import torch
from torch import Tensor

from fer_core.losses.numerics import check_batch, full_precision, values_are_checked
from fer_core.targets import UNKNOWN


def checked_people(emb_BD: Tensor, identity_B: Tensor, expression_B: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The batch in full precision, its labels as int64: an unsigned type has no -1.

    Raises:
        ValueError: emb_BD not finite, shapes that do not fit, labels that are not integers.
    """
    check_batch("emb_BD", emb_BD, identity_B, labels_name="identity_B")
    check_batch("emb_BD", emb_BD, expression_B, labels_name="expression_B")
    return full_precision("emb_BD", emb_BD), identity_B.long(), expression_B.long()


def check_expressions(expression_B: Tensor, row_B: Tensor, num_rows: int, what: str) -> None:
    """Check that expressions are known or UNKNOWN, and that what is looked up for them has `num_rows`, as `what` says.

    Args:
        expression_B: (B,) expressions.
        row_B: (B,) where each is looked up.

    Raises:
        ValueError: an expression below UNKNOWN, or a row that is not there.
    """
    if not values_are_checked(row_B):
        return
    lowest, highest = torch.stack([expression_B.min(), row_B.max()]).tolist()
    if lowest < UNKNOWN:
        raise ValueError(f"expression_B holds {lowest}, expected expressions from 0 on, or -1 for unknown")
    if highest >= num_rows:
        raise ValueError(f"{what}, but the expressions of the batch need {highest + 1}")


def group_of(*labels: Tensor) -> Tensor:
    """(B,) group of each sample, equal where all the labels are: the index of the first sample of the group."""
    same_BB = torch.stack([label_B[:, None] == label_B for label_B in labels]).all(dim=0)
    return same_BB.int().argmax(dim=1)
