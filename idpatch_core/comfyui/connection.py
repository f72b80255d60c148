"""HTTP requests and the websocket of one server, for callers that do not use asyncio."""

import asyncio
import json
import threading
from typing import Any

import aiohttp

from .errors import RequestRefused, Unreachable


class Connection:
    """A connection to one server; use each from one thread only."""

    def __init__(self, url: str, client_id: str, timeout: float):
        self.url = url.rstrip("/")
        self._client_id = client_id
        self._timeout = timeout  # seconds for a whole request
        # A thread for the loop, because the caller's may run one already, as a notebook's does.
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._session: aiohttp.ClientSession | None = None
        self._socket: aiohttp.ClientWebSocketResponse | None = None

    def close(self) -> None:
        if self._loop.is_closed():
            return
        if self._socket:
            self._wait_for(self._socket.close())
        if self._session:
            self._wait_for(self._session.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def request(
        self,
        method: str,
        path: str,
        accept: tuple[int, ...] = (200,),
        more_seconds: float = 0.0,
        **options: Any,
    ) -> bytes:
        """Return the body of the answer.

        Raises RequestRefused at a status that is not in `accept`, and Unreachable without an answer
        in time; `more_seconds` lengthens that time.
        """
        timeout = aiohttp.ClientTimeout(total=self._timeout + more_seconds)
        return self._await(self._request(method, path, accept, timeout=timeout, **options))

    def json(self, method: str, path: str, **options: Any) -> Any:
        try:
            return json.loads(self.request(method, path, **options))
        except ValueError:
            raise Unreachable(f"{self.url} is not a ComfyUI: its {path} is not JSON.") from None

    def open_socket(self) -> None:
        """Open the websocket unless it is open."""
        if self._socket is None or self._socket.closed:
            self._socket = self._await(self._open_socket())

    def receive(self, seconds: float) -> dict[str, Any] | bytes | None:
        """Return the next message of the websocket, or None if none came within these seconds.

        Raises Unreachable if the server closed the websocket.
        """
        self.open_socket()
        assert self._socket
        try:
            message = self._wait_for(self._socket.receive(max(seconds, 0.001)))
        except asyncio.TimeoutError:
            return None
        if message.type == aiohttp.WSMsgType.TEXT:
            return json.loads(message.data)
        if message.type == aiohttp.WSMsgType.BINARY:
            return message.data
        self._socket = None
        raise Unreachable(f"The server at {self.url} closed the connection.")

    def _wait_for(self, coroutine: Any) -> Any:
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result()
        finally:
            future.cancel()  # if Ctrl-C ended the wait

    def _await(self, coroutine: Any) -> Any:
        try:
            return self._wait_for(coroutine)
        except (aiohttp.ClientError, OSError, asyncio.TimeoutError) as error:
            raise Unreachable(f"The server at {self.url} does not answer: {error!r}") from error

    async def _request(
        self, method: str, path: str, accept: tuple[int, ...], **options: Any
    ) -> bytes:
        if self._session is None:
            self._session = aiohttp.ClientSession()
        url = self.url + path
        async with self._session.request(method, url, **options) as response:
            body = await response.read()
            if response.status not in accept:
                reason = body.decode(errors="replace")[:500] or response.reason
                message = f"{method} {url}: {response.status} {reason}"
                raise RequestRefused(message, response.status)
            return body

    async def _open_socket(self) -> Any:  # its type depends on the version of aiohttp
        if self._session is None:
            self._session = aiohttp.ClientSession()
        # No heartbeat: a computing server may answer late. No size limit: previews can be large.
        url = f"{self.url}/ws?clientId={self._client_id}"
        return await self._session.ws_connect(url, max_msg_size=0)
