import importlib
import shutil
import sys

import pytest

from fer_core import code_digest as module
from fer_core.code_digest import code_digest, code_digest_of
from fer_core.errors import InputError

FILES = {
    "__init__.py": "",
    "stage.py": "from tinycode.maths import double\nfrom tinycode.things import REGISTRY\n\n\ndef run(x):\n"
    '    """Run it."""\n    import numpy as np\n\n    return double(np.asarray(x))\n',
    "maths.py": '"""Maths."""\n\nimport tinycode.constants as constants\n\n\ndef double(x):\n'
    "    return x * constants.TWO  # not a power\n",
    "constants.py": 'TWO = 2\n"""Documented."""\n',
    "unrelated.py": "def other():\n    return 1\n",
    "things/__init__.py": "from tinycode.things import first\n\nREGISTRY = {'first': first}\n",
    "things/first.py": "def make():\n    return 1\n",
}


@pytest.fixture
def package(tmp_path, monkeypatch):
    folder = tmp_path / "tinycode"
    for name, text in FILES.items():
        (folder / name).parent.mkdir(exist_ok=True, parents=True)
        (folder / name).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(module, "PACKAGE", "tinycode")
    monkeypatch.setattr(module, "REGISTRIES", ("tinycode.things",))
    yield folder
    for name in [name for name in sys.modules if name.split(".")[0] == "tinycode"]:
        del sys.modules[name]


def fresh(*modules: str) -> str:
    """The digest as another process would compute it."""
    importlib.invalidate_caches()
    return code_digest.__wrapped__(*modules)


def edit(file, old, new):
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("stage.py", "return double(", "return 1 + double("),
        ("maths.py", "x *", "x +"),
        ("constants.py", "TWO = 2", "TWO = 3"),  # two imports away
        ("stage.py", "def run(x)", "def run(x, y=1)"),
        ("maths.py", "def double", "def more():\n    return 1\n\n\ndef double"),
    ],
)
def test_an_edit_of_code_changes_the_digest(package, file, old, new):
    before = fresh("tinycode.stage")
    edit(package / file, old, new)
    assert fresh("tinycode.stage") != before


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("maths.py", "  # not a power", ""),
        ("maths.py", "x * constants.TWO", "(x\n            * constants.TWO)"),
        ("maths.py", '"""Maths."""\n', ""),
        ("stage.py", "Run it.", "Run it once."),
        ("constants.py", "Documented", "Documented better"),
        ("unrelated.py", "return 1", "return 2"),
        ("things/__init__.py", "first}", "first, 'second': None}"),
        ("things/first.py", "return 1", "return 2"),
    ],
)
def test_comments_formatting_docstrings_and_other_modules_do_not(package, file, old, new):
    before = fresh("tinycode.stage")
    edit(package / file, old, new)
    assert fresh("tinycode.stage") == before


def test_an_entry_of_a_registry_counts_when_it_is_named(package):
    before = fresh("tinycode.stage", "tinycode.things.first")
    assert before != fresh("tinycode.stage")
    edit(package / "things/first.py", "return 1", "return 2")
    assert fresh("tinycode.stage", "tinycode.things.first") != before


def test_the_version_of_an_imported_library_counts_and_of_others_not(package, monkeypatch):
    before, without_numpy = fresh("tinycode.stage"), fresh("tinycode.maths")
    monkeypatch.setattr(module.importlib.metadata, "version", lambda name: {"numpy": "0.0.1"}[name])
    assert fresh("tinycode.stage") != before
    assert fresh("tinycode.maths") == without_numpy


def test_the_order_of_the_modules_does_not_count(package):
    assert fresh("tinycode.stage", "tinycode.unrelated") == fresh("tinycode.unrelated", "tinycode.stage")


def test_a_copy_has_the_digest_of_the_original_where_its_libraries_were_the_same(package, tmp_path):
    copy = shutil.copytree(package, tmp_path / "kept")
    versions = {"numpy": importlib.metadata.version("numpy")}
    before = fresh("tinycode.stage")
    assert code_digest_of(copy, ("tinycode.stage",), versions.get) == before
    assert code_digest_of(copy, ("tinycode.stage",), {}.get) != before
    edit(package / "maths.py", "x *", "x +")
    assert code_digest_of(copy, ("tinycode.stage",), versions.get) == before
    with pytest.raises(InputError, match=r"kept has no module tinycode\.gone"):
        code_digest_of(copy, ("tinycode.gone",), versions.get)
    edit(copy / "maths.py", "def double", "def (")
    with pytest.raises(InputError, match=r"maths\.py is not Python"):
        code_digest_of(copy, ("tinycode.stage",), versions.get)


def test_a_stage_of_this_package_has_its_own_digest_and_it_is_stable():
    stages = ["fer_core.ingest.scanning", "fer_core.faces.crop", "fer_core.sampling.balanced"]
    digests = [code_digest(stage) for stage in stages]
    assert len(set(digests)) == len(stages)
    assert [fresh(stage) for stage in stages] == digests
    assert all(len(digest) == 16 and int(digest, 16) >= 0 for digest in digests)


def test_every_library_has_an_installed_version():
    for distribution in module.LIBRARIES.values():
        assert importlib.metadata.version(distribution)
