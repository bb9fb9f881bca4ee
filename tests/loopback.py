"""Servers on this machine, and calls to them.

Calls are made without certificates: httpx reads those of the whole world for every call that is
made without a client, which takes 27 ms of processor, a hundred times the call.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import HTTPServer

import httpx

client = partial(httpx.Client, verify=False)
get = partial(httpx.get, verify=False)
post = partial(httpx.post, verify=False)
request = partial(httpx.request, verify=False)


@contextmanager
def serving(server: HTTPServer) -> Iterator[None]:
    """The server answers until the block ends, and waits for calls without looking up.

    `serve_forever` wakes up many times a second to see whether it shall end.
    """
    ended = threading.Event()

    def answer() -> None:
        while not ended.is_set():
            server.handle_request()

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        socket.create_connection(("127.0.0.1", server.server_port)).close()
        thread.join()
        server.server_close()
