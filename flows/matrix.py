"""What a person sees of an experiment: its table and how it was run, or the cells of its dry run."""

import textwrap
from typing import Any

from fer_core.options.text import as_arguments, plain

WIDTH = 120


def planned(values: dict[str, Any]) -> list[str]:
    """The cells of a dry run, each with its options as one writes them for `evaluate`."""
    made: list[str] = []
    for cell in values["cells"]:
        name = f"{cell['row']}, {cell['column']}"
        if cell["missing"]:
            made.append(f"{name}: left empty, no --data {cell['missing']}=FOLDER")
            continue
        made.append(f"{name}: tested on {cell['tested']}" if cell["tested"] else name)
        made += _wrapped(as_arguments(cell["options"]))
    return made


def lines(values: dict[str, Any]) -> list[str]:
    """The table, whether the published orders hold, what is lacking, and how it was run."""
    held = [
        f"{one['column']}, {one['metric']}: {one['better']} over {one['worse']} {one['verdict']}"
        for one in values["orders"]
    ]
    missing = sorted({cell["missing"] for cell in values["cells"] if cell.get("missing")})
    made = [values["title"], "", *values["table"], "", "ours (95 % interval) [published]", *held]
    made += [f"left empty: no --data {name}=FOLDER" for name in missing]
    made += [f"failed: {one['row']}, {one['column']}: {one['error']}" for one in values["failed"]]
    made += ["the same command again tries what failed again"] if values["failed"] else []
    made += [f"not drawn: {one['figure']}, {one['reason']}" for one in values["undrawn"]]
    made += ["", *_how(values)]
    if values["training_seconds"] is not None:
        cost = "" if values["cost"] is None else f", cost {values['cost']:.2f}"
        made += ["", f"trained for {values['training_seconds'] / 60:.1f} minutes{cost}"]
    return [*made, "", f"report  {values['report']}"]


def _how(values: dict[str, Any]) -> list[str]:
    given = values["given"]["arguments"]
    made = [f"seeds: {plain(values['seeds'])}", *([f"given: {' '.join(given)}"] if given else [])]
    for one in values["settings"]:
        made += [f"{one['of']}:", *_wrapped([f"{name} {plain(value)}," for name, value in one["settings"].items()])]
    made += ["deviations from the paper:"] if values["deviations"] else []
    for deviation in values["deviations"]:
        made += textwrap.wrap(deviation, WIDTH, initial_indent="- ", subsequent_indent="  ")
    return made


def _wrapped(parts: list[str]) -> list[str]:
    """Lines of at most `WIDTH` letters, two in; a part is never cut."""
    made: list[str] = []
    for part in parts:
        if made and len(made[-1]) + 1 + len(part) <= WIDTH:
            made[-1] += f" {part}"
        else:
            made.append(f"  {part}")
    return [line.removesuffix(",") if line is made[-1] else line for line in made]
