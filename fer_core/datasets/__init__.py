"""The data sets that can be ingested. Adding one: a file with an ADAPTER, a line here, a test."""

from fer_core.datasets import (
    affectnet,
    bp4d,
    bu3dfe,
    celeba,
    ck_plus,
    ferplus,
    image_folder,
    jaffe,
    kdef,
    lfw,
    mmi,
    multi_pie,
    raf_db,
    sfew,
    synthetic,
)
from fer_core.datasets.base import Adapter

REGISTRY: dict[str, Adapter] = {
    "ck_plus": ck_plus.ADAPTER,
    "ferplus": ferplus.ADAPTER,
    "affectnet": affectnet.ADAPTER,
    "jaffe": jaffe.ADAPTER,
    "bu3dfe": bu3dfe.ADAPTER,
    "bp4d": bp4d.ADAPTER,
    "mmi": mmi.ADAPTER,
    "sfew": sfew.ADAPTER,
    "raf_db": raf_db.ADAPTER,
    "kdef": kdef.ADAPTER,
    "multi_pie": multi_pie.ADAPTER,
    "lfw": lfw.ADAPTER,
    "celeba": celeba.ADAPTER,
    "image_folder": image_folder.ADAPTER,
    "synthetic": synthetic.ADAPTER,
}
