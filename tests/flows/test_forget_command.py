"""`ingest --forget` and `--corrections` as a person runs them, on a home with a champion."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from whole_commands import folders, run

from fer_core.directories import damaged_files, read_manifest
from fer_core.folds import Part
from fer_core.reading import read_faces
from fer_core.vocabulary import EIGHT

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

FACES = ["--synthetic.identities", "6", "--synthetic.takes", "1", "--face-size", "32"]
QUICK = [*FACES, "--batch-size", "16", "--epochs", "1", "--resamples", "100"]


def test_somebody_is_forgotten_and_labels_are_corrected(tmp_path: Path) -> None:
    home = tmp_path / "home"
    run(home, "retrain", *QUICK)
    (faces,) = (home / "faces").glob("synthetic-*")
    table = read_faces(faces, Part(), 0)
    who = table.group[table.role == "train"][0]
    samples = set(table.sample_id[table.group == who].tolist())
    (trained,) = folders(home, "runs")

    values = run(home, "ingest", "--forget", who, "--json").values
    assert values["forgotten"] == [f"synthetic:{who}"]
    assert {name: values["rows_removed"][name] for name in ("catalog", "faces")} == {"catalog": 8, "faces": 40}
    (model,) = values["models_to_retrain"]
    assert (model["run"], model["version"], model["aliases"]) == (trained, "fer version 1", ["champion"])
    assert values["versions_with_rows"] == ["fer version 1"]
    assert all(option in model["retrain"] for option in (" ".join(FACES[:4]), "--epochs 1", f"--home {home}"))
    left = {file: file.read_bytes() for file in home.rglob("*") if file.is_file() and "mlflow" not in file.parts}
    needles = [who.encode(), *(name.encode() for name in samples)]
    assert [str(file) for file, content in left.items() for needle in needles if needle in content] == []

    (catalog,) = (home / "catalogs").glob("synthetic-*")
    row = pq.read_table(catalog / "part-00000.parquet").to_pylist()[0]
    (tmp_path / "corrections.csv").write_text(f"source_path,label,corrected\n{row['source_path']},neutral,fear\n")
    again = run(home, "prepare", *FACES, "--json").values
    assert again["reused"] == ["ingest", "prepare"]
    assert (again["rows"], again["set_aside"]) == (40, {"subject withdrew": 8})
    assert damaged_files(Path(again["faces"])) == damaged_files(catalog) == []
    corrected = run(home, "prepare", *FACES, "--corrections", str(tmp_path / "corrections.csv"), "--json").values
    assert (corrected["corrected"], corrected["rows"], corrected["reused"]) == (1, 40, [])
    classes = {**dict.fromkeys(EIGHT, 5 * 5), "neutral": 5 * 4, "fear": 5 * 6}
    assert read_manifest(Path(corrected["faces"])).summary["classes"] == classes
