"""What a command says at its end: one dict for programs, one table for people."""

from typing import Any, Self

from fer_core.experiments.options import CellPlan
from fer_core.housekeeping import KIND_OF, Entry
from fer_core.runs import profile_of
from fer_core.scoring import PREDICTIONS
from flows import dry_run, matrix
from tasks.evaluation import REPORT
from tasks.inspection import Proof
from tasks.made import Fold, Level, Made
from tasks.registry import Promotion, Registered

_OF_THE_LAST = ("set_aside", "crop_by", "estimated_subjects", "estimated_expressions")
"""What the last of several stages says of the data; counts are those of the catalog."""


class Summary:
    """Gathers the JSON of a command from the stages it ran."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {"reused": [], "seconds": {}}
        self._done: dict[str, bool] = {}

    def scanned(self, inspection: dict[str, Any]) -> Self:
        """A dry run: what would be taken and set aside."""
        self.values |= {"dry_run": True, "directory": None, **inspection}
        return self

    def proven(self, proofs: list[Proof]) -> Self:
        """Directories compared with their manifests, the command's own first."""
        damaged = [str(proof.path / name) for proof in proofs for name in proof.damaged]
        if "directories" not in self.values:
            self.values["directory"] = str(proofs[0].path)
        return self._with(files=sum(proof.files for proof in proofs), damaged=damaged)

    def directories(self, entries: list[Entry]) -> Self:
        """What a home holds."""
        described = [_described(entry) for entry in entries]
        return self._with(directories=described, removed=[], freed_bytes=0)

    def removable(self, entries: list[Entry]) -> Self:
        """What would go."""
        names = [entry.name for entry in entries]
        return self._with(dry_run=True, removable=names, removable_bytes=sum(entry.bytes for entry in entries))

    def removed(self, entries: list[Entry]) -> Self:
        """What has gone."""
        names = [entry.name for entry in entries]
        left = [row for row in self.values["directories"] if row["name"] not in names]
        left = [{**row, "used_by": [user for user in row["used_by"] if user not in names]} for row in left]
        return self._with(
            directories=left,
            removed=names,
            nothing_removed=not names,
            freed_bytes=sum(entry.bytes for entry in entries),
        )

    def planned(self, plans: list[CellPlan]) -> Self:
        """A dry run of an experiment: its cells, what they differ in, and what is missing."""
        cells = [
            {
                "row": plan.row,
                "column": plan.column,
                "missing": plan.missing,
                "tested": plan.tested.dataset if plan.tested else None,
                "options": plan.options[0].told(only_changed=True) if plan.options else {},
            }
            for plan in plans
        ]
        return self._with(dry_run=True, cells=cells)

    def experiment(self, made: Made, report: dict[str, Any], folds: list[Fold], mlflow_run: str) -> Self:
        """The table of an experiment and what is said of it."""
        for fold in folds:
            self._count(*[done for level in fold.levels for done in level.stages], fold.evaluation)
        self._count(made)
        places = {"directory": str(made.path), "report": str(made.path / REPORT), "mlflow_run": mlflow_run}
        return self._with(**report, **places)

    def scored(self, model_name: str, model_version: int, scores: Made, decisions: Made | None = None) -> Self:
        """What a registered model says of pictures, and of pairs of them where it was asked about these."""
        last = decisions or scores
        self._count(*(made for made in (scores, decisions) if made is not None))
        known = {"model_name": model_name, "model_version": model_version, "directory": str(last.path)}
        return self._with(**last.summary, **known, predictions=str(scores.path / PREDICTIONS))

    def tuples(self, made: Made) -> Self:
        """Tuples by epoch."""
        self._count(made)
        return self._with(tuples=str(made.path), tuple_summary=made.summary)

    def data(self, *stages: Made) -> Self:
        """Catalog, and faces where they were made."""
        self._count(*stages)
        self.values |= {**stages[0].summary, "directory": str(stages[0].path)}
        self.values["repaired"] = [str(file) for made in stages for file in made.repaired]
        self.values |= {name: value for name, value in stages[-1].summary.items() if name in _OF_THE_LAST}
        if len(stages) > 1:
            self.values |= {"faces": str(stages[1].path), "face_rows": stages[1].summary["rows"]}
        return self

    def model(self, run: Made, levels: list[Level]) -> Self:
        """The first run, and the levels made from it; of the last run what came out."""
        self._count(*([made for level in levels for made in level.stages] or [run]))
        self._restarted(*([level.run for level in levels] or [run]))
        run = levels[-1].run if levels else run
        final = run.summary["final"]
        self.values |= {
            "run": str(run.path),
            "metrics": {f"train_{name}": final[name] for name in ("loss", "accuracy") if name in final},
            "final_loss": final.get("loss"),
            "profile": profile_of(run.path),
            "model_version": None,
            "champion": None,
            "verdict": None,
            "report": None,
        }
        return self._with(levels=[str(level.groups.path) for level in levels]) if levels else self

    def evaluation(self, made: Made) -> Self:
        """The hold-out's metrics and report."""
        self._count(made)
        metrics = self.values["metrics"] | made.summary
        return self._with(metrics=metrics, report=str(made.path / REPORT), evaluation=str(made.path))

    def folds(self, folds: list[Fold], means: dict[str, float], prefix: str = "") -> Self:
        """Means and deviations over the folds, and the report of the first where there is no other."""
        for fold in folds:
            self._count(*[made for level in fold.levels for made in level.stages], fold.evaluation)
            self._restarted(*(level.run for level in fold.levels))
        metrics = self.values.get("metrics", {}) | {f"{prefix}{name}": value for name, value in means.items()}
        report = str(folds[0].evaluation.path / REPORT) if folds else None
        empty = {"final_loss": None, "model_version": None, "champion": None, "verdict": None, "report": report}
        self.values = empty | self.values
        return self._with(metrics=metrics, folds=[fold.evaluation.summary for fold in folds])

    def registry(self, registered: Registered, promotion: Promotion) -> Self:
        """The registered version and what the gate did with it."""
        self._took("register", registered.seconds, registered.reused)
        return self.promotion(promotion)

    def promotion(self, made: Promotion) -> Self:
        """What the gate did."""
        self._took("gate", made.seconds, reused=False)
        names = ("model_version", "champion", "verdict", "reason")
        return self._with(**{name: getattr(made, name) for name in names})

    def _with(self, **values: Any) -> Self:
        self.values |= values
        return self

    def _count(self, *stages: Made) -> None:
        for made in stages:
            self._took(made.stage.split()[0], made.seconds, made.reused)

    def _restarted(self, *runs: Made) -> None:
        self.values.setdefault("restarts", []).extend(sentence for run in runs for sentence in run.restarts)

    def _took(self, stage: str, seconds: float, reused: bool) -> None:
        """Stages that are run several times count together, as reused only where none of them had to be done."""
        self.values["seconds"][stage] = round(self.values["seconds"].get(stage, 0) + seconds, 3)
        self._done[stage] = self._done.get(stage, False) or not reused
        self.values["reused"] = [name for name, done in self._done.items() if not done]


def _described(entry: Entry) -> dict[str, Any]:
    return {
        "kind": KIND_OF[entry.folder],
        "name": entry.name,
        "bytes": entry.bytes,
        "age_days": round(entry.age_days, 4),
        "rows": entry.rows,
        "state": entry.state,
        "used_by": [*entry.versions, *entry.users],
    }


def table(values: dict[str, Any]) -> str:
    """The last table a person sees."""
    if "near_duplicates" in values:
        return "\n".join([*dry_run.lines(values), "", _results(values)])
    if "cells" in values:
        return "\n".join(matrix.planned(values) if values.get("dry_run") else matrix.lines(values))
    return _listing(values) if "directories" in values else _results(values)


def _listing(values: dict[str, Any]) -> str:
    header = ("kind", "name", "MB", "age", "rows", "state", "used by")
    rows = [header, *(_row(directory) for directory in values["directories"])]
    widths = [max(len(row[at]) for row in rows) for at in range(len(header))]
    align = ("<", "<", ">", ">", ">", "<", "<")
    lines = [
        "  ".join(f"{cell:{side}{width}}" for cell, side, width in zip(row, align, widths, strict=True)).rstrip()
        for row in rows
    ]
    megabytes = sum(directory["bytes"] for directory in values["directories"]) / 1e6
    lines += ["", f"{len(rows) - 1} directories, {megabytes:.1f} MB"]
    if "removable" in values:
        lines += [f"would be removed: {len(values['removable'])}, {values['removable_bytes'] / 1e6:.1f} MB"]
        lines += [f"  {name}" for name in values["removable"]]
    if values.get("nothing_removed"):
        lines += ["removed: nothing; what nothing uses is younger than --older-than days, or an evaluation"]
    if values["removed"]:
        lines += [f"removed: {len(values['removed'])}, {values['freed_bytes'] / 1e6:.1f} MB"]
    if "damaged" in values:
        lines += [f"verified: {values['files']} files, {len(values['damaged'])} damaged"]
        lines += [f"  {name}" for name in values["damaged"]]
    return "\n".join(lines)


def _row(directory: dict[str, Any]) -> tuple[str, ...]:
    users = directory["used_by"]
    more = f" and {len(users) - 1} more" if len(users) > 1 else ""
    return (
        directory["kind"],
        directory["name"].split("/")[1],
        f"{directory['bytes'] / 1e6:.1f}",
        _age(directory["age_days"]),
        "" if directory["rows"] is None else str(directory["rows"]),
        directory["state"],
        users[0] + more if users else "nothing",
    )


def _age(days: float) -> str:
    return f"{days:.0f} d" if days >= 1 else f"{days * 24:.0f} h" if days * 24 >= 1 else f"{days * 1440:.0f} min"


def _results(values: dict[str, Any]) -> str:
    counts = ("rows", "face_rows", "subjects", "classes", "set_aside", "expressions", "same_person", "threshold")
    rows: list[tuple[str, str]] = [(name, str(values[name])) for name in counts if name in values]
    metrics = values.get("metrics") or {}
    rows += [(name, _with_deviation(name, metrics)) for name in metrics if not name.endswith("_std")]
    shown = ("verdict", "reason", "model_version", "champion", "directory", "faces", "tuples", "run", "report")
    rows += [(name, str(values[name])) for name in shown if values.get(name) is not None]
    if "damaged" in values:
        rows += [("damaged", ", ".join(values["damaged"]) or f"none of {values['files']} files")]
    if values.get("repaired"):
        rows += [("repaired", ", ".join(values["repaired"]))]
    if values.get("restarts"):
        rows += [("restarts", "; ".join(values["restarts"]))]
    rows += [("reused", ", ".join(values.get("reused", [])) or "nothing")]
    rows += [("seconds", ", ".join(f"{stage} {took:.1f}" for stage, took in values.get("seconds", {}).items()))]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)


def _with_deviation(name: str, metrics: dict[str, float]) -> str:
    deviation = f" ± {metrics[name + '_std']:.4f}" if name + "_std" in metrics else ""
    return f"{metrics[name]:.4f}{deviation}"
