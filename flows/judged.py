"""What a person sees of a panel of judges: how far it is, how far they agree, and what to do with it."""

from typing import Any

from flows.columns import columns


def lines(values: dict[str, Any]) -> list[str]:
    """The lines, the agreement as table I of the landmark VAE."""
    said = [
        f"{values['complete']} of {values['questions']} questions have five answers; "
        f"{values['answers']} answers by {values['judges']} judges"
    ]
    if values["votes"] is None:
        return said
    rows = [[split, *map(str, counts.values())] for split, counts in values["agreement"].items()]
    return [
        *said,
        "",
        *columns([["split", "5:0", "4:1", "3:2"], *rows], "<>>>"),
        "",
        f"votes  {values['votes']}",
        f"next   the prepare command that wrote the questions, with --tuples human --votes {values['votes']}",
    ]
