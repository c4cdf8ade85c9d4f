"""CelebA: Anno, Eval and Img with the aligned pictures; and those in the wild."""

from pathlib import Path

from layouts.drawing import write_picture

ATTRIBUTES = ("5_o_Clock_Shadow", "Male", "Mouth_Slightly_Open", "Smiling", "Young")
NUM_PICTURES = 12
NAMES = tuple(f"{number:06d}.jpg" for number in range(1, NUM_PICTURES + 1))
POINTS = "lefteye_x lefteye_y righteye_x righteye_y nose_x nose_y leftmouth_x leftmouth_y rightmouth_x rightmouth_y"


def write(folder: Path) -> Path:
    source = folder / "CelebA"
    for name in NAMES:
        write_picture(source / "Img" / "img_align_celeba" / name, (44, 54))
    smiles = "".join(f"{name} -1  1 -1 {' 1' if at % 2 else '-1'}  1 \n" for at, name in enumerate(NAMES))
    write_text(source / "Anno/list_attr_celeba.txt", f"{NUM_PICTURES}\n{' '.join(ATTRIBUTES)} \n{smiles}")
    people = "".join(f"{name} {2880 + at // 3}\n" for at, name in enumerate(NAMES))
    write_text(source / "Anno/identity_CelebA.txt", people)
    write_text(source / "Eval/list_eval_partition.txt", "".join(f"{name} {at // 4}\n" for at, name in enumerate(NAMES)))
    for kind, shift in (("_align", 0), ("", 100)):
        lines = "".join(
            f"{name}    {' '.join(str(at + shift + point) for point in range(10))}\n" for at, name in enumerate(NAMES)
        )
        write_text(source / f"Anno/list_landmarks{kind}_celeba.txt", f"{NUM_PICTURES}\n{POINTS} \n{lines}")
    boxes = "".join(f"{name}    95  71 226  313\n" for name in NAMES)
    write_text(source / "Anno/list_bbox_celeba.txt", f"{NUM_PICTURES}\nimage_id x_1 y_1 width height\n{boxes}")
    return source


def add_wild(source: Path) -> None:
    for name in NAMES:
        write_picture(source / "Img" / "img_celeba" / name, (90, 70))


def write_text(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
