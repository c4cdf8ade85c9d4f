"""Corrections through a whole ingest, in this process: from the source to the faces that are trained on."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from fer_core.errors import InputError
from fer_core.folds import Part
from fer_core.options.stages import PrepareOptions
from fer_core.reading import read_faces
from tasks import data
from tasks.inspection import inspect_source
from tasks.made import Made

WRONG = "CK+48/anger/S010_001_00000010.png"
NO_FACE = "CK+48/happy/S011_002_00000010.png"


pytestmark = pytest.mark.usefixtures("in_this_process")


@pytest.fixture
def options(tiny_ck_plus: Path, tmp_path: Path) -> PrepareOptions:
    return PrepareOptions(dataset="ck_plus", source=tiny_ck_plus, home=tmp_path / "home", rotations=(0.0, 5.0))


def corrected(options: PrepareOptions, text: str, **changed: Any) -> PrepareOptions:
    file = options.home.parent / "audit.csv"
    file.write_text(text)
    return options.model_copy(update={"corrections": file, **changed})


def rows(made: Made) -> dict[str, dict[str, Any]]:
    return {
        row["source_path"]: row
        for file in sorted(made.path.glob("part-*.parquet"))
        for row in pq.read_table(file).to_pylist()
        if row["rotation"] == 0
    }


def test_corrected_labels_reach_training_and_the_old_ones_stay_beside_them(options: PrepareOptions) -> None:
    plain = data.write_catalog.fn(options)
    own = corrected(
        options, f"source_path,label,corrected\n{WRONG},anger,surprise\n{NO_FACE},happiness,remove\nany,fear,\n"
    )
    catalog = data.write_catalog.fn(own)
    assert catalog.path != plain.path
    assert (plain.summary["corrected"], catalog.summary["corrected"]) == (0, 1)
    assert catalog.summary["set_aside"] == {"removed by a correction": 1}
    assert catalog.summary["classes"] == {"anger": 15, "happiness": 15, "surprise": 17}
    before, after = rows(plain), rows(catalog)
    assert after.pop(WRONG) == {**before.pop(WRONG), "expression": "surprise", "expression_original": "anger"}
    assert before.pop(NO_FACE)["expression"] == "happiness"
    assert after == before
    faces = data.write_faces.fn(own, catalog)
    assert rows(faces)[WRONG]["expression_original"] == "anger"
    table = read_faces(faces.path, Part(), 0)
    sample = rows(faces)[WRONG]["sample_id"]
    assert {table.classes[label] for label in table.label[table.sample_id == sample]} == {"surprise"}
    assert data.write_catalog.fn(own).reused
    told = inspect_source.fn(own)
    assert (told["classes"], told["set_aside"]) == (catalog.summary["classes"], catalog.summary["set_aside"])


def test_a_sample_id_alone_names_a_picture_too(options: PrepareOptions) -> None:
    known = rows(data.write_catalog.fn(options))
    wrong, no_face = (known[path]["sample_id"] for path in (WRONG, NO_FACE))
    catalog = data.write_catalog.fn(corrected(options, f"sample_id,corrected\n{wrong},fear\n{no_face},remove\n"))
    assert rows(catalog)[WRONG]["expression"] == "fear"
    assert NO_FACE not in rows(catalog)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("source_path,corrected\nnowhere.png,fear\n", "line 2: no picture that is taken has the source_path nowhere"),
        ("sample_id,corrected\n0123,fear\n", "line 2: no picture that is taken has the sample_id 0123"),
        (f"source_path,label,corrected\n{WRONG},fear,anger\n", "line 2: label is fear, and the data set says anger of"),
    ],
)
def test_what_does_not_fit_the_source_makes_no_catalog(options: PrepareOptions, text: str, message: str) -> None:
    own = corrected(options, text)
    with pytest.raises(InputError, match=message):
        data.write_catalog.fn(own)
    assert not list(options.home.glob("catalogs/*/manifest.json"))


@pytest.mark.parametrize("make", [data.write_catalog.fn, inspect_source.fn])
@pytest.mark.parametrize("per_class", [None, 1])
def test_a_misspelt_path_is_named_whatever_is_taken(options: PrepareOptions, make: Any, per_class: int | None) -> None:
    own = corrected(options, f"source_path,corrected\n{WRONG},fear\n{WRONG}g,fear\n", per_class=per_class)
    with pytest.raises(InputError, match=r"line 3: no picture that is taken has the source_path .*pngg; put it right"):
        make(own)


def test_of_a_part_of_the_source_a_correction_may_name_the_rest(options: PrepareOptions) -> None:
    own = corrected(options, f"source_path,corrected\n{WRONG},fear\n{NO_FACE},fear\n", per_class=1)
    assert data.write_catalog.fn(own).summary["rows"] == 3
