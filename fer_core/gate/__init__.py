"""The gate: is a candidate better than the champion on the same frozen test rows, and bearable in all else?"""

from fer_core.gate.classes import Compared as Compared
from fer_core.gate.classes import compare_classes as compare_classes
from fer_core.gate.classes import least_rows as least_rows
from fer_core.gate.classes import least_subjects as least_subjects
from fer_core.gate.decision import ClassCheck as ClassCheck
from fer_core.gate.decision import Cost as Cost
from fer_core.gate.decision import CostCheck as CostCheck
from fer_core.gate.decision import Decision as Decision
from fer_core.gate.decision import FloorCheck as FloorCheck
from fer_core.gate.judging import decide as decide
from fer_core.gate.judging import test_rows_digest as test_rows_digest
from fer_core.gate.writing import decision_page as decision_page
from fer_core.gate.writing import markdown_of as markdown_of
from fer_core.gate.writing import title_of as title_of
