"""What the lineage command says: values for programs, lines for people."""

import json
from collections.abc import Sequence
from typing import Any

from flows.columns import columns
from infra.mlflow_versions import ModelVersion
from tasks.lineage import Traced, Traces


def of_version(traced: Traced) -> dict[str, Any]:
    """What a version is made of; what is not known is null."""
    version, ancestry = traced.version, traced.ancestry
    tags, config = version.tags, _json(version.tags.get("config"))
    left = [f"{name} is {condition}" for name, condition in traced.condition.items() if condition != "whole"]
    return {
        **_model(version),
        "mlflow_run": version.run_id,
        "title": tags.get("title"),
        "recorded": traced.recorded,
        "config": config,
        "git_commit": tags.get("git_commit"),
        "environment": _json(tags.get("environment")),
        "source": {"folder": (config or {}).get("source"), "fingerprint": ancestry.source},
        "decision": {name: tags.get(name) for name in ("verdict", "reason", "decided_against")},
        "made_of": [{**vars(origin), "condition": traced.condition[origin.name]} for origin in ancestry.origins],
        "parents": [{**vars(parent), "versions": traced.version_of[parent.digest]} for parent in ancestry.parents],
        "withdrawn": traced.withdrawn,
        "gone": sorted({*ancestry.gone, *left}),
    }


def of_pictures(traces: Traces) -> dict[str, Any]:
    """What was made of somebody's pictures, or of one."""
    return {
        "people": [person._asdict() for person in traces.people],
        "withdrawn": traces.withdrawn,
        "uses": [{**vars(use), "directory": str(use.directory)} for use in traces.uses],
        "models": [_model(version) for version in traces.models],
        "tested_by": [_model(version) for version in traces.tested],
    }


def _model(version: ModelVersion) -> dict[str, Any]:
    return {"model_name": version.name, "model_version": version.version, "aliases": list(version.aliases)}


def _json(text: str | None) -> dict[str, Any] | None:
    return None if text is None else json.loads(text)


def lines(values: dict[str, Any]) -> list[str]:
    """Either as a table."""
    return _of_version(values) if "made_of" in values else _of_pictures(values)


def _of_version(values: dict[str, Any]) -> list[str]:
    told = {
        "model": _title(values),
        "what": values["title"],
        "mlflow run": values["mlflow_run"],
        "git commit": values["git_commit"],
        "source": values["source"]["folder"],
        "fingerprint": values["source"]["fingerprint"],
        **_environment(values["environment"]),
        "verdict": values["decision"]["verdict"],
        "against": values["decision"]["decided_against"],
    }
    made_of = [
        (origin["name"], origin["content"], origin["code"], str(len(origin["files"])), origin["condition"])
        for origin in values["made_of"]
    ]
    parents = [
        (parent["how"], parent["digest"], parent["run"] or "not in this home", ", ".join(parent["versions"]) or "none")
        for parent in values["parents"]
    ]
    return [
        *(f"{name:<12} {'not known' if value is None else value}" for name, value in told.items()),
        *_table(("made of", "content", "code", "files", "now"), made_of),
        *(_table(("began from", "digest", "run", "versions"), parents) if parents else []),
        *([""] + values["gone"] if values["gone"] else []),
        *(["", f"{values['withdrawn']} of the people it learnt from have withdrawn"] if values["withdrawn"] else []),
        *([] if values["recorded"] else ["", "nothing was recorded when it was registered: this is what is found now"]),
    ]


def _environment(told: dict[str, Any] | None) -> dict[str, str | None]:
    known = told or {}
    packages = " ".join(f"{name} {version}" for name, version in known.get("packages", {}).items())
    return {"python": known.get("python"), "platform": known.get("platform"), "packages": packages or None}


def _of_pictures(values: dict[str, Any]) -> list[str]:
    who = ", ".join(f"{person['subject']} of {person['dataset']}" for person in values["people"])
    uses = [
        (use["kind"], use["role"], str(use["pictures"]), str(use["rows"]), use["directory"]) for use in values["uses"]
    ]
    return [
        *([who] if who else []),
        *(f"withdrew {at}" for at in values["withdrawn"]),
        *_table(("kind", "role", "pictures", "rows", "directory"), uses),
        "",
        f"models that learnt from them  {_titles(values['models'])}",
        f"models tested by them         {_titles(values['tested_by'])}",
    ]


def _titles(models: list[dict[str, Any]]) -> str:
    return ", ".join(map(_title, models)) or "none"


def _title(model: dict[str, Any]) -> str:
    aliases = f" ({', '.join(model['aliases'])})" if model["aliases"] else ""
    return f"{model['model_name']} version {model['model_version']}{aliases}"


def _table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    return ["", *columns([header, *rows], "<" * len(header))]
