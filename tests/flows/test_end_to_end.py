"""Whole commands as a person runs them, on small synthetic faces: results, reuse, resume after kills, bad input."""

import json
import os
import platform
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq
import pytest
from whole_commands import ONE_THREAD, PROJECT, killed_when, manifests, run

from infra.mlflow_engine import store_file
from infra.settings import engine_environment

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

FACES = ["--synthetic.identities", "6", "--synthetic.takes", "1"]
SMALL = [*FACES, "--face-size", "32", "--batch-size", "16"]
QUICK = [*SMALL, "--epochs", "1", "--resamples", "100"]


def start(home: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "flows", *arguments, "--home", str(home), "--json"],
        cwd=PROJECT,
        env={**os.environ, **ONE_THREAD, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=_hear_ctrl_c,
    )


def _hear_ctrl_c() -> None:
    """Shells start what runs in the background deaf to it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def finish(process: subprocess.Popen[str]) -> dict[str, Any]:
    out, err = process.communicate(timeout=500)
    assert process.returncode == 0, err[-3000:]
    return json.loads(out.splitlines()[-1])


def run_whole(home: Path, *arguments: str, **environment: str) -> dict[str, Any]:
    """With a Prefect server and imports of its own."""
    return finish(start(home, *arguments, **environment))


@pytest.fixture(scope="module")
def retrained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    home = tmp_path_factory.mktemp("home")
    return home, run_whole(home, "retrain", *QUICK, "--levels", "2")


def test_retrain_ends_with_a_registered_and_promoted_model(retrained: tuple[Path, dict[str, Any]]) -> None:
    _, result = retrained
    assert result["rows"] == 48
    assert result["face_rows"] == 5 * 48
    assert result["subjects"] == 6
    assert result["reused"] == []
    assert result["model_version"] == 1
    assert result["verdict"] == "first"
    assert result["champion"] == 1
    assert 0 <= result["metrics"]["knn_accuracy"] <= 1
    assert len(result["levels"]) == 2
    assert {"ingest", "prepare", "train", "subdivide", "evaluate", "register", "gate"} <= result["seconds"].keys()
    report = Path(result["report"]).read_text()
    assert report.count("data:image/png;base64,") >= 5
    assert "http://" not in report.replace("http://www.w3.org", "")
    assert "fer version 1 against no champion: first" in Path(result["decision_page"]).read_text()


def test_the_same_command_again_does_nothing_twice(retrained: tuple[Path, dict[str, Any]]) -> None:
    home, before = retrained
    shards = manifests(home)
    again = run_whole(home, "retrain", *QUICK, "--levels", "2")
    assert again["reused"] == ["ingest", "prepare", "train", "subdivide", "evaluate", "register"]
    assert again["model_version"] == 1
    assert again["verdict"] == before["verdict"]
    assert again["decision_page"] == before["decision_page"]
    assert again["metrics"] == before["metrics"]
    assert manifests(home) == shards


def test_a_changed_option_redoes_what_depends_on_it(retrained: tuple[Path, dict[str, Any]]) -> None:
    home, _ = retrained
    changed = run(home, "retrain", *QUICK, "--lr", "0.002", "--json").values
    assert changed["reused"] == ["ingest", "prepare"]
    assert changed["model_version"] == 2
    assert changed["champion"] == (2 if changed["verdict"] == "improved" else 1)
    promoted = run(home, "promote", "--version", "2", "--json").values
    assert promoted["verdict"] == changed["verdict"]
    assert promoted["champion"] == changed["champion"]


USE_MODEL = """
import json, sys, mlflow, pandas as pd, pyarrow.parquet as pq
mlflow.set_tracking_uri(sys.argv[1])
model = mlflow.pyfunc.load_model("models:/fer@champion")
rows = pq.read_table(sys.argv[2]).slice(0, 3)
made = model.predict(pd.DataFrame({"image": rows["image"].to_pylist()}))
cropped = model.predict(pd.DataFrame({name: rows[name].to_pylist() for name in ("image", "landmarks")}))
assert (cropped["embedding"].to_list() != made["embedding"].to_list()), "landmarks are not looked at"
print(json.dumps(made.to_dict("records")))
print(json.dumps(mlflow.MlflowClient().get_model_version("fer", "1").tags))
"""


def test_the_champion_loads_without_pickle_and_takes_pictures(
    retrained: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    home, result = retrained
    shard = next(Path(result["faces"]).glob("part-*.parquet"))
    user = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", USE_MODEL, f"sqlite:///{store_file(home)}", str(shard)],
        cwd=tmp_path,  # not the project: the model brings its code
        env={**os.environ, **engine_environment(home, verbose=False)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert user.returncode == 0, user.stderr[-3000:]
    rows, tags = (json.loads(line) for line in user.stdout.splitlines()[-2:])
    for row in rows:
        assert list(row) == ["expression", "probabilities", "embedding", "sub_class"]
        assert sum(row["probabilities"]) == pytest.approx(1, abs=1e-5)
        assert len(row["embedding"]) == 7 * 256
        assert row["sub_class"].rsplit(" ", 1)[0] == row["expression"]
    assert {"data_digest", "config", "git_commit", "test_rows"} <= tags.keys()
    logged = [path.suffix for path in (home / "mlflow" / "artifacts").rglob("*") if path.is_file()]
    assert ".safetensors" in logged
    assert not {".pkl", ".pickle", ".pt", ".pth"} & set(logged)


def test_a_version_has_a_card_and_tells_what_it_is_made_of(retrained: tuple[Path, dict[str, Any]]) -> None:
    home, result = retrained
    card = Path(result["card"]).with_name("model_card.md").read_text()
    metrics = json.loads((Path(result["evaluation"]) / "metrics.json").read_text())
    measured = {f"{100 * value:.1f}" for interval in metrics.values() for value in interval.values()}
    evaluation = card.split("## Evaluation")[1].split("\n## ")[0]
    shown = set(re.findall(r"\d+\.\d", evaluation))
    assert f"{100 * metrics['accuracy']['value']:.1f}" in shown
    assert shown <= measured
    assert f"| trained on | {8 * 5} pictures |" in card
    assert "first: " in card.split("## Decision of the gate")[1]
    found = run(home, "lineage", "--version", "1", "--json").values
    kinds = [origin["kind"] for origin in found["made_of"]]
    assert kinds == ["catalog", "faces", "run", "run", "subdivision", "subdivision", "evaluation"]
    assert {origin["condition"] for origin in found["made_of"]} == {"whole"}
    assert found["recorded"]
    assert found["config"]["synthetic"]["identities"] == 6
    assert found["environment"]["python"] == platform.python_version()
    assert [parent["how"] for parent in found["parents"]] == ["start"]
    logged = {path.name for path in (home / "mlflow" / "artifacts" / found["mlflow_run"] / "artifacts").iterdir()}
    assert {"model_card.md", "model_card.html", "lineage.json"} <= logged


def test_a_person_leads_to_the_models_that_learnt_from_them(retrained: tuple[Path, dict[str, Any]]) -> None:
    home, result = retrained
    tested = pq.read_table(Path(result["evaluation"]) / "predictions.parquet")["subject"].to_pylist()
    people = pq.read_table(next((home / "catalogs").glob("*/part-*.parquet")))["subject_id"].to_pylist()
    trained = min(set(people) - set(tested))
    found = run(home, "lineage", "--subject", trained, "--json").values
    assert found["people"] == [{"dataset": "synthetic", "subject": trained}]
    assert {use["kind"] for use in found["uses"] if use["role"] == "train"} >= {"run", "subdivision"}
    assert 1 in [model["model_version"] for model in found["models"]]
    assert found["tested_by"] == []


def test_only_changed_pictures_cost_more_than_a_look(tiny_ck_plus: Path, tmp_path: Path) -> None:
    options = ["prepare", "--dataset", "ck_plus", "--source", str(tiny_ck_plus), "--json"]
    run(tmp_path, *options)
    picture, *_, other = sorted(tiny_ck_plus.rglob("*.png"))
    picture.touch()
    assert run(tmp_path, *options).values["reused"] == ["prepare"], "same content: the source is read again, no more"
    picture.write_bytes(other.read_bytes())
    assert run(tmp_path, *options).values["reused"] == []


def test_killed_runs_go_on_and_end_with_the_same_bits(tmp_path: Path) -> None:
    # two partitions, several checkpoints an epoch, two levels: something to lose in each stage
    options = ["--synthetic.identities", "33", "--synthetic.takes", "2", "--face-size", "32", "--per-class", "65"]
    options += ["--batch-size", "64", "--epochs", "1", "--levels", "2", "--checkpoint-steps", "3", "--rotations", "0"]
    clean, broken = tmp_path / "clean", tmp_path / "broken"
    expected = run(clean, "subdivide", *options, "--json").values
    kill_points = [
        "catalogs/*/part-*.parquet",  # in ingest: one partition is written
        "faces/*/part-*.parquet",  # in prepare
        "runs/*/checkpoint.pt",  # in training, between two checkpoints
        "subdivisions/*-level-1-*/manifest.json",  # between two levels
    ]
    for pattern in kill_points:
        killed_when(start(broken, "subdivide", *options), broken, pattern)
    resumed = run(broken, "subdivide", *options, "--json").values
    assert resumed["final_loss"] == expected["final_loss"]
    assert manifests(broken) == manifests(clean)


def test_ctrl_c_ends_cleanly_and_says_how_to_go_on(tmp_path: Path) -> None:
    process = start(tmp_path, "train", *SMALL, "--epochs", "500")
    deadline = time.monotonic() + 200
    while not any(tmp_path.glob("runs/*/checkpoint.pt")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    try:
        _, err = process.communicate(timeout=100)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "same command again" in err.splitlines()[-1]
    assert "Traceback" not in err


def test_two_runs_of_one_home_share_the_work(tmp_path: Path) -> None:
    first, second = [finish(process) for process in [start(tmp_path, "retrain", *QUICK) for _ in range(2)]]
    assert first["model_version"] == second["model_version"] == 1
    assert first["metrics"] == second["metrics"]
    assert first["champion"] == second["champion"] == 1


def test_nothing_is_left_running(tmp_path: Path) -> None:
    process = start(tmp_path, "ingest", *FACES)
    deadline = time.monotonic() + 100
    while not (servers := psutil.Process(process.pid).children(recursive=True)):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.kill()
    process.communicate()
    _, alive = psutil.wait_procs(servers, timeout=30)
    assert not alive, "the embedded server outlives a killed run"


def test_two_ray_workers_train_the_same_model_shape(tmp_path: Path) -> None:
    result = run_whole(tmp_path, "train", *SMALL, "--epochs", "1", "--workers", "2")
    assert result["final_loss"] > 0
    assert sorted(path.name for path in Path(result["run"]).iterdir()) == [
        "manifest.json",
        "network.safetensors",
        "progress.jsonl",
        "run.json",
    ]


def test_a_dask_cluster_by_address_gives_the_same_shards(tmp_path: Path) -> None:
    scheduler_file = tmp_path / "scheduler.json"
    common = ["--host", "127.0.0.1", "--no-dashboard", "--scheduler-file", str(scheduler_file)]
    quiet = {"cwd": PROJECT, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    module = [sys.executable, "-m"]
    scheduler = subprocess.Popen([*module, "distributed.cli.dask_scheduler", "--port", "0", *common], **quiet)
    alone = ["--no-nanny", "--nthreads", "1"]
    worker = subprocess.Popen([*module, "distributed.cli.dask_worker", *alone, *common], **quiet)
    try:
        deadline = time.monotonic() + 60
        while not scheduler_file.exists() or not scheduler_file.read_text():
            assert time.monotonic() < deadline
            time.sleep(0.1)
        address = json.loads(scheduler_file.read_text())["address"]
        run_whole(tmp_path / "cluster", "prepare", *FACES, DASK_SCHEDULER_ADDRESS=address)
    finally:
        for process in (worker, scheduler):
            process.terminate()
            process.wait()
    run(tmp_path / "local", "prepare", *FACES)
    assert manifests(tmp_path / "cluster") == manifests(tmp_path / "local")


def test_an_engine_that_does_not_answer_is_named(tmp_path: Path) -> None:
    nobody = {"PREFECT_API_URL": "http://127.0.0.1:9/api"}
    _, err = (process := start(tmp_path, "ingest", *FACES, **nobody)).communicate(timeout=200)
    assert process.returncode == 2
    assert "no Prefect server answers at PREFECT_API_URL" in err.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["evaluate", *QUICK, "--folds", "60"], "use --folds from 2 to 6"),
        (["promote"], "no challenger"),
    ],
)
def test_what_only_a_stage_can_see_is_one_sentence_and_exit_code_2(
    tmp_path: Path, arguments: list[str], named: str
) -> None:
    ended = run(tmp_path, *arguments, "--json", code=2)
    assert named in ended.err.splitlines()[-1]
    assert ended.err.splitlines()[-1].startswith("error: ")
    assert ended.out == ""
