"""What a person sees of a panel of judges: how far it is, how far they agree, and what to do with it."""

from typing import Any


def lines(values: dict[str, Any]) -> list[str]:
    """The lines, the agreement as table I of the landmark VAE."""
    said = [
        f"{values['complete']} of {values['questions']} questions have five answers; "
        f"{values['answers']} answers by {values['judges']} judges"
    ]
    if values["votes"] is None:
        return said
    width = max(len(split) for split in ("split", *values["agreement"]))
    said += ["", f"{'split':<{width}}  {'5:0':>6} {'4:1':>6} {'3:2':>6}"]
    for split, counts in values["agreement"].items():
        said.append(f"{split:<{width}}  " + " ".join(f"{count:>6}" for count in counts.values()))
    return [
        *said,
        "",
        f"votes  {values['votes']}",
        f"next   the prepare command that wrote the questions, with --tuples human --votes {values['votes']}",
    ]
