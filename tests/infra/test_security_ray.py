"""A Ray cluster of ours is on loopback, demands its token and leaves no token behind; another's needs one."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import ray
from listening import listeners

from fer_core.errors import InputError
from infra.ray_cluster import cluster
from infra.ray_token import make_token, require_token

CONNECT = "import ray, sys; ray.init(address=sys.argv[1], log_to_driver=False); print('came in')"
VARIABLES = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("HOME", str(tmp_path))


def write_token(file: Path, mode: int) -> Path:
    file.parent.mkdir(exist_ok=True)
    file.write_text("0" * 64)
    file.chmod(mode)
    return file


def test_a_cluster_elsewhere_is_joined_with_tokens_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_AUTH_MODE")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "0" * 64)
    with pytest.raises(InputError, match="RAY_AUTH_MODE is unset"):  # Ray would not send it
        require_token()


def test_a_cluster_elsewhere_needs_a_token() -> None:
    with pytest.raises(InputError, match=r"no token of that cluster: .*/\.ray/auth_token: .*set RAY_AUTH_TOKEN"):
        require_token()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_token_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    file = write_token(tmp_path / ".ray" / "auth_token", mode)
    with pytest.raises(InputError, match=f"others can read the Ray token in {file}: run `chmod 600 {file}`"):
        require_token()


def test_a_token_of_ones_own_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_token(tmp_path / ".ray" / "auth_token", 0o600)
    require_token()
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(write_token(tmp_path / "elsewhere", 0o644)))
    with pytest.raises(InputError, match="elsewhere"):
        require_token()
    monkeypatch.setenv("RAY_AUTH_TOKEN", "0" * 64)  # Ray looks at this first
    require_token()


@pytest.mark.parametrize("look", [make_token, require_token])
def test_tokens_cannot_be_turned_off(monkeypatch: pytest.MonkeyPatch, look) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", "0" * 64)
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    with pytest.raises(InputError, match=r"RAY_AUTH_MODE is disabled: .*start with RAY_AUTH_MODE=token"):
        look()


def connect(address: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Another process of this machine that knows the address."""
    bare = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    bare["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # else Ray looks for a loopback address at the host's own
    command = [sys.executable, "-c", CONNECT, address]
    return subprocess.run(
        command, env={**bare, **environment}, capture_output=True, text=True, timeout=100, check=False
    )


@pytest.fixture
def crowded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A temporary folder in which a cluster that is gone, or a stranger, has left its address."""
    folder = Path(tempfile.mkdtemp(prefix="t", dir="/tmp"))
    (folder / "ray").mkdir()
    (folder / "ray" / "ray_current_cluster").write_text("192.0.2.77:6379")
    monkeypatch.setenv("RAY_TMPDIR", str(folder))
    yield folder
    subprocess.run(["rm", "-rf", str(folder)], check=True)


@pytest.mark.integration
@pytest.mark.timeout(300)
def test_our_own_cluster_is_on_loopback_and_demands_its_token(crowded: Path, tmp_path: Path) -> None:
    with cluster(None, 1):
        assert ray.get(ray.remote(lambda: os.getuid()).remote()) == os.getuid()
        seen = listeners(os.getpid())
        assert {"gcs_server", "raylet"} <= {Path(one.command.split()[0]).name for one in seen}
        assert [one for one in seen if not one.is_loopback] == []
        address, token = ray.get_runtime_context().gcs_address, os.environ["RAY_AUTH_TOKEN"]
        assert connect(address, RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=token).stdout.endswith("came in\n")
        (folder,) = crowded.glob("ray-*")
        assert folder.stat().st_mode & 0o077 == 0
        with_token = subprocess.run(["grep", "-rl", token, str(crowded), str(tmp_path)], capture_output=True, text=True)
        assert with_token.stdout == ""
        keys = ({}, {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "f" * 64}, {"RAY_AUTH_MODE": "disabled"})
        with ThreadPoolExecutor() as pool:  # each tries for 20 s
            for stranger in pool.map(lambda key: connect(address, **key), keys):
                assert stranger.returncode != 0, stranger
                assert "came in" not in stranger.stdout
    assert list(tmp_path.rglob("*token*")) == []
    assert (crowded / "ray" / "ray_current_cluster").read_text() == "192.0.2.77:6379"


@pytest.mark.integration
@pytest.mark.timeout(300)
def test_a_token_that_changes_is_taken_from_then_on(crowded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for token in ("5e" * 32, "e5" * 32):
        monkeypatch.setenv("RAY_AUTH_TOKEN", token)
        with cluster(None, 1):
            assert ray.get(ray.remote(lambda: os.environ["RAY_AUTH_TOKEN"]).remote()) == token
