"""Training without workers: what a command that was ended leaves is gone on from, and said."""

import pytest
import tiny
from ray_runs import plan_of

from fer_core.checkpoints import FolderStore
from fer_core.options.engine import EngineOptions
from fer_core.runs import PROGRESS, read_description
from infra import ray_engine
from infra.ray_engine import train_with_ray
from infra.run_events import RunEvents, append_row


class Ended(Exception):
    """What a kill is to the loop."""


def test_a_command_goes_on_where_the_one_before_it_ended(tmp_path, monkeypatch):
    faces = tiny.write_faces(
        tmp_path, tiny.write_catalog(tmp_path, "ck_plus", tiny.write_ck_plus(tmp_path)), 48, (0.0,)
    )
    plan, folder, said = plan_of(faces, epochs=1), tmp_path / "run", []
    folder.mkdir()

    class EndedStore(FolderStore):
        def save(self, state, metrics):
            super().save(state, metrics)
            append_row(folder / PROGRESS, {"step": state["step"], "steps": 99})
            raise Ended

    with monkeypatch.context() as patch:
        patch.setattr(ray_engine, "FolderStore", EndedStore)
        with pytest.raises(Ended):
            train_with_ray(plan, folder, EngineOptions(), None, print, said.append)
    train_with_ray(plan, folder, EngineOptions(), None, print, said.append)
    assert said == ["the command ended after step 4", "went on from step 4"]
    assert RunEvents(folder).restarts() == ["the command ended after step 4, went on from step 4"]
    train_with_ray(plan, folder, EngineOptions(), None, print, said.append)  # its progress rows are of a whole run
    assert "the command ended" not in "".join(said[2:])
    assert read_description(folder).history[-1]["step"] > 4
