"""How many wrong labels the label audit finds: some of a data set's labels are made wrong, and the doubted are counted.

    python -m benchmarks.label_audit --dataset ck_plus --source CK+48 [--share 0.05] [--epochs 4 12] [--folds 5]
        [--method mul_dml] [--seed 0] [--json]

The same wrong labels for all. `training faces` are those of the hold-out's model, judged by it; `folds` is a
cross-validation, where each face is judged by a model that has seen neither it nor its subject. Found is the share of
the wrong labels among the faces looked at; right the share of the doubted labels that were wrong; put right the share
of the found for which the true expression was proposed. Wrong labels of the data set's own count as doubted in vain.
They are made wrong picture by picture: of a sequence or a person the others stay right. Seconds are of training and
all after it. It needs a data set without an official split.
"""

import argparse
import csv
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow.parquet as pq

from fer_core.directories import read_columns

CORRECTIONS = "wrong.csv"
COLUMNS = ("seconds", "looked_at", "wrong", "doubted", "found", "right", "put_right")


class Wrong(NamedTuple):
    """A label that is made wrong."""

    sample_id: str
    label: str
    corrected: str


def run(command: str, options: argparse.Namespace, home: Path, *more: str) -> dict[str, Any]:
    source = [] if options.source is None else ["--source", str(options.source)]
    given = [command, "--dataset", options.dataset, *source, "--home", str(home), "--json", *more]
    ended = subprocess.run([sys.executable, "-m", "flows", *given], capture_output=True, text=True)
    if ended.returncode:
        sys.exit(ended.stderr)
    values: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return values


def made_wrong(catalog: Path, share: float, seed: int) -> list[Wrong]:
    """A share of the labels, each another one of those that the data set has."""
    rng = np.random.default_rng(seed)
    columns = read_columns(catalog, "part-", ["sample_id", "expression"]).to_pydict()
    known = [(name, label) for name, label in zip(*columns.values(), strict=True) if label is not None]
    labels = sorted({label for _, label in known})
    chosen = rng.choice(len(known), round(share * len(known)), replace=False)
    others = {label: [other for other in labels if other != label] for label in labels}
    return [Wrong(*known[row], str(rng.choice(others[known[row][1]]))) for row in sorted(chosen.tolist())]


def counted(audit: Path, wrong: list[Wrong], looked_at: set[str]) -> dict[str, float]:
    """What the audit says of labels of which it is known that they are wrong, among those that it looked at."""
    with audit.open() as file:
        proposed_of = {row["sample_id"]: row["proposed"] for row in csv.DictReader(file)}
    own = [one for one in wrong if one.sample_id in looked_at]
    found = [one for one in own if one.sample_id in proposed_of]
    return {
        "looked_at": len(looked_at),
        "wrong": len(own),
        "doubted": len(proposed_of),
        "found": len(found) / max(1, len(own)),
        "right": len(found) / max(1, len(proposed_of)),
        "put_right": sum(proposed_of[one.sample_id] == one.label for one in found) / max(1, len(found)),
    }


def measured(
    options: argparse.Namespace, home: Path, wrong: list[Wrong], epochs: int, folds: int | None
) -> dict[str, float]:
    """The audit of a model's training faces, or of a cross-validation."""
    more = ["--corrections", str(home / CORRECTIONS), "--method", options.method, "--epochs", str(epochs)]
    more += ["--seed", str(options.seed)] + ([] if folds is None else ["--folds", str(folds)])
    started = time.perf_counter()
    values = run("evaluate", options, home, *more)
    seconds = round(time.perf_counter() - started, 1)
    if folds:
        audit, files = Path(values["label_audit"]).parent, home.glob("evaluations/*/predictions.parquet")
    else:
        audit, files = Path(values["evaluation"]), [Path(values["levels"][-1]) / "labels.parquet"]
    looked_at = {name for file in files for name in pq.read_table(file)["sample_id"].to_pylist()}
    return {"seconds": seconds, **counted(audit / "label_audit.csv", wrong, looked_at)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="synthetic")
    parser.add_argument("--source", type=Path)
    parser.add_argument("--share", type=float, default=0.05)
    parser.add_argument("--epochs", type=int, nargs="+", default=[4, 12])
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--method", default="mul_dml")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = {}
    with tempfile.TemporaryDirectory(prefix="fer-label-audit-") as folder:
        home = Path(folder)
        catalog = Path(run("ingest", options, home)["directory"])
        wrong = made_wrong(catalog, options.share, options.seed)
        with (home / CORRECTIONS).open("w", newline="") as file:
            csv.writer(file).writerows([Wrong._fields, *wrong])
        run("prepare", options, home, "--corrections", str(home / CORRECTIONS))
        print(f"{'':<32}" + "".join(f"{name.replace('_', ' '):>11}" for name in COLUMNS))
        for epochs in options.epochs:
            for way, folds in (("training faces", None), (f"{options.folds} folds", options.folds)):
                name = f"{way}, {epochs} epochs"
                found[name] = measured(options, home, wrong, epochs, folds)
                shown = [
                    f"{found[name][one]:.1%}" if one in COLUMNS[4:] else f"{found[name][one]:g}" for one in COLUMNS
                ]
                print(f"{name:<32}" + "".join(f"{text:>11}" for text in shown), flush=True)
    if options.json:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
