"""API tokens of this machine, from the environment: by host, so that a token goes to its own host and nowhere else."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from emasync.errors import InputError

PREFIX: Final = "EMASYNC_TOKEN_"
"""``EMASYNC_TOKEN_<HOST>`` is the ``Authorization`` field for that host, whole (``token 1a2b``, ``Bearer 1a2b``); the
host is written in capitals, with an underscore for everything that is no letter or digit."""

KNOWN: Final[Mapping[str, str]] = {
    "DANDI_API_KEY": "api.dandiarchive.org",
    "DANDI_SANDBOX_API_KEY": "api.sandbox.dandiarchive.org",
    "EMBER_DANDI_API_KEY": "api-dandi.emberarchive.org",
    "EMBER_DANDI_SANDBOX_API_KEY": "api-dandi.sandbox.emberarchive.org",
    "LINC_API_KEY": "api.lincbrain.org",
    "LINC_STAGING_API_KEY": "staging-api.lincbrain.org",
    "DANDI_API_LOCAL_DOCKER_TESTS_API_KEY": "localhost",
}
"""Variables that other tools read too, and whose they are. Sent as ``token <KEY>`` (Django REST framework,
"TokenAuthentication"; names as in ``dandi/dandiapi.py``)."""

_SENDABLE = re.compile(r"[\x20-\x7e]{1,4096}")


def name_of(host: str) -> str:
    """Host as the name of a variable spells it."""
    return re.sub(r"[^A-Z0-9]", "_", host.upper())


def variable_for(host: str) -> str:
    """Name of the variable that a token for `host` is read from."""
    known = [name for name, whose in KNOWN.items() if whose == host.lower()]
    return known[0] if known else f"{PREFIX}{name_of(host)}"


def read_tokens(environ: Mapping[str, str]) -> Mapping[str, str]:
    """``Authorization`` fields by host, the host spelt as :func:`name_of` does.

    Raises
    ------
    InputError
        A value that cannot stand in a header field; the message names the variable, never the value.
    """
    found = {name_of(host): f"token {environ[name].strip()}" for name, host in KNOWN.items() if environ.get(name)}
    for name, value in environ.items():
        if name.startswith(PREFIX) and value.strip():
            found[name.removeprefix(PREFIX)] = value.strip()
    for host, field in found.items():
        if not _SENDABLE.fullmatch(field):
            raise InputError(
                f"the token for host {host} in the environment has characters that cannot be sent; set it anew"
            )
    return found
