"""`watch` as a person runs it: it retrains where there is a reason, and else says why not."""

from pathlib import Path

import pytest
from whole_commands import run

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

QUICK = ["--synthetic.identities", "6", "--synthetic.takes", "1", "--face-size", "32", "--batch-size", "16"]
QUICK += ["--epochs", "1", "--resamples", "100", "--json"]


def test_watch_retrains_once(tmp_path: Path) -> None:
    first = run(tmp_path, "watch", *QUICK).values
    assert first["retrained"]
    assert [(one["kind"], one["fired"]) for one in first["triggers"]] == [
        ("source", True),
        ("embeddings", False),
        ("classes", False),
    ]
    assert (first["champion"], first["verdict"]) == (1, "first")
    again = run(tmp_path, "watch", *QUICK)
    assert not again.values["retrained"]
    assert not any(one["fired"] for one in again.values["triggers"])
    assert "no file of the source has changed since version 1" in again.err
    assert again.values["drift"] is None
