"""Whether a registered version is what it says: its data, its model's files, its test results and its code.

The chain: the version's tags name the data and, by the digest in its name, the evaluation; the evaluation's manifest
names the contents of the faces, the run and the level, and these manifests the sha256 of each of their files.
"""

import json

from fer_core import backbones, methods
from fer_core.code_digest import code_digest_of
from fer_core.directories import MANIFEST, Manifest, damaged_files, folder_at, read_manifest
from fer_core.errors import InputError
from fer_core.files import file_sha256
from fer_core.runs import DESCRIPTION
from infra.mlflow_engine import Registry
from infra.mlflow_models import LOGGED_CODE, logged_code_digest
from tasks.evaluation import EVALUATION_CODE, METRICS, PREDICTIONS
from tasks.model import LEVEL_CODE, RUN_CODE, code_of

PROVEN_TAGS = ("data_digest", "faces", "run", "level", "evaluation", "evaluation_digest", "code_digest")


def doubt_of(registry: Registry, version: int) -> str | None:
    """What cannot be proven of a version, with the way out; None: all of it is proven.

    The git commit is told and not proven: a checkout may have none. What was run is proven by the digests of the code
    that the manifests hold, against the copy and the pinned libraries that were logged with the model.
    """
    tags = registry.tags_of(version)
    missing = [name for name in PROVEN_TAGS if name not in tags]
    if missing:
        return f"version {version} has no tag {', '.join(missing)}; retrain registers one that has them"
    try:
        evaluation = _prove_evaluation(registry, version, tags)
        _prove_faces(tags)
        run, level = (_prove_folder(registry, version, tags, part, evaluation) for part in ("run", "level"))
        _prove_code(registry, version, tags, {"run": run, "level": level, "evaluation": evaluation})
    except (InputError, OSError) as error:
        return str(error)
    return None


def _require(is_proven: bool, what: str) -> None:
    if not is_proven:
        raise InputError(what)


def _prove_evaluation(registry: Registry, version: int, tags: dict[str, str]) -> Manifest:
    manifest = read_manifest(registry.artifact(version, MANIFEST).parent)
    for file in (PREDICTIONS, METRICS):
        sha256 = file_sha256(registry.artifact(version, file))
        _require(sha256 == manifest.shards[file]["sha256"], f"{file} in MLflow is not the evaluation's; retrain anew")
    _require(
        tags["evaluation"].endswith(f"-{manifest.origin}") and tags["evaluation_digest"] == manifest.content,
        f"{MANIFEST} in MLflow is not that of {tags['evaluation']}; retrain anew",
    )
    _require(
        manifest.inputs["faces"] == tags["data_digest"],
        f"{tags['evaluation']} was made from other faces than the tag data_digest says; retrain anew",
    )
    return manifest


def _prove_faces(tags: dict[str, str]) -> None:
    path = folder_at(tags["faces"])
    _require(
        read_manifest(path).content == tags["data_digest"],
        f"the faces in {path} are no longer those that the model was trained on; retrain on what is there now",
    )
    differing = damaged_files(path)
    _require(not differing, f"{path}: {', '.join(differing[:3])} missing or damaged; run `prepare --repair`")


def _prove_folder(registry: Registry, version: int, tags: dict[str, str], part: str, evaluation: Manifest) -> Manifest:
    path = registry.model_file(version, tags[part])
    manifest = read_manifest(path)
    _require(
        tags[part].endswith(f"-{manifest.origin}")
        and manifest.content == evaluation.inputs[part]
        and manifest.inputs["faces"] == tags["data_digest"],
        f"the {part} in MLflow is not the one that was evaluated; retrain anew",
    )
    differing = damaged_files(path)
    _require(not differing, f"the {part} in MLflow: {', '.join(differing)} missing or damaged; retrain anew")
    return manifest


def _prove_code(registry: Registry, version: int, tags: dict[str, str], made: dict[str, Manifest]) -> None:
    package, model_code = (registry.model_part(version, name) for name in LOGGED_CODE)
    is_as_logged = logged_code_digest(package, model_code) == tags["code_digest"]
    _require(is_as_logged, "the code in MLflow is not what was logged with the model; retrain anew")
    pins = registry.model_part(version, "requirements.txt").read_text().split()
    version_of = dict(pin.split("==") for pin in pins if pin.count("==") == 1).get
    described = json.loads(registry.model_file(version, f"{tags['run']}/{DESCRIPTION}").read_text())
    known = described["method"] in methods.REGISTRY and described["backbone"] in backbones.REGISTRY
    _require(known, f"this project no longer has {described['method']} with {described['backbone']}; retrain anew")
    chosen = code_of(described["method"], described["backbone"])
    for part, modules in {"run": RUN_CODE, "level": LEVEL_CODE, "evaluation": EVALUATION_CODE}.items():
        _require(
            code_digest_of(package, (*modules, *chosen), version_of) == made[part].code,
            f"the {part} was made by other code or libraries than those logged with the model; retrain anew",
        )
