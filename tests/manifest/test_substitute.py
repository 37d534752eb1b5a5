from __future__ import annotations

import pytest

from emasync.errors import ManifestError
from emasync.manifest.document import compose
from emasync.manifest.load import manifest_from_object, parse_manifest
from emasync.manifest.problems import Fault
from emasync.manifest.substitute import MAX_FILLED_CHARACTERS, Substitution

SECRET = "hunter2-token"
ENTRY = "version: 1\ndatasets:\n- id: a\n  source: web\n  files:\n  - url: https://h/x?sig={sig}\n    size: {size}\n"


def filled(text: str, **environ: str) -> object:
    faults: list[Fault] = []
    node = Substitution(environ, faults).apply(compose(text, file="m"))
    assert not faults, faults
    return getattr(node, "substituted", None) or getattr(node, "text", None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${A}", "1"),
        ("x-${A}-${A}", "x-1-1"),
        ("${NO:-fall back}", "fall back"),
        ("${EMPTY:-default}", "default"),
        ("${A:-default}", "1"),
        ("x${NO:-}y", "xy"),
        ("'$$HOME'", "$HOME"),
        ("'$${A}'", "${A}"),
        ("'$A costs $5'", "$A costs $5"),
        ("'$$$${A}-${A}'", "$${A}-1"),
    ],
)
def test_variables(text: str, expected: str) -> None:
    assert filled(text, A="1", EMPTY="") == expected


def test_values_are_not_read_again() -> None:
    assert filled("x-${A}", A="${B}", B="no") == "x-${B}"


def test_keys_stay_as_they_are() -> None:
    with pytest.raises(ManifestError, match=r'm:1:1: \["\$\{A\}"\]: unknown key'):
        parse_manifest("${A}: 1\nversion: 1\ndatasets: [{id: a, source: idr, images: [1]}]", file="m", environ={})


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("${NOPE}", "m:6:10: datasets[0].files[0].url: variable NOPE is not set; set it, or write ${NOPE:-default}"),
        ("${1x}", "m:6:10: datasets[0].files[0].url: ${ starts a variable"),
        ("${A:-${B}}", "m:6:10: datasets[0].files[0].url: ${ starts a variable"),
    ],
)
def test_what_cannot_be_filled_is_told_once_with_its_position(value: str, message: str) -> None:
    with pytest.raises(ManifestError) as caught:
        parse_manifest(ENTRY.format(sig=value, size=1).replace("https://h/x?sig=", ""), file="m", environ={})
    (problem,) = caught.value.problems
    assert str(problem).startswith(message)


def test_a_plain_value_is_read_after_it_is_filled() -> None:
    manifest = parse_manifest(ENTRY.format(sig="${S}", size="${N}"), file="m", environ={"S": "x", "N": "12"})
    assert next(manifest.datasets[0].expanded()).size_bytes == 12  # type: ignore[attr-defined]  # a web entry


@pytest.mark.parametrize(
    "text",
    [
        "version: 1\ndatasets:\n- {id: a, source: web, files: [{url: 'ftp://u:${S}@h'}]}",
        "version: 1\ndatasets:\n- {id: '${S}/', source: web, files: [{url: 'https://h/x', size: '${S}'}]}",
        "version: 1\ndatasets:\n- {id: a, source: '${S}'}",
        "version: 1\ndatasets:\n- {id: a, source: bucket, url: 'https://u:${S}@h/x', region: '${S}!'}",
        "version: 1\ndatasets:\n- {id: a, source: bucket, url: 's3://bb', crop: {same_as: '${S}'}, format: '${S}'}",
        "version: 1\ndatasets:\n- {id: a, source: bucket, url: 's3://bb', include: ['[${S}']}",
        "version: 1\ndatasets:\n- {id: a, source: web, files: [{url: 'https://h/{${S}x}', z: '${S}..1'}]}",
        "version: 1\ndatasets:\n- {id: a, source: web, files: [{url: 'https://h/{xy}-${S}', md5: '${S}'}]}",
        "version: 1\ndatasets:\n- {id: a, source: web, files: [{url: 'https://h/x/${S}/../..', path: '../${S}'}]}",
        "version: 1\nroot: {a: '${S}'}\nlayout: '${S}'\nmirrors: {'s3://bb': '${S}'}\ndatasets: '${S}'",
        "version: '${S}'\nsettings: {max_bandwidth: '${S}', workers: '${S}', checksums: '${S}'}\ndatasets: []",
    ],
)
def test_values_show_in_no_message(text: str) -> None:
    with pytest.raises(ManifestError) as caught:
        parse_manifest(text, file="m", environ={"S": SECRET})
    assert SECRET not in str(caught.value)
    assert "the value is not shown" in str(caught.value)


def test_many_uses_of_a_long_variable_do_not_fill_the_memory() -> None:
    text = "[" + ", ".join(["'${A}'"] * 300) + "]"
    faults: list[Fault] = []
    Substitution({"A": "x" * (1 << 16)}, faults).apply(compose(text, file="m"))
    assert MAX_FILLED_CHARACTERS < 300 * (1 << 16)
    assert {fault.rule for fault in faults} == {"variables fill in more text than a manifest may hold"}


def test_objects_are_taken_as_they_are_unless_variables_are_given() -> None:
    data = {"version": 1, "datasets": [{"id": "a", "source": "bucket", "url": "s3://bucket/${A}"}]}
    assert manifest_from_object(data).datasets[0].url == "s3://bucket/${A}"  # type: ignore[attr-defined]  # bucket
    assert manifest_from_object(data, environ={"A": "b"}).datasets[0].url == "s3://bucket/b"  # type: ignore[attr-defined]  # bucket
