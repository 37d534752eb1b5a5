"""BagIt 1.0 (RFC 8493): a dataset as a folder that any archive takes in and checks."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Final, Literal

from emasync.disk.faults import translate
from emasync.errors import InputError
from emasync.hooks.export_files import ExportFile

Payload = Literal["link", "copy", "none"]

_TAGS: Final = ("bagit.txt", "bag-info.txt", "manifest-sha256.txt", "fetch.txt")


class Bag:
    """A bag that is being written. Close it; not a bag before :meth:`finish`.

    One payload manifest, of SHA-256: each has to name every file (RFC 8493, section 2.1.3), and no other digest is
    published for all of them.

    Parameters
    ----------
    folder : Path
        Made here.
    root : Path
        What destinations are relative to.
    payload : {"link", "copy", "none"}
        Hard links; copies; or nothing where a URL has the bytes: ``fetch.txt`` says from where (section 2.2.3).
    """

    def __init__(self, folder: Path, root: Path, payload: Payload) -> None:
        self._folder = folder
        self._root = root
        self._payload = payload
        self._open = ExitStack()
        (folder / "data").mkdir(parents=True)
        self._manifest = self._tag("manifest-sha256.txt")
        self._fetch = self._tag("fetch.txt") if payload == "none" else None
        self._files = self._bytes = 0

    def __repr__(self) -> str:
        return f"<Bag {self._folder} {self._files} files>"

    def close(self) -> None:
        """Give descriptors back; may be called again."""
        self._open.close()

    def _tag(self, name: str) -> IO[str]:
        return self._open.enter_context((self._folder / name).open("x", encoding="utf-8", newline="\n"))

    def add(self, files: Iterable[ExportFile]) -> None:
        """Put files into the payload.

        Raises
        ------
        InputError
            They cannot be linked to where the bag is.
        MachineError
            Disk full, no permission.
        """
        for file in files:
            name = encoded(f"data/{file.path}")
            if self._fetch is not None and file.urls:
                self._fetch.write(f"{file.urls[0]} {file.size_bytes} {name}\n")
            else:
                self._bring(file)
            self._manifest.write(f"{file.digests['sha256']}  {name}\n")
            self._files += 1
            self._bytes += file.size_bytes

    def _bring(self, file: ExportFile) -> None:
        source, target = self._root / file.destination, self._folder / "data" / file.path
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            if self._payload == "copy":
                shutil.copyfile(source, target, follow_symlinks=False)
            else:
                os.link(source, target, follow_symlinks=False)
        except OSError as error:
            if error.errno in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP):
                raise InputError(
                    f"{target} cannot be a hard link to {source} ({error.strerror}): put the bag on the filesystem of"
                    " the root, or use --data copy"
                ) from error
            raise translate(error, "put into the bag", str(target)) from error

    def finish(self, info: Mapping[str, str]) -> None:
        """Write the tag files: from now on it is a bag.

        Parameters
        ----------
        info : mapping of str to str
            For ``bag-info.txt`` (section 2.2.2).
        """
        self._open.close()
        self._write("bagit.txt", "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n")
        oxum = {**info, "Payload-Oxum": f"{self._bytes}.{self._files}"}
        self._write("bag-info.txt", "".join(f"{name}: {value}\n" for name, value in oxum.items()))
        tags = [name for name in _TAGS if (self._folder / name).exists()]
        self._write("tagmanifest-sha256.txt", "".join(f"{_sha256(self._folder / name)}  {name}\n" for name in tags))

    def _write(self, name: str, text: str) -> None:
        (self._folder / name).write_text(text, encoding="utf-8", newline="\n")


def encoded(path: str) -> str:
    """Path as manifests and ``fetch.txt`` name it: line ends and per cent signs escaped (section 2.1.3), no more."""
    return path.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
