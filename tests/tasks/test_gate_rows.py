"""The gate compares two models only on pictures that neither was trained on."""

from types import SimpleNamespace
from typing import Any

import pytest

from fer_core.errors import InputError
from tasks.registry import require_never_seen

REGISTRY: Any = SimpleNamespace(model_name="fer")


@pytest.mark.parametrize("tested", [["a", "b"], ["a|c", "b|d"]])
def test_a_champion_that_saw_a_tested_picture_is_refused(tested: list[str]) -> None:
    require_never_seen(REGISTRY, 1, {"e", "ab"}, 2, tested)
    with pytest.raises(InputError, match="fer: version 1 was trained on pictures that version 2 is tested on"):
        require_never_seen(REGISTRY, 1, {"e", "b"}, 2, tested)
