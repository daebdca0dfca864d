"""Whether a host is this machine or in a private network, as Label Studio's address rules see it."""

from __future__ import annotations

import ipaddress
import socket


def is_local(host: str) -> bool:
    """True when any address of the host is not a global one, or when it has none here (a container's name)."""
    try:
        found = socket.getaddrinfo(host, None)
    except OSError:
        return True
    return any(not ipaddress.ip_address(str(entry[4][0]).partition("%")[0]).is_global for entry in found)
