"""Label Studio's own addresses: what of a task's data it serves itself, and where the key may be sent."""

from __future__ import annotations

import base64
import re
from urllib.parse import quote

import httpx

_FILES = re.compile(r"/data/(upload|local-files)/|/storage-data/|/(tasks|projects)/\d+/(resolve|file-proxy)/")
_ITSELF = frozenset({"localhost", "127.0.0.1", "0.0.0.0", "::1"})  # noqa: S104  - names, nothing listens there
_PORTS = {"http": 80, "https": 443}


class LabelStudioPlace:
    """Where Label Studio is, as LABEL_STUDIO_URL says; it may be in a folder of its host."""

    def __init__(self, url: str) -> None:
        self._url = httpx.URL(url)
        self._folder = self._url.path.rstrip("/")

    def absolute(self, source: str) -> str:
        """A URL for what a browser on Label Studio's page would load.

        Label Studio writes its own idea of its address, often http://localhost:8080, which may be another machine
        here: its files are asked for where it really is.
        """
        if source.startswith("//"):
            return f"{self._url.scheme}:{source}"
        if not source.startswith("/"):
            url = httpx.URL(source)
            if url.host not in _ITSELF or not _FILES.match(url.path):
                return source
            source = url.raw_path.decode("ascii")
        inside = source if self._folder and source.startswith(f"{self._folder}/") else self._folder + source
        return str(self._url.join(inside))

    def storage(self, task_id: int, uri: str) -> str:
        """Where Label Studio resolves the address of a file in a bucket."""
        coded = base64.urlsafe_b64encode(uri.encode("utf-8", "surrogatepass")).decode()
        return self.absolute(f"/tasks/{task_id}/resolve/?fileuri={quote(coded)}")

    def is_own(self, url: httpx.URL) -> bool:
        """Whether it is the same scheme, host and port, without a user's name."""
        return _origin(url) == _origin(self._url) and not url.userinfo

    def keeps_files_at(self, url: httpx.URL) -> bool:
        """Whether it is one of the paths at which Label Studio serves files: the key is for those only."""
        path = url.path
        if self._folder and not path.startswith(f"{self._folder}/"):
            return False
        inside = path[len(self._folder) :]
        return bool(_FILES.match(inside)) and ".." not in inside.split("/")


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port or _PORTS.get(url.scheme)
