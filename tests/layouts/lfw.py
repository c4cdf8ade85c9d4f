"""LFW as it unpacks: a folder a person, with pairs.txt and the later expressions.csv inside."""

from pathlib import Path

from layouts.drawing import write_picture

PEOPLE = {"Aaron_Eckhart": 1, "AJ_Cook": 2, "Abel_Pacheco": 3, "Zurab_Tsereteli": 2}
"""Person -> number of pictures."""
PAIRS = (
    "2\t2",
    "AJ_Cook\t1\t2",
    "Abel_Pacheco\t1\t3",
    "Aaron_Eckhart\t1\tAJ_Cook\t2",
    "AJ_Cook\t1\tZurab_Tsereteli\t9",
    "Zurab_Tsereteli\t1\t2",
    "Zurab_Tsereteli\t2\t3",
    "Aaron_Eckhart\t1\tZurab_Tsereteli\t2",
    "Abel_Pacheco\t2\tAJ_Cook\t1",
)
LABELS = (
    "user.id,image,emotion",
    "628,facial-expressions_2868588k.jpg,anger",
    "dwdii,Aaron_Eckhart_0001.jpg,neutral",
    "302,AJ_Cook_0001.jpg,happiness",
    "jhamski,AJ_Cook_0001.jpg,HAPPINESS",
    "302,AJ_Cook_0002.jpg,surprise",
    "JN721,AJ_Cook_0002.jpg,SADNESS",
    "JN721,Abel_Pacheco_0001.jpg,DISGUST",
    "jhamski,Abel_Pacheco_0002.jpg,bored",
    "jhamski,../../Zurab_Tsereteli_0002.jpg,anger",
    '"jhamski"," Zurab_Tsereteli_0001.jpg ","Fear"',
)


def write(folder: Path, side: int = 32) -> Path:
    source = folder / "lfw"
    for person, count in PEOPLE.items():
        for number in range(1, count + 1):
            write_picture(source / person / f"{person}_{number:04d}.jpg", (side, side))
    (source / "pairs.txt").write_text("\n".join(PAIRS) + "\n")
    (source / "expressions.csv").write_text("\r\n".join(LABELS) + "\r\n", newline="")
    return source


def write_four_folds(source: Path) -> None:
    """Other pairs: four folds, of one person in the first two and of another in the last two."""
    lines = [f"{person}\t1\t2" for person in ("AJ_Cook", "Abel_Pacheco") for _ in range(4)]
    (source / "pairs.txt").write_text("\n".join(["4\t1", *lines]))
