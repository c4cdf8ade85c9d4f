"""JAFFE as it unpacks: one folder of tiff files, a README, tables of ratings."""

from pathlib import Path

from layouts.drawing import write_picture

NAMES = (
    *("KA.AN1.39", "KA.DI1.42", "KA.FE1.45", "KA.HA1.29", "KA.NE1.26", "KA.SA1.33", "KA.SU1.36"),
    *("KM.AN1.17", "KM.DI1.20", "KM.DI3.22", "KM.FE1.23", "KM.HA4.7", "KM.NE1.1", "KM.SA5.13", "KM.SU1.14"),
    *("NA.NE1.199", "NA.FE3.219", "YM.HA1.52", "YM.FE4.70"),
)


def write(folder: Path) -> Path:
    source = folder / "jaffe"
    for name in NAMES:
        write_picture(source / f"{name}.tiff", (64, 64), grey=True)
    (source / "README").write_text("The Japanese Female Facial Expression (JAFFE) Database\r\n")
    (source / "a_names.dat").write_text("KA.AN1.39\r\n")
    (source / "JAFFE_ratings.txt").write_text(" # HAP SAD SUR ANG DIS FEA PIC\r\n 1 2.9 2.5 2.1 2.0 2.0 2.1 KM-NE1\r\n")
    return source


def add_odd(source: Path) -> None:
    for name in ("KA.AN1.39.jpg", "KM.XX1.8.tiff", "ZZ.NE1.300.tiff", "KM.DI2.tiff", "KA.NE1.26.tiff.png"):
        write_picture(source / name, (64, 64), grey=True)
