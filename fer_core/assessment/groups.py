"""How well a model does by groups of people, where the data set's labels tell them: what shows a bias.

N test pictures, G groups, R resamples.
"""

from dataclasses import dataclass

import numpy as np

from fer_core import datasets
from fer_core.directories import read_columns
from fer_core.evaluation.bootstrap import Interval, SubjectBootstrap
from fer_core.reading import FaceTable
from fer_core.report import Table
from fer_core.report.measures import percent

GAP = "accuracy_gap"


@dataclass(frozen=True)
class GroupAccuracy:
    """The share of a group's test pictures whose expression is said right.

    Attributes:
        name: such as "women".
        num_people, num_pictures: of the group in the test part.
        accuracy: with its people resampled.
    """

    name: str
    num_people: int
    num_pictures: int
    accuracy: Interval


@dataclass(frozen=True)
class ByGroup:
    """The groups of a test part, by name, and how far the best is above the worst.

    `gap` is the difference of these two, chosen by their measured values, with its interval: one that holds 0 says that
    the difference may be chance. None where there are no two groups.
    """

    groups: list[GroupAccuracy]
    gap: Interval | None

    @property
    def metrics(self) -> dict[str, Interval]:
        """accuracy_of_GROUP and accuracy_gap; none where there are no two groups."""
        if self.gap is None:
            return {}
        named = {f"accuracy_of_{group.name.replace(' ', '_')}": group.accuracy for group in self.groups}
        return {**named, GAP: self.gap}


def groups_of(faces: FaceTable, rows: np.ndarray) -> np.ndarray:
    """The group (N,) of each row's person by the data set's own naming; empty where it tells none."""
    dataset = read_columns(faces.directory, "part-", ["dataset"])["dataset"][0].as_py()
    adapter = datasets.REGISTRY.get(dataset)
    return np.array(["" if adapter is None else adapter.group_of(name) or "" for name in faces.group[rows].tolist()])


def accuracy_by_group(
    right_N: np.ndarray, subject_N: np.ndarray, group_N: np.ndarray, seed: int, resamples: int
) -> ByGroup:
    """Accuracy of each group, and the gap between them.

    Args:
        right_N: bool, whether the expression of each picture is said right.
        subject_N: the person, who is resampled.
        group_N: as groups_of gives; pictures of no known group are left out.
    """
    known_N = group_N != ""
    right_N, subject_N, group_N = right_N[known_N], subject_N[known_N], group_N[known_N]
    names, code_N = np.unique(group_N, return_inverse=True)
    if not len(names):
        return ByGroup([], None)
    own_NG = code_N[:, None] == np.arange(len(names))
    bootstrap = SubjectBootstrap(subject_N, seed, resamples)
    right_RG, all_RG = (bootstrap.sums(count_NG) for count_NG in (own_NG * right_N[:, None], own_NG))
    value_G = own_NG[right_N].sum(axis=0) / own_NG.sum(axis=0)
    drawn_RG = np.divide(right_RG, all_RG, out=np.full_like(right_RG, np.nan), where=all_RG > 0)
    groups = [
        _group(str(names[group]), subject_N[own_NG[:, group]], value_G[group], drawn_RG[:, group], bootstrap)
        for group in range(len(names))
    ]
    return ByGroup(groups, _gap(groups, value_G, drawn_RG, bootstrap) if len(names) > 1 else None)


def _group(
    name: str, subjects: np.ndarray, value: float, drawn_R: np.ndarray, bootstrap: SubjectBootstrap
) -> GroupAccuracy:
    num_people = len(np.unique(subjects))
    drawn_R = drawn_R[~np.isnan(drawn_R)]
    interval = Interval(value, 0.0, 1.0) if num_people == 1 else bootstrap.interval(value, drawn_R)
    return GroupAccuracy(name, num_people, len(subjects), interval)


def _gap(
    groups: list[GroupAccuracy], value_G: np.ndarray, drawn_RG: np.ndarray, bootstrap: SubjectBootstrap
) -> Interval:
    best, worst = int(value_G.argmax()), int(value_G.argmin())
    value = float(value_G[best] - value_G[worst])
    if any(groups[group].num_people == 1 for group in (best, worst)):
        return Interval(value, -1.0, 1.0)
    drawn_R = drawn_RG[:, best] - drawn_RG[:, worst]
    return bootstrap.interval(value, drawn_R[~np.isnan(drawn_R)], lowest=-1.0)


def group_table(found: ByGroup) -> list[Table]:
    """The groups with their people and pictures, for the report; none where there are no two."""
    if found.gap is None:
        return []
    rows = [
        (
            group.name,
            [
                str(group.num_people),
                str(group.num_pictures),
                percent(group.accuracy.value),
                f"{100 * group.accuracy.low:.1f} to {100 * group.accuracy.high:.1f}",
            ],
        )
        for group in found.groups
    ]
    gap = [percent(found.gap.value), f"{100 * found.gap.low:.1f} to {100 * found.gap.high:.1f}"]
    columns = ["group", "people", "test images", "accuracy", "95 % interval"]
    return [Table("Accuracy by group of people", columns, [*rows, ("best less worst", ["", "", *gap])])]
