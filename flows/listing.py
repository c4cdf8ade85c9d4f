"""What a person sees of a home: its directories, and what went."""

from typing import Any

from flows.columns import columns


def listing(values: dict[str, Any]) -> str:
    """The table of the directories, and what was done with them."""
    header = ("kind", "name", "MB", "age", "rows", "state", "used by")
    rows = [header, *(_row(directory) for directory in values["directories"])]
    lines = columns(rows, "<<>>><<")
    megabytes = sum(directory["bytes"] for directory in values["directories"]) / 1e6
    lines += ["", f"{len(rows) - 1} directories, {megabytes:.1f} MB"]
    if "removable" in values:
        lines += [f"would be removed: {len(values['removable'])}, {values['removable_bytes'] / 1e6:.1f} MB"]
        lines += [f"  {name}" for name in values["removable"]]
    if values.get("nothing_removed"):
        lines += ["removed: nothing; what nothing uses is younger than --older-than days, or wants --evaluations"]
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
