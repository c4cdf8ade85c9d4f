"""What happened to a run is said in the state of its flow, and the flow's caller gets the run as ever."""

from pathlib import Path

import pytest
from prefect import flow
from prefect.client.orchestration import get_client

from fer_core.options.stages import TrainOptions
from flows import stages
from infra.prefect_engine import flows_of, prefect_server
from infra.settings import engine_environment
from tasks.made import Made

WHY = ("worker 1 was killed, after step 40, went on from step 30", "the host was lost, went on from step 60")
pytestmark = [pytest.mark.integration, pytest.mark.filterwarnings("ignore::DeprecationWarning")]


@flow
def command(options: TrainOptions) -> list[Made]:
    """As the commands call the stage."""
    return [stages.train(options, made()) for _ in range(2)]


def made(*restarts: str) -> Made:
    return Made("train", Path("run"), "content", False, 1.0, {}, restarts=restarts)


def test_the_state_of_the_training_flow_says_it(tmp_path, monkeypatch):
    for name, value in engine_environment(tmp_path, verbose=False).items():
        monkeypatch.setenv(name, value)
    (tmp_path / "prefect").mkdir()
    runs = iter([made(*WHY), made()])
    monkeypatch.setattr(stages, "train_run", lambda options, faces, part: next(runs))
    with prefect_server(tmp_path, None) as server, flows_of(server):
        restarted, quiet = command(TrainOptions(home=tmp_path))
        with get_client(sync_client=True) as client:
            states = [run.state for run in client.read_flow_runs() if run.name and run.parent_task_run_id]
    assert (restarted.restarts, quiet.restarts) == (WHY, ())
    assert {state.type.value for state in states} == {"COMPLETED"}
    messages = {state.message for state in states}
    assert f"trained with 2 restarts: {'; '.join(WHY)}" in messages
    assert len(messages) == 2
