"""Which published rows stand beside a run; the numbers are those of the papers' tables in fer_core/experiments."""

import pytest
from layouts import kdef, sfew

from fer_core.assessment import published
from fer_core.assessment.published import published_for
from fer_core.experiments.spec import read_experiment
from fer_core.folds import Part
from fer_core.options.stages import EvaluateOptions

HOLD_OUT = Part()


def rows(options, part=HOLD_OUT, tested=None):
    found = published_for(EvaluateOptions(**options), part, tested)
    return {row.source: dict(row.values) for row in found.rows}


@pytest.mark.parametrize(
    ("own", "label", "share"),
    [
        ({}, "Mul-DML on CK+ (mul_dml/table3, mul_dml/table4, mul_dml/table5, mul_dml/table7)", 0.9849),
        ({"variant": "hist"}, "HIST loss on CK+ (mul_dml/table5)", 0.9748),
        ({"variant": "mul_dml_same"}, "Mul-DML-Same on CK+ (mul_dml/table4)", 0.9667),
        ({"variant": "s_dual_triplet", "single_threshold": 0.75}, "threshold 0.75 on CK+ (mul_dml/table2)", 0.9403),
    ],
)
def test_a_variant_gets_its_own_row(tiny_ck_plus, own, label, share):
    found = rows({"dataset": "ck_plus", "source": tiny_ck_plus, "folds": 10, "mul_dml": own}, Part(0, 10))
    assert list(found) == [label]
    assert found[label] == pytest.approx({"accuracy": share})


def test_options_that_a_variant_does_not_look_at_make_no_difference(tmp_path):
    source = sfew.write(tmp_path)
    found = rows({"dataset": "sfew", "source": source, "mul_dml": {"single_threshold": 0.25}})
    assert all("Mul-DML on SFEW" in label or "256 a slice" in label for label in found)
    assert list(found.values()) == [pytest.approx({"accuracy": 0.6009})] * 2
    assert rows({"dataset": "sfew", "source": source, "mul_dml": {"dropout": 0.25}}) == {}


def test_another_protocol_gets_no_row(tiny_ck_plus, tiny_ferplus, tmp_path):
    ck_plus = {"dataset": "ck_plus", "source": tiny_ck_plus}
    assert rows(ck_plus) == {}  # the papers' are of ten folds
    assert rows(ck_plus, Part(0, 5)) == {}
    assert rows({**ck_plus, "backbone": "alexnet"}, Part(0, 10)) == {}
    ferplus = {"dataset": "ferplus", "source": tiny_ferplus, "method": "sgm"}
    assert rows({**ferplus, "per_class": 2}) == rows({**ferplus, "levels": 2}) == {}
    assert rows({"dataset": "synthetic", "method": "landmark_vae"}) == {}
    one_of_kdef = {"dataset": "kdef", "source": kdef.write(tmp_path), "method": "dml_net"}
    assert rows(one_of_kdef) == {}
    assert next(iter(rows(one_of_kdef, Part(test_people=14)).values())) == pytest.approx(
        {"accuracy": 0.882, "pose_accuracy": 0.999}
    )


def test_a_backbone_and_a_data_set_tested_on_get_their_own_rows(tiny_ferplus):
    ferplus = {"dataset": "ferplus", "source": tiny_ferplus, "method": "sgm"}
    found = rows({**ferplus, "backbone": "cvgg13"})
    shares = {"knn_accuracy": 0.86261, "knn_precision": 0.86321, "knn_recall": 0.67341, "knn_f1": 0.75659}
    assert found["SGM CVGG13 on FER+ (sgm/table2)"] == pytest.approx(shares)
    assert found["SGM CVGG13 on FER+ (sgm/table1)"] == pytest.approx({"nmi": 0.65139})
    assert rows(ferplus, tested="jaffe") == {"SGM ResNet18 on JAFFE (sgm/table1)": pytest.approx({"nmi": 0.30382})}
    assert rows(ferplus, tested="raf_db") == {}


def test_a_count_is_no_share_and_deviations_come_along(tmp_path):
    options = EvaluateOptions(dataset="kdef", source=kdef.write(tmp_path), method="dml_net")
    found = published_for(options, Part(test_people=14))
    assert all("images_per_second" not in row.values for row in found.rows)
    lines = (*read_experiment("dml_net/ablation").deviations, *read_experiment("dml_net/kdef").deviations)
    assert found.deviations == tuple(dict.fromkeys(lines))


def test_a_cell_that_lacks_what_the_user_names_is_passed_over(monkeypatch, tiny_ferplus):
    broken = read_experiment("sgm/table1").model_copy(update={"base": {"patch": 1000}})
    monkeypatch.setattr(published, "_experiments", lambda: {"broken": broken})
    assert rows({"dataset": "ferplus", "source": tiny_ferplus, "method": "sgm"}) == {}
