from pathlib import Path

import pytest
from pydantic import ValidationError

from fer_core.options.lineage import LineageOptions


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"version": 1, "alias": "champion"}, "--version and --alias do not go together"),
        ({"subject": "S1", "version": 1}, "--version and --subject do not go together"),
        ({"subject": "S1", "sample": "a"}, "--subject and --sample do not go together"),
        ({"dataset": "ck_plus"}, "--dataset says whose --subject is meant"),
        ({"home": Path("nowhere")}, "--home nowhere does not exist"),
        ({"subject": ""}, "at least 1 item"),
        ({"alias": "a b"}, "should match pattern"),
    ],
)
def test_what_cannot_be_asked(tmp_path: Path, asked: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        LineageOptions(**{"home": tmp_path, **asked})


def test_a_name_is_shown_to_nobody_who_keeps_the_options(tmp_path: Path) -> None:
    options = LineageOptions(home=tmp_path, subject="S010")
    assert options.subject is not None
    assert options.subject.get_secret_value() == "S010"
    assert "S010" not in options.model_dump_json() + repr(options)


def test_the_champion_is_asked_for_where_nothing_else_is(tmp_path: Path) -> None:
    options = LineageOptions(home=tmp_path)
    assert (options.model_name, options.version, options.alias, options.subject) == ("fer", None, None, None)
