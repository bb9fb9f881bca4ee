"""HTTP to servers on this machine, without certificates: httpx reads those of the whole world for
every call that is made without a client, which takes 27 ms of processor, a hundred times the call.
"""

from __future__ import annotations

from functools import partial

import httpx

client = partial(httpx.Client, verify=False)
get = partial(httpx.get, verify=False)
post = partial(httpx.post, verify=False)
request = partial(httpx.request, verify=False)
