"""What tests of several tasks need."""

from typing import Any

import pytest

from tasks import data


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Partitions of 16 rows one after the other."""

    def map_here(address: str | None, function: Any, partitions: Any, done: Any) -> None:
        for partition in partitions:
            done(function(*partition))

    monkeypatch.setattr(data, "map_partitions", map_here)
    monkeypatch.setattr(data, "ROWS_A_PARTITION", 16)
