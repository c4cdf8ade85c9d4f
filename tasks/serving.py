"""A registered model handed on: with what is told of it to the page that serves it, or as an ONNX file."""

import json
import logging
from typing import Any

from fer_core.errors import InputError
from fer_core.galleries.training_faces import TrainingFaces
from fer_core.onnx_export import export_onnx
from fer_core.options.serve import ExportOptions, ServeOptions
from fer_core.predictor import Predictor
from fer_core.report.measures import spoken
from infra.progress import logger
from infra.web.app import ServedModel
from infra.web.server import is_loopback
from tasks.evaluation import METRICS
from tasks.registered import RegisteredModel, registered

HEADLINE = ("accuracy", "knn_accuracy", "f1", "recall_at_1", "nmi", "pose_accuracy", "pair_accuracy", "auc")
"""Of a version's own evaluation; those that there are."""


def open_served(options: ServeOptions) -> ServedModel:
    """The model that is asked for, loaded.

    Raises:
        InputError: there is no such version, no champion, or the model does not look at pictures.
    """
    model = registered(options.home, options.model_name, options.version)
    predictor = model.predictor()
    faces = _faces(options, model, predictor)
    return ServedModel(predictor, faces, _told(model, predictor) | {"shows_faces": faces is not None})


def _faces(options: ServeOptions, model: RegisteredModel, predictor: Predictor) -> TrainingFaces | None:
    wanted = is_loopback(options.host) if options.show_faces is None else options.show_faces
    if not wanted:
        return None
    directory = model.faces()
    if directory is None:
        logger.info("serve     the faces that %s was trained on are gone and cannot be shown", model.title)
        return None
    return TrainingFaces(directory, predictor.level)


def _told(model: RegisteredModel, predictor: Predictor) -> dict[str, Any]:
    tags, aliases = model.registry.tags_of(model.version), vars(model.registry.aliases())
    metrics = json.loads(model.registry.artifact(model.version, METRICS).read_text())
    return {
        "name": model.name,
        "version": model.version,
        "aliases": [name for name, version in aliases.items() if version == model.version],
        "title": tags["title"],
        "method": model.description.method,
        "num_faces": len(predictor.level.sample_id),
        "classes": [] if predictor.decides_by == "distance" else list(predictor.classes),
        "whole": model.description.frame_is_face,
        "metrics": [{"label": spoken(name), **metrics[name]} for name in HEADLINE if name in metrics],
        "verdict": tags.get("verdict"),
        "reason": tags.get("reason"),
        "rolled_back": tags.get("rolled_back"),
        "git_commit": tags.get("git_commit"),
    }


def write_export(options: ExportOptions) -> dict[str, Any]:
    """Write the ONNX file of the model that is asked for, and what is needed beside it; what is said of it.

    Raises:
        InputError: there is no such version, or no champion; or the folder cannot be written to.
    """
    assert options.to is not None
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it tells of packages that nobody needs here
    model = registered(options.home, options.model_name, options.version, looks_at=None)
    title = model.registry.tags_of(model.version)["title"]
    try:
        options.to.mkdir(parents=True, exist_ok=True)
        of = {"name": model.name, "version": model.version, "title": title, "digests": model.content}
        said = export_onnx(model.predictor(), options.to, of)
    except OSError as error:
        raise InputError(f"--to {options.to} cannot be written to: {error.strerror}; choose another folder") from error
    logger.info("export    %s to %s", model.title, options.to)
    return said
