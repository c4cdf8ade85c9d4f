"""What the reports of a command and the run in MLflow say of what was run."""

import re
import sqlite3
from pathlib import Path

import pytest
from test_end_to_end import QUICK
from whole_commands import run

from infra.mlflow_engine import store_file

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]
TITLE = "mul_dml (s_dual_triplet) on synthetic, resnet18"


def test_the_variant_and_the_fold_are_told(tmp_path: Path) -> None:
    asked = ["retrain", *QUICK, "--folds", "2", "--mul-dml.variant", "s_dual_triplet", "--json"]
    result = run(tmp_path, *asked).values
    pages = {path.parent: path.read_text() for path in tmp_path.glob("evaluations/*/report.html")}
    titles = {re.search(r"<title>(.*)</title>", page)[1]: folder for folder, page in pages.items()}  # type: ignore[index]
    assert titles.keys() == {TITLE, f"{TITLE}, fold 1 of 2"}
    assert len([*tmp_path.glob("evaluations/*/metrics.json")]) == 3
    for folder, page in pages.items():
        assert (folder / "figures" / "confusion.png").exists()
        assert re.search(r"mul_dml.variant</th><td>s_dual_triplet", page)
        assert ("Fold 1 of 2 alone" in page) == (folder == titles[f"{TITLE}, fold 1 of 2"])
    assert Path(result["report"]).parent == titles[TITLE]
    assert {"accuracy_fear", "cv_accuracy_fear", "cv_accuracy_fear_std"} <= result["metrics"].keys()
    with sqlite3.connect(store_file(tmp_path)) as store:
        params = dict(store.execute("select key, value from params"))
        (name,) = store.execute("select name from runs").fetchone()
    assert name == TITLE
    assert params["mul_dml.variant"] == "s_dual_triplet"
    assert params["backbone"] == "resnet18"
    assert "sgm" not in params
