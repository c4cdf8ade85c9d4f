import pytest

from fer_core.credentials import require_no_credentials
from fer_core.errors import InputError
from fer_core.options.stages import RetrainOptions


@pytest.mark.parametrize(
    "uri",
    [
        "s3://AKIA:sentinel@bucket/faces",
        "http://user:sentinel@server:5000",
        "http://:sentinel@server",
        "http://user:sen@tinel@server",
        "postgresql+psycopg2://user:sentinel@host/db",
        "s3://AKIA:sen/tinel@bucket/faces",
        "az://place/faces?sv=1&sig=sentinel",
        "s3://bucket/faces?region=a&secret_key=sentinel",
        "chained::http://user:sentinel@server",
    ],
)
def test_an_address_with_a_password_is_refused_and_not_repeated(uri):
    with pytest.raises(InputError, match=r"^--storage holds a password .*: set X$") as refused:
        require_no_credentials(uri, "--storage", "set X")
    assert "sentinel" not in str(refused.value)


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "folder/with:colon@sign",
        "/a/b",
        "s3://bucket/a:b@c",
        "http://server:5000/a@b",
        "sftp://user@host/faces",
        "http://server:5000/a?x=1&monkey=2",
        "http://[::1]:4200/api",
        "sqlite:////tmp/mlflow.db",
    ],
)
def test_other_addresses_are_let_through(uri):
    require_no_credentials(uri, "--storage", "set X")


@pytest.mark.parametrize("option", ["stream", "storage"])
def test_options_that_are_addresses_refuse_credentials(option):
    with pytest.raises(ValueError, match=f"--{option} holds a password") as refused:
        RetrainOptions(**{option: "s3://AKIA:sentinel@bucket/faces"})
    assert "AWS_ACCESS_KEY_ID" in str(refused.value)
