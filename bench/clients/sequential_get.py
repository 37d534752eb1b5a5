"""How many archive clients fetch: a connection a file, one stream, MD5 on the way, temporary name, rename.

``python sequential_get.py URLS FOLDER``
"""

from __future__ import annotations

import hashlib
import http.client
import ssl
import sys
from pathlib import Path
from urllib.parse import urlsplit

CHUNK_BYTES = 1 << 20


def fetch(url: str, path: Path, tls: ssl.SSLContext) -> str:
    """Stream one object into one file; gives its MD5."""
    parts = urlsplit(url)
    connection = (
        http.client.HTTPSConnection(parts.netloc, context=tls)
        if parts.scheme == "https"
        else http.client.HTTPConnection(parts.netloc)
    )
    digest = hashlib.md5(usedforsecurity=False)
    partial = path.with_suffix(".part")
    try:
        connection.request("GET", parts.path, headers={"Connection": "close"})
        answer = connection.getresponse()
        if answer.status != http.client.OK:
            raise http.client.HTTPException(f"{url}: expected 200, got {answer.status}")
        with partial.open("wb") as out:
            while data := answer.read(CHUNK_BYTES):
                digest.update(data)
                out.write(data)
    finally:
        connection.close()
    partial.rename(path)
    return digest.hexdigest()


def main(urls: Path, folder: Path) -> None:
    """Fetch all, one after the other."""
    tls = ssl.create_default_context()
    for url in urls.read_text().split():
        fetch(url, folder / url.rpartition("/")[2], tls)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
