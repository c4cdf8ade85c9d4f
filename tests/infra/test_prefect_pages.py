"""The page of a flow run is named where a server shows one."""

import pytest
from prefect.settings import PREFECT_SERVER_UI_ENABLED, PREFECT_UI_URL, temporary_settings

from infra.prefect_engine import flow_run_page


def test_a_flow_run_has_a_page_where_its_server_has_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    with temporary_settings({PREFECT_UI_URL: "http://prefect:4200"}):
        assert flow_run_page() is None, "no flow is run"
        monkeypatch.setenv("PREFECT__FLOW_RUN_ID", "7")
        assert flow_run_page() == "http://prefect:4200/flow-runs/flow-run/7"
        with temporary_settings({PREFECT_SERVER_UI_ENABLED: False}):
            assert flow_run_page() is None, "the embedded server has none"


def test_without_a_server_there_is_no_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT__FLOW_RUN_ID", "7")
    assert flow_run_page() is None
