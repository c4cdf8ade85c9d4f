"""What is said when somebody has been forgotten."""

from typing import Any

from fer_core.consent.forgetting import told
from tasks.forgetting import Forgotten


def described(made: Forgotten, dry_run: bool) -> dict[str, Any]:
    """Who was taken out of a home, from what, and which models had learnt from them, for programs."""
    plan, rewritten = made.plan, [entry.name for entry in made.plan.rewritten]
    return {
        "dry_run": dry_run,
        "forgotten": [told(person) for person in plan.people],
        "rows_removed": {kind: count for kind, count in plan.rows.items() if count},
        "directories_rewritten": [{"from": name, "to": made.renamed.get(name)} for name in rewritten],
        "directories_removed": [entry.name for entry in plan.removed if entry.name not in rewritten],
        "models_to_retrain": made.models,
        "models_not_known": made.unsure,
        "runs_naming_them": list(plan.naming),
        "versions_with_rows": made.holders,
        "copies_elsewhere": [entry.path.name for entry in plan.removed if entry.folder == "streams"],
    }


def lines(values: dict[str, Any]) -> list[str]:
    """What a person sees of that, a line each."""
    done = "would be " if values["dry_run"] else ""
    rows = ", ".join(f"{count} of {kind}" for kind, count in values["rows_removed"].items()) or "none"
    made = [f"{done}forgotten: {', '.join(values['forgotten'])}", f"rows {done}removed: {rows}"]
    rewritten = [f"{one['from']} -> {one['to'] or 'a new name'}" for one in values["directories_rewritten"]]
    for name, directories in (("rewritten", rewritten), ("removed", values["directories_removed"])):
        made += [f"directories {done}{name}: {len(directories) or 'none'}", *(f"  {one}" for one in directories)]
    made += [f"models to retrain: {len(values['models_to_retrain']) or 'none'}", *_told(values["models_to_retrain"])]
    if values["models_not_known"]:
        made += ["models of which it cannot be told any more whether they learnt from them:"]
        made += _told(values["models_not_known"])
    if values["runs_naming_them"]:
        made += ["runs that have them among their classes, by name; delete these once another has taken their place:"]
        made += [f"  runs/{name}" for name in values["runs_naming_them"]]
    if values["versions_with_rows"]:
        made += [f"MLflow's files of {', '.join(values['versions_with_rows'])} hold rows about them, or may: delete"]
        made += ["these versions and their runs once a new model has taken their place"]
    if values["copies_elsewhere"]:
        copies = ", ".join(values["copies_elsewhere"])
        made += [f"copies of these at --stream are not in the home, delete them there: {copies}"]
    return made


def _told(models: list[dict[str, Any]]) -> list[str]:
    """Each with its aliases and its run, and how it is trained again."""
    made: list[str] = []
    for model in models:
        aliases = f" ({', '.join(model['aliases'])})" if model["aliases"] else ""
        made += [f"  {model['version'] or 'not registered'}{aliases}: runs/{model['run']}"]
        made += [f"    {model['retrain']}"] if model["retrain"] else []
    return made
