"""Whole commands of `landmark_vae` on small synthetic faces, and the registered model that takes landmarks."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tiny
from layouts import bp4d
from whole_commands import Ended, run

from fer_core.folds import hold_out_exactly
from infra.mlflow_engine import store_file
from infra.settings import engine_environment

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

FACES = ["--dataset", "synthetic", "--synthetic.identities", "20", "--synthetic.takes", "1", "--rotations", "0"]
SMALL = [*FACES, "--face-size", "32", "--method", "landmark_vae", "--batch-size", "24", "--epochs", "1"]
QUICK = [*SMALL, "--landmark-vae.validation-steps", "10", "--resamples", "100", "--json"]


@pytest.fixture(scope="module")
def retrained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ended]:
    home = tmp_path_factory.mktemp("home")
    return home, run(home, "retrain", *QUICK)


def test_retrain_measures_registers_and_promotes(retrained: tuple[Path, Ended]) -> None:
    result = retrained[1].values
    for name in ("svm_accuracy", "satisfied_triplets", "knn_accuracy"):
        assert 0 <= result["metrics"][name] <= 1
    assert (result["model_version"], result["champion"], result["verdict"]) == (1, 1, "first")
    evaluation = Path(result["evaluation"])
    for name in ("traversals.json", "transfers.json"):
        assert json.loads((evaluation / name).read_text())
    assert {"traversals.png", "transfer.png"} <= {path.name for path in (evaluation / "figures").iterdir()}
    history = json.loads((Path(result["run"]) / "run.json").read_text())["history"]
    assert {"elbo", "topology", "valid_loss"} <= history[0].keys()


def test_the_same_command_again_does_nothing_twice(retrained: tuple[Path, Ended]) -> None:
    home, before = retrained
    again = run(home, "retrain", *QUICK).values
    assert again["reused"] == ["ingest", "prepare", "train", "subdivide", "evaluate", "register"]
    assert again["metrics"] == before.values["metrics"]


def test_what_is_only_fitted_is_a_model_like_the_others(retrained: tuple[Path, Ended]) -> None:
    home, _ = retrained
    result = run(home, "retrain", *QUICK, "--landmark-vae.model", "pca").values
    assert (result["final_loss"], result["model_version"]) == (None, 2)
    assert 0 <= result["metrics"]["satisfied_triplets"] <= 1


USE_MODEL = """
import json, sys, mlflow, pandas as pd, pyarrow.parquet as pq
mlflow.set_tracking_uri(sys.argv[1])
model = mlflow.pyfunc.load_model("models:/fer/1")
rows = pq.read_table(sys.argv[2], columns=["sample_id", "expression", "landmarks", "pose_yaw"]).to_pylist()[:8]
neutral = [row for row in rows if row["expression"] == "neutral"][0]
table = {name: [row[name] for row in rows] for name in ("landmarks", "pose_yaw")}
alone = model.predict(pd.DataFrame(table))
own = {f"neutral_{name}": [neutral[name]] * 8 for name in table}
beside = model.predict(pd.DataFrame({**table, **own}))
mixed = model.predict(pd.DataFrame({**table, **{name: [None, *values[1:]] for name, values in own.items()}}))
print(json.dumps([row["sample_id"] for row in rows]))
print(json.dumps([made.to_dict("records") for made in (alone, beside, mixed)]))
"""


def test_the_registered_model_takes_landmarks(retrained: tuple[Path, Ended], tmp_path: Path) -> None:
    home, ended = retrained
    shard = sorted(Path(ended.values["faces"]).glob("part-*.parquet"))[0]
    user = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", USE_MODEL, f"sqlite:///{store_file(home)}", str(shard)],
        cwd=tmp_path,  # not the project: the model brings its code
        env={**os.environ, **engine_environment(home, verbose=False)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert user.returncode == 0, user.stderr[-3000:]
    names, (alone, beside, mixed) = (json.loads(line) for line in user.stdout.splitlines()[-2:])
    for row in [*alone, *beside]:
        assert list(row) == ["expression", "probabilities", "embedding", "sub_class"]
        assert sum(row["probabilities"]) == pytest.approx(1, abs=1e-5)
        assert len(row["embedding"]) == 30
    assert [row["embedding"] for row in mixed] == [
        pytest.approx(row["embedding"], abs=1e-5) for row in [alone[0], *beside[1:]]
    ]
    assert alone[0]["embedding"] != pytest.approx(beside[0]["embedding"], abs=1e-5)
    assert len(names) == 8


def test_score_takes_a_file_of_landmarks(retrained: tuple[Path, Ended], tmp_path: Path) -> None:
    """As they stand in the faces; a face without landmarks is set aside, and the same command again does nothing."""
    home, ended = retrained
    shard = sorted(Path(ended.values["faces"]).glob("part-*.parquet"))[0]
    rows = pq.read_table(shard, columns=["landmarks", "pose_yaw"]).to_pylist()[:6]
    rows[2]["landmarks"] = None
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "faces.parquet")
    asked = ["score", "--task", "landmarks", "--landmarks", str(tmp_path / "faces.parquet"), "--version", "1", "--json"]
    made = run(home, *asked).values
    assert (made["rows"], made["set_aside"]) == (5, {"landmarks cannot be used": 1})
    said = pq.read_table(made["predictions"]).to_pylist()
    assert [row["source_path"] for row in said] == ["0", "1", "3", "4", "5"]
    assert {len(row["embedding"]) for row in said} == {30}
    assert {row["expression"] for row in said} <= set(made["classes"])
    assert run(home, *asked).values["reused"] == ["score"]
    tiny.write_png(tmp_path / "pictures" / "one.png", tiny.face(20, 20, 0))
    refused = run(home, "score", "--source", str(tmp_path / "pictures"), "--version", "1", code=2)
    assert "looks at landmarks, not at pictures; `score --task landmarks --landmarks FILE` asks it" in refused.err


NUM_PEOPLE, NUM_TESTED = 10, 3


class Answered(NamedTuple):
    """A folder as BP4D unpacks, a home with its faces, and what came of people's answers on them."""

    source: Path
    home: Path
    summary: dict[str, Any]
    triplets: str


@pytest.fixture(scope="module")
def answered(tmp_path_factory: pytest.TempPathFactory) -> Answered:
    root = tmp_path_factory.mktemp("answered")
    source, home = bp4d.write_drawn(root, NUM_PEOPLE), root / "home"
    asked = ["--dataset", "bp4d", "--source", str(source), "--tuples", "human", "--votes", str(votes_of(root))]
    made = run(home, "prepare", *asked, "--test-people", str(NUM_TESTED), "--json").values
    return Answered(source, home, made["tuple_summary"], made["tuples"])


def votes_of(folder: Path) -> Path:
    """Is a person's smile nearer to their own disgust or to another's smile? 0:5, 4:1 and 3:2."""
    people = [f"F{person:03d}" for person in range(NUM_PEOPLE)]
    held = hold_out_exactly(people, NUM_TESTED).tolist()
    lines = ["reference,a,b,votes_a,votes_b"]
    for role in (True, False):
        group = [person for person, tested in zip(people, held, strict=True) if tested is role]
        for one, other in zip(group, [*group[1:], group[0]], strict=True):
            frames = (f"{one}/T1/0002", f"{other}/T1/0003", f"{one}/T8/0003")
            names = ",".join(f"2D+3D/{frame}.jpg" for frame in frames)
            lines += [f"{names},{votes},{5 - votes}" for votes in (0, 4, 3)]
    (folder / "votes.csv").write_text("\n".join(lines) + "\n")
    return folder / "votes.csv"


def test_the_table_of_spontaneous_expressions_by_peoples_triplets(answered: Answered, tmp_path: Path) -> None:
    """To raw landmarks who somebody is matters most: so they satisfy those who found the same person more similar."""
    assert set(answered.summary["agreement"]) == {"train", "valid", "test"}
    assert answered.summary["agreement"]["test"] == {"5": NUM_TESTED, "3": NUM_TESTED, "1": NUM_TESTED}
    settings = {"test_people": NUM_TESTED, "epochs": 1, "resamples": 100, "landmark_vae.validation_steps": 5}
    given = [part for name, value in settings.items() for part in ("--set", f"{name}={value}")]
    table = ["experiment", "landmark_vae/spontaneous", "--data", f"bp4d={answered.source}", "--json", *given]
    first = ["--rows", "landmarks,M2", "--set", f"landmark_vae.triplets={answered.triplets}"]
    values = run(answered.home, *table, *first).values
    raw, m2 = (cell["ours"] for cell in values["cells"] if not cell.get("cited"))
    shares = {name: measured["value"] for name, measured in raw.items() if name.startswith("satisfied")}
    assert shares == {
        "satisfied_triplets": pytest.approx(1 / 3),
        "satisfied_triplets_5": 1.0,
        "satisfied_triplets_3": 0.0,
        "satisfied_triplets_1": 0.0,
    }
    assert m2.keys() == raw.keys() == {"svm_accuracy", *shares}
    assert (
        "9 triplets of test faces that people judged"
        in next(answered.home.glob("evaluations/*/report.html")).read_text()
    )
    copied = shutil.copytree(answered.triplets, tmp_path / "elsewhere")
    second = ["--rows", "M2", "--set", f"landmark_vae.triplets={copied}"]
    again = run(answered.home, *table, *second).values
    assert set(again["reused"]) >= {"train", "evaluate"}, "triplets go by their content, wherever they lie"


def test_questions_become_votes_once_they_are_filled_in(answered: Answered, tmp_path: Path) -> None:
    """Five combinations of units a person, each in six questions."""
    of = ["prepare", "--dataset", "bp4d", "--source", str(answered.source), "--test-people", str(NUM_TESTED), "--json"]
    made = run(answered.home, *of, "--tuples", "questions").values
    assert (made["tuple_summary"]["tuples"], made["tuple_summary"]["samples"]) == (10 * NUM_PEOPLE, 5 * NUM_PEOPLE)
    (tmp_path / "votes.csv").write_text((Path(made["tuples"]) / "questions.csv").read_text().replace(",,,", ",2,3,"))
    votes = ["--tuples", "human", "--votes", str(tmp_path / "votes.csv")]
    assert run(answered.home, *of, *votes).values["tuple_summary"]["tuples"] == 10 * NUM_PEOPLE


def test_triplets_of_other_pictures_are_refused(retrained: tuple[Path, Ended], answered: Answered) -> None:
    human = ["--landmark-vae.triplet-source", "human", "--landmark-vae.triplets", answered.triplets]
    refused = run(retrained[0], "train", *SMALL, *human, code=2)
    assert "holds triplets of other pictures than synthetic-32-" in refused.err
