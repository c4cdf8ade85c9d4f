"""What a person sees of a dry run: the counts by class and pose, and what to look at before taking the data."""

from collections import Counter
from typing import Any

from flows.columns import columns

EXAMPLES = 3


def lines(values: dict[str, Any]) -> list[str]:
    """The table of an inspection, a line each."""
    return [
        *_by_class_and_pose(values["counts"]),
        "",
        *_set_aside(values["set_aside"], values["set_aside_examples"]),
        *_near_duplicates(values["near_duplicates"]),
    ]


def _by_class_and_pose(counts: list[dict[str, Any]]) -> list[str]:
    """A line an expression: pictures of each pose, all of them, and how many people they are of."""
    poses = sorted({cell["pose"] for cell in counts}, key=lambda pose: (pose is None, pose))
    names = sorted({cell["expression"] for cell in counts}, key=lambda name: (name is None, name))
    header = ["expression", *(_pose_name(pose) for pose in poses), "pictures", "people"]
    rows = [header]
    for name in names:
        cells = [cell for cell in counts if cell["expression"] == name]
        of_pose = Counter[Any]()
        for cell in cells:
            of_pose[cell["pose"]] += cell["rows"]
        people = {cell["subject"] for cell in cells} - {None}
        numbers = [*(of_pose[pose] for pose in poses), sum(of_pose.values())]
        rows.append([name or "unknown", *map(str, numbers), str(len(people) or "unknown")])
    return columns(rows, "<" + ">" * (len(header) - 1))


def _pose_name(pose: int | None) -> str:
    return "pose unknown" if pose is None else f"{pose:+d} deg" if pose else "frontal"


def _set_aside(reasons: dict[str, int], examples: dict[str, list[str]]) -> list[str]:
    made = [f"set aside: {sum(reasons.values())}"]
    for reason, count in reasons.items():
        made.append(f"  {count} {reason}, such as")
        made += [f"    {example}" for example in examples[reason]]
    return made


def _near_duplicates(found: dict[str, Any]) -> list[str]:
    overlaps, conflicts = found["overlaps"], found["conflicts"]
    made = ["near-duplicates across splits:" + ("" if overlaps else " none")]
    for one in overlaps:
        second, first = f"{one['num_second']} pictures of {one['second']}", f"{one['num_first']} of {one['first']}"
        made.append(f"  {second} show what {first} show, such as")
        made += [f"    {' = '.join(pair)}" for pair in one["examples"]]
    made.append(f"the same content under two labels: {len(conflicts) or 'none'}" + (", such as" if conflicts else ""))
    return made + [f"    {' = '.join(paths)}" for paths in conflicts[:EXAMPLES]]
