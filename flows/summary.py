"""What a command says at its end: one dict for programs, one table for people."""

from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

from fer_core.assessment.label_doubts import AUDIT_PAGE
from fer_core.experiments.options import CellPlan
from fer_core.housekeeping import KIND_OF, Entry
from fer_core.runs import profile_of
from fer_core.scoring.faces import PREDICTIONS
from flows import descent, dry_run, forgotten, judged, matrix
from flows.listing import listing
from tasks.evaluation import REPORT
from tasks.forgetting import Forgotten
from tasks.inspection import Proof
from tasks.made import Fold, Level, Made
from tasks.promotion import Promotion
from tasks.registry import Registered
from tasks.rollback import Rollback
from tasks.watching import Looked, Trigger

_OF_THE_LAST = ("set_aside", "crop_by", "estimated_subjects", "estimated_expressions")
"""What the last of several stages says of the data; counts are those of the catalog."""
_OF_PAIRS = ("same_person", "threshold")


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

    def forgotten(self, made: Forgotten, dry_run: bool) -> Self:
        """Who was taken out of a home, from what, and which models had learnt from them."""
        return self._with(**forgotten.described(made, dry_run))

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

    def looked_through(self, model_name: str, model_version: int, stages: list[Made], files: dict[str, Path]) -> Self:
        """Faces that were found or grouped by a registered model, and the files to look at."""
        self._count(*stages)
        known = {"model_name": model_name, "model_version": model_version, "directory": str(stages[-1].path)}
        return self._with(**stages[-1].summary, **known, **{name: str(file) for name, file in files.items()})

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

    def audit(self, made: Made) -> Self:
        """The labels that the models of a cross-validation doubt."""
        self._count(made)
        counts = {"audited_faces": made.summary["faces"], "doubted_labels": made.summary["doubted"]}
        return self._with(**counts, label_audit=str(made.path / AUDIT_PAGE))

    def registry(self, registered: Registered, promotion: Promotion) -> Self:
        """The registered version and what the gate did with it."""
        self._took("register", registered.seconds, registered.reused)
        return self.promotion(promotion)

    def promotion(self, made: Promotion) -> Self:
        """What the gate did."""
        self._took("gate", made.seconds, reused=False)
        names = ("model_version", "champion", "verdict", "reason")
        page = None if made.page is None else str(made.page)
        return self._with(**{name: getattr(made, name) for name in names}, decision_page=page, **_moved(made))

    def rollback(self, made: Rollback) -> Self:
        """What was rolled back."""
        self._took("rollback", made.seconds, reused=False)
        known = {"champion": made.after.champion, "previous": made.after.previous, "rolled_back": made.rolled_back}
        return self._with(**known, reason=made.reason, **_moved(made))

    def watched(self, triggers: list[Trigger], looked: Looked, is_wanted: bool, dry_run: bool) -> Self:
        """What could ask for a retrain, and whether one was begun or asked for."""
        drift = None if looked.made is None else str(looked.made.path)
        told = [asdict(trigger) for trigger in triggers]
        return self._with(triggers=told, retrained=is_wanted, drift=drift, dry_run=dry_run)

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


def _moved(made: Promotion | Rollback) -> dict[str, Any]:
    """The aliases before and after, of a dry run those that would be."""
    return {"dry_run": made.dry_run, "aliases": {"before": vars(made.before), "after": vars(made.after)}}


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
    if "made_of" in values or "uses" in values:
        return "\n".join(descent.lines(values))
    if "forgotten" in values:
        return "\n".join(forgotten.lines(values))
    if "judges" in values:
        return "\n".join(judged.lines(values))
    if "cells" in values:
        return "\n".join(matrix.planned(values) if values.get("dry_run") else matrix.lines(values))
    return listing(values) if "directories" in values else _results(values)


def _results(values: dict[str, Any]) -> str:
    counts = (
        "rows",
        "corrected",
        "face_rows",
        "subjects",
        "classes",
        "set_aside",
        "expressions",
        "doubted_labels",
        *_OF_PAIRS,
    )
    rows: list[tuple[str, str]] = [(name, str(values[name])) for name in counts if name in values]
    metrics = values.get("metrics") or {}
    rows += [(name, _with_deviation(name, metrics)) for name in metrics if not name.endswith("_std")]
    shown = (
        "verdict",
        "reason",
        "rolled_back",
        "model_version",
        "champion",
        "previous",
        "directory",
        "faces",
        "tuples",
        "run",
        "table",
        "sheet",
        "report",
        "label_audit",
        "decision_page",
        "card",
        "drift",
    )
    rows += [(name, str(values[name])) for name in shown if values.get(name) is not None]
    rows += [
        (f"nearest {one['rank']}", f"{one['distance']:.4g}  {one['expression'] or ''}  {one['source_path']}")
        for one in values.get("nearest", [])
    ]
    if values.get("aliases"):
        name = "would move" if values["dry_run"] else "moved"
        before, after = values["aliases"]["before"], values["aliases"]["after"]
        moved = [f"{alias} {before[alias]} -> {after[alias]}" for alias in before if before[alias] != after[alias]]
        rows += [(name, ", ".join(moved) or "nothing")]
    if "damaged" in values:
        rows += [("damaged", ", ".join(values["damaged"]) or f"none of {values['files']} files")]
    if values.get("repaired"):
        rows += [("repaired", ", ".join(values["repaired"]))]
    if values.get("restarts"):
        rows += [("restarts", "; ".join(values["restarts"]))]
    rows += [
        (one["kind"], f"{'fired' if one['fired'] else 'quiet'}: {one['reason']}") for one in values.get("triggers", [])
    ]
    rows += [("reused", ", ".join(values.get("reused", [])) or "nothing")]
    rows += [("seconds", ", ".join(f"{stage} {took:.1f}" for stage, took in values.get("seconds", {}).items()))]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)


def _with_deviation(name: str, metrics: dict[str, float]) -> str:
    deviation = f" ± {metrics[name + '_std']:.4f}" if name + "_std" in metrics else ""
    return f"{metrics[name]:.4f}{deviation}"
