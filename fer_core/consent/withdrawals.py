"""People who have withdrawn their consent: a list in the home, by which they are left out of every catalog.

The list holds no names: of each person a salted hash, which tells whether a name that is read from a source is theirs.
Whoever knows a data set's names can try them all, so the list is not anonymous; it only does not name anybody.
"""

import functools
import hashlib
import json
import secrets
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fer_core.errors import InputError
from fer_core.files import digest_of, write_bytes
from fer_core.locks import alone, lock_of

FILE = "withdrawals.jsonl"
WITHDRAWN = "withdrawn"
"""In the config of a catalog: digest_of_withdrawals of those that it leaves out; absent where there are none."""
WITHDREW = "subject withdrew"
"""The reason that their pictures are set aside with."""
WITHHELD = "withheld"
"""What stands for the source path of such a picture: paths name people."""


@dataclass(frozen=True)
class Withdrawal:
    """One person's.

    Attributes:
        dataset: whose name for the person is meant.
        salt: of the hash.
        digest: of the person's name.
        time: when, UTC.
        runs: names of the run directories of this home that had learnt from the person by then.
        unsure: names of those of which that cannot be told any more, or that began meanwhile.
        spared: names of those that had not learnt from the person, though they were trained on such face crops.
        faces: contents of the face crops that held the person by then.
    """

    dataset: str
    salt: str
    digest: str
    time: str
    runs: tuple[str, ...] = ()
    unsure: tuple[str, ...] = ()
    spared: tuple[str, ...] = ()
    faces: tuple[str, ...] = ()

    def is_of(self, dataset: str, subject: str | None) -> bool:
        """Whether it is this person's."""
        return dataset == self.dataset and subject is not None and _hashed(self.salt, dataset, subject) == self.digest


def withdrawal_of(dataset: str, subject: str) -> Withdrawal:
    """A person's withdrawal, now, by a new salt."""
    salt = secrets.token_hex(16)
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return Withdrawal(dataset, salt, _hashed(salt, dataset, subject), now)


@functools.lru_cache(maxsize=2**16)
def _hashed(salt: str, dataset: str, subject: str) -> str:
    return hashlib.sha256(f"{salt}\0{dataset}\0{subject}".encode()).hexdigest()


def read_withdrawals(home: Path, dataset: str | None = None) -> tuple[Withdrawal, ...]:
    """Those of a home, in the order they came, of one data set or of all.

    Raises:
        InputError: the list is damaged; nothing is read past it, as somebody might come back.
    """
    file = home / FILE
    made = []
    for number, line in enumerate(file.read_text().splitlines() if file.exists() else (), start=1):
        try:
            values: dict[str, Any] = json.loads(line)
            told: dict[str, Any] = {name: tuple(own) if isinstance(own, list) else own for name, own in values.items()}
            made.append(Withdrawal(**told))
        except (ValueError, TypeError, AttributeError):
            raise InputError(f"{file} line {number} is damaged; restore the file from a backup") from None
    return tuple(one for one in made if dataset in (None, one.dataset))


def add_withdrawals(home: Path, new: Sequence[Withdrawal]) -> None:
    """Put withdrawals at the end of a home's list, or in place of what it says of the same ones.

    All of them or, where this is cut off, none.
    """
    with alone(lock_of(home / FILE)):
        every = {one.digest: one for one in (*read_withdrawals(home), *new)}
        lines = [json.dumps(asdict(one), sort_keys=True) + "\n" for one in every.values()]
        write_bytes(home / FILE, "".join(lines).encode())


def digest_of_withdrawals(withdrawals: Sequence[Withdrawal]) -> str:
    """What tells a catalog that leaves these people out from others; their order does not count."""
    return digest_of(sorted(one.digest for one in withdrawals))
