"""Tuples of a faces directory as Parquet shards, one an epoch. Samples stand by their ids, whatever their angle."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from fer_core.datasets.folders import read_table
from fer_core.divided import read_divided
from fer_core.errors import InputError
from fer_core.files import write_table
from fer_core.folds import Part
from fer_core.tuples import agreement, build_five_tuples, human_triplets, label_triplets, used_fraction

FIVE = ("anchor", "pose_positive", "pose_negative", "identity_positive", "identity_negative")
TRIPLET = ("reference", "positive", "negative")
VOTES = ("reference", "a", "b", "votes_a", "votes_b")
"""The columns of a file of people's answers: three source paths, and how many of five found a, or b, more similar."""
_COLUMNS = ["expression", "intensity", "pose_bin", "rotation"]


@dataclass(frozen=True)
class Samples:
    """The upright training samples that tuples are made of, each once.

    Attributes:
        sample_id, expression, pose, identity: object arrays (N,); None where unknown.
        intensity: float64 (N,), NaN where unknown.
    """

    sample_id: np.ndarray
    expression: np.ndarray
    pose: np.ndarray
    identity: np.ndarray
    intensity: np.ndarray

    def known(self, *factors: str) -> "Samples":
        """Those of which all `factors` are known.

        Raises:
            InputError: no sample has one of them; the message says how to come by it.
        """
        for factor in factors:
            if all(value is None for value in getattr(self, factor).tolist()):
                raise InputError(f"no sample's {factor} is known, so no tuple can be made; {_WAY_OUT[factor]}")
        kept = np.array([all(getattr(self, factor)[at] is not None for factor in factors) for at in range(len(self))])
        return Samples(*(column[kept] for column in vars(self).values()))

    def __len__(self) -> int:
        return len(self.sample_id)


_WAY_OUT = {
    "expression": "the data set has to be labelled",
    "pose": "pictures with landmarks get an estimate: use --landmarks mtcnn",
    "identity": "use --identities estimated",
}


def read_samples(faces: Path, part: Part, seed: int) -> Samples:
    """The upright training samples of a faces directory, identities estimated where that was asked of `prepare`."""
    rows = read_divided(faces, part, seed, _COLUMNS)
    chosen = np.flatnonzero((rows.role == "train") & (rows.numbers("rotation", 0) == 0))
    expression, pose = (rows.objects(name)[chosen] for name in ("expression", "pose_bin"))
    intensity = rows.numbers("intensity", np.nan).astype(float)[chosen]
    return Samples(rows.sample_id[chosen].astype(object), expression, pose, rows.subject[chosen], intensity)


def write_five_tuples(folder: Path, samples: Samples, epoch: int, seed: int) -> dict[str, Any]:
    """Write the five-tuples of an epoch, by columns FIVE, and say how much they use.

    Returns:
        tuples, samples, and the used fraction of each expression.
    """
    known = samples.known("expression", "pose", "identity")
    tuples_T5 = build_five_tuples(known.expression, known.pose, known.identity, seed=_seed_of(seed, epoch))
    _write(folder, epoch, known, tuples_T5, FIVE)
    used = {name: round(share, 4) for name, share in used_fraction(tuples_T5, known.expression).items()}
    return {"tuples": len(tuples_T5), "samples": len(known), "used": used}


def write_triplets(folder: Path, samples: Samples, num_triplets: int | None, seed: int) -> dict[str, Any]:
    """Write similarity triplets by columns TRIPLET, and say how many."""
    known = samples.known("expression")
    intensity = None if np.isnan(known.intensity).all() else known.intensity
    triplets_T3 = label_triplets(known.expression, intensity, num_triplets or len(known), seed)
    _write(folder, 0, known, triplets_T3, TRIPLET)
    return {"tuples": len(triplets_T3), "samples": len(known)}


def write_human_triplets(folder: Path, faces: Path, votes: Path, part: Part, seed: int) -> dict[str, Any]:
    """Write the triplets that people's answers give, by columns TRIPLET, the vote difference as `weight`, and `split`.

    Args:
        votes: csv with a header and the columns VOTES.

    Returns:
        tuples; samples in them; agreement: split of the reference -> vote difference -> triplets (table I), the people
        that landmark_vae validates on apart; left_out: lines about pictures that no face crop was made of.

    Raises:
        InputError: a line is no three pictures and five answers, or all are left out.
    """
    rows = read_divided(faces, part, seed, ["source_path", "rotation"], validation=True)
    upright = np.flatnonzero(rows.numbers("rotation", 0) == 0)
    paths = rows.objects("source_path")[upright].tolist()
    place_of = dict(zip(paths, upright.tolist(), strict=True))
    answers, left_out = [], 0
    for number, line in read_table(votes, VOTES):
        if not (line.get("votes_a", "").isdecimal() and line.get("votes_b", "").isdecimal()):
            raise InputError(f"{votes} line {number}: votes_a and votes_b must be numbers of answers")
        places = [place_of.get(line[name]) for name in VOTES[:3]]
        if None in places:
            left_out += 1
        else:
            answers.append([*places, int(line["votes_a"]), int(line["votes_b"])])
    if not answers:
        raise InputError(f"{votes} says nothing of pictures that became face crops; {left_out} lines are of others")
    made = human_triplets(np.array(answers))
    ids = {name: pa.array(rows.sample_id[made.triplets_V3[:, at]].tolist()) for at, name in enumerate(TRIPLET)}
    known = {"weight": pa.array(made.weight_V), "split": pa.array(rows.role[made.triplets_V3[:, 0]].tolist())}
    write_table(folder / shard_name(0), pa.table(ids | known))
    return {
        "tuples": len(answers),
        "samples": len(np.unique(made.triplets_V3)),
        "agreement": agreement(made, rows.role.tolist()),
        "left_out": left_out,
    }


def shard_name(epoch: int) -> str:
    """The shard of an epoch's tuples."""
    return f"epoch-{epoch:05d}.parquet"


def _seed_of(seed: int, epoch: int) -> int:
    return int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0])


def _write(folder: Path, epoch: int, samples: Samples, tuples: np.ndarray, names: tuple[str, ...]) -> None:
    ids = samples.sample_id[tuples]
    columns = {name: pa.array(ids[:, at].tolist(), pa.string()) for at, name in enumerate(names)}
    write_table(folder / shard_name(epoch), pa.table(columns))
