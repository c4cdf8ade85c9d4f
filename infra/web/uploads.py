"""The picture of a request: of bounded size, in bounded time, and in memory alone."""

import asyncio
from collections.abc import AsyncGenerator
from typing import NamedTuple

from fastapi import Request
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect


class Limits(NamedTuple):
    """What a request may take.

    Attributes:
        num_bytes: of a request's body.
        seconds: until all of it is here.
        waiting: pictures that may arrive, wait or be worked on.
    """

    num_bytes: int = 10_000_000
    seconds: float = 20.0
    waiting: int = 8


class RefusedError(Exception):
    """A request that is not answered: its HTTP status, and a sentence that says why."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


async def read_picture(request: Request, limits: Limits) -> bytes:
    """The picture that a request sends, as its body or as the one file of a form.

    Raises:
        RefusedError: it is too large or too slow, or there is not exactly one file.
    """
    try:
        async with asyncio.timeout(limits.seconds):
            body = await _read_body(request, limits.num_bytes)
    except ClientDisconnect:
        raise RefusedError(400, "the picture did not arrive whole") from None
    except TimeoutError:
        raise RefusedError(408, f"the picture did not arrive within {limits.seconds:g} seconds") from None
    if request.headers.get("content-type", "").startswith("multipart/form-data"):
        body = await _file_of(request, body, limits)
    if not body:
        raise RefusedError(400, "no picture was sent, or an empty file")
    return body


async def _read_body(request: Request, most: int) -> bytes:
    """All of it, or no more than is allowed: what a request says of its length is not asked."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            raise RefusedError(413, f"a picture may have at most {most / 1e6:g} MB")
    return bytes(body)


async def _file_of(request: Request, body: bytes, limits: Limits) -> bytes:
    async def whole() -> AsyncGenerator[bytes, None]:
        yield body

    parser = MultiPartParser(request.headers, whole(), max_files=1, max_fields=0)
    parser.spool_max_size = limits.num_bytes + 1  # or the file would be written to disk
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise RefusedError(400, f"send one picture in a form: {error.message}") from None
    try:
        return b"".join([await value.read() for value in form.values() if isinstance(value, UploadFile)])
    finally:
        await form.close()
