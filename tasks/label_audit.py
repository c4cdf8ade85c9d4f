"""A cross-validation -> the labels to doubt, each by a model that has not seen the face."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from prefect import task
from prefect.cache_policies import NO_CACHE

from fer_core.assessment.label_doubts import AuditedFold, audit_of_folds, write_audit_of_folds
from fer_core.code_digest import code_digest
from fer_core.directories import Directory, read_tables
from fer_core.files import write_bytes
from fer_core.levels import embedding_matrix, read_level
from fer_core.options.stages import EvaluateOptions
from fer_core.reading import read_faces
from fer_core.runs import read_description
from infra.progress import logger
from tasks.evaluation import EMBEDDINGS, PREDICTIONS
from tasks.made import Fold, Made, make


@task(cache_policy=NO_CACHE)
def write_label_audit(options: EvaluateOptions, faces: Made, folds: list[Fold]) -> Made:
    """The faces whose neighbours among the training faces of their fold carry another label, as a table and a page."""
    stages = [(*fold.levels[-1].stages, fold.evaluation) for fold in folds]
    made_of = {
        f"{kind}-{number}": made.content
        for number, fold in enumerate(stages)
        for kind, made in zip(("run", "level", "evaluation"), fold, strict=True)
    }
    directory = Directory(
        options.home / "audits",
        f"{options.dataset}-{options.method}",
        kind="audit",
        config={},
        inputs={"faces": faces.content, **made_of},
        code=code_digest("fer_core.assessment.label_doubts"),
    )

    def build() -> tuple[Iterable[str], dict[str, Any]]:
        tested = [_read(fold) for fold in folds]
        doubted = audit_of_folds(tested, faces.path)
        # a face whose label is an estimate counts as one only where it is trained on
        table = read_faces(faces.path, options.parts[0], options.seed, unlabelled=True)
        files = write_audit_of_folds(doubted, tested, table)
        for name, content in files.items():
            write_bytes(directory.path / name, content)
        return files, {"faces": sum(len(fold.truth) for fold in tested), "doubted": len(doubted)}

    made = make("audit", directory, build)
    logger.info("%-9s %d of %d labels are doubted", "audit", made.summary["doubted"], made.summary["faces"])
    return made


def _read(fold: Fold) -> AuditedFold:
    last = fold.levels[-1]
    tested, embeddings = (read_tables(fold.evaluation.path, name) for name in (PREDICTIONS, EMBEDDINGS))
    return AuditedFold(
        classes=tuple(read_description(last.run.path).classes),
        level=read_level(last.groups.path),
        sample_id=np.array(tested["sample_id"].to_pylist()),
        truth=tested["truth"].to_pylist(),
        embedding_QD=embedding_matrix(embeddings["embedding"]),
    )
