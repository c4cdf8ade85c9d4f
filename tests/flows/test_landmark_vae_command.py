"""Whole commands of `landmark_vae` on small synthetic faces, and the registered model that takes landmarks."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from whole_commands import Ended, run

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
