"""What a command says at its end: one dict for programs, one table for people."""

from collections import Counter
from typing import Any, Self

from fer_core.datasets.base import Scan
from tasks.evaluation import REPORT
from tasks.made import Fold, Level, Made
from tasks.registry import Promotion, Registered


class Summary:
    """Gathers the JSON of a command from the stages it ran."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {"reused": [], "seconds": {}}
        self._done: dict[str, bool] = {}

    def scanned(self, scan: Scan) -> Self:
        """A dry run: what the names and label files of the source tell."""
        aside = Counter(record.reason for record in scan.rejected)
        classes = Counter(row["expression"] for row in scan.rows)
        subjects = {row.get("subject_id") for row in scan.rows} - {None}
        self.values |= {
            "dry_run": True,
            "rows": len(scan.rows),
            "set_aside": dict(aside),
            "classes": dict(classes),
            "subjects": len(subjects) or None,
            "directory": None,
        }
        return self

    def data(self, *stages: Made) -> Self:
        """Catalog, and faces where they were made."""
        self._count(*stages)
        self.values |= {**stages[0].summary, "directory": str(stages[0].path)}
        self.values["set_aside"] = stages[-1].summary["set_aside"]
        if len(stages) > 1:
            self.values |= {"faces": str(stages[1].path), "face_rows": stages[1].summary["rows"]}
        return self

    def model(self, run: Made, levels: list[Level]) -> Self:
        """The first run, and the levels made from it; of the last run what came out."""
        self._count(*([made for level in levels for made in level.stages] or [run]))
        run = levels[-1].run if levels else run
        self.values |= {
            "run": str(run.path),
            "metrics": {f"train_{name}": run.summary["final"][name] for name in ("loss", "accuracy")},
            "final_loss": run.summary["final"]["loss"],
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
        """Means and deviations over the folds."""
        for fold in folds:
            self._count(*[made for level in fold.levels for made in level.stages], fold.evaluation)
        metrics = self.values.get("metrics", {}) | {f"{prefix}{name}": value for name, value in means.items()}
        empty = {"final_loss": None, "model_version": None, "champion": None, "verdict": None, "report": None}
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

    def _took(self, stage: str, seconds: float, reused: bool) -> None:
        """Stages that are run several times count together, as reused only where none of them had to be done."""
        self.values["seconds"][stage] = round(self.values["seconds"].get(stage, 0) + seconds, 3)
        self._done[stage] = self._done.get(stage, False) or not reused
        self.values["reused"] = [name for name, done in self._done.items() if not done]


def table(values: dict[str, Any]) -> str:
    """The last table a person sees."""
    counts = ("rows", "face_rows", "subjects", "classes", "set_aside")
    rows: list[tuple[str, str]] = [(name, str(values[name])) for name in counts if name in values]
    metrics = values.get("metrics") or {}
    rows += [(name, _with_deviation(name, metrics)) for name in metrics if not name.endswith("_std")]
    shown = ("verdict", "reason", "model_version", "champion", "directory", "run", "report")
    rows += [(name, str(values[name])) for name in shown if values.get(name) is not None]
    rows += [("reused", ", ".join(values.get("reused", [])) or "nothing")]
    rows += [("seconds", ", ".join(f"{stage} {took:.1f}" for stage, took in values.get("seconds", {}).items()))]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)


def _with_deviation(name: str, metrics: dict[str, float]) -> str:
    deviation = f" ± {metrics[name + '_std']:.4f}" if name + "_std" in metrics else ""
    return f"{metrics[name]:.4f}{deviation}"
