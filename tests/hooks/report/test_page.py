"""The page as values make it: what it says, and that nothing in it is ever more than text."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.hooks.desk import fail, place, plan
from tests.hooks.report.desk import HOSTILE, RUN, Page, everything, page, pictures, view

from emasync.errors import ErrorKind
from emasync.hooks.interface import DatasetFacts, HookContext, HookReport
from emasync.hooks.report.cards import source_link
from emasync.hooks.report.described import DescribedAsset, Statement
from emasync.hooks.report.hook import MOST_PICTURE_BYTES, ReportHook, page_facts
from emasync.hooks.report.markup import LONGEST_TEXT, cut, inputs_of, shown
from emasync.hooks.report.page import MOST_CARDS, PageFacts, render
from emasync.hooks.report.pictures import Picture
from emasync.hooks.report.plots import throughput
from emasync.hooks.report.speed import ROWS, distinct, moment
from emasync.hooks.report.troubles import MOST_FAILURES, MOST_NOTES
from emasync.hooks.run_notes import write_hook, write_run
from emasync.ledger.store import SqliteLedger
from emasync.model.receipt import Failure, Verified
from emasync.model.run_record import Sample


def test_what_a_publisher_writes_is_text_wherever_it_stands() -> None:
    harmless, hostile = (page(everything(text), pictures(text)) for text in ("harmless", HOSTILE))

    assert hostile.tags == harmless.tags  # not one element more
    assert "script" not in hostile.tags
    assert [name for name, _ in hostile.attributes if name.startswith("on")] == []
    assert hostile.text.count("<script>alert(1)</script>") == harmless.text.count("harmless") >= 40
    assert "\u202e" not in hostile.text
    assert "\x00" not in hostile.text


def test_the_page_may_load_nothing_and_run_nothing() -> None:
    (policy,) = [value for value in page(everything("x")).all("content") if value.startswith("default-src")]
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'sha256-")
    assert "unsafe" not in policy


@pytest.mark.parametrize(
    ("location", "href"),
    [
        ("https://h.example/a%20b?c=d", "https://h.example/a%20b?c=d"),
        ("s3://bucket/a b", "https://bucket.s3.amazonaws.com/a%20b"),
        ("gs://bucket/x", "https://storage.googleapis.com/bucket/x"),
    ],
)
def test_a_source_is_a_link_where_a_browser_can_go_there(location: str, href: str) -> None:
    found = page(PageFacts(root="r", datasets=(view(facts=DatasetFacts(id="d", folder="d", location=location)),)))
    assert href in found.all("href")
    assert found.all("rel") == ["noreferrer noopener"]
    assert location in found.text


@pytest.mark.parametrize(
    "location", ["javascript:alert(1)", "data:text/html,x", "file:///etc/passwd", "empiar:11759", "https://[", ""]
)
def test_any_other_source_is_text(location: str) -> None:
    assert source_link(location) == location


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "data:text/html,x", "vbscript:x", " javascript:alert(1)", "//h/x"]
)
def test_what_metadata_call_a_page_is_a_link_to_the_web_or_text(url: str) -> None:
    asset = DescribedAsset(dataset="d", asset="d", fields={"source_url": Statement(url, "api")})
    found = page(PageFacts(root="r", datasets=(replace(view(), asset=asset),)))
    assert found.links == []
    assert url.strip() in found.text


def test_that_nobody_tells_the_licence_is_told() -> None:
    assert "Licence unknown: nobody says" in page(PageFacts(root="r", datasets=(view(),))).text


def test_dois_are_links() -> None:
    asset = DescribedAsset(
        dataset="d", asset="d", fields={"doi_data": Statement("10.6019/EMPIAR-11759; 10.1/x", "api")}
    )
    odd = DescribedAsset(dataset="d", asset="d", fields={"doi_data": Statement("10.6019/a b", "api")})
    found = page(PageFacts(root="r", datasets=(replace(view(), asset=asset), replace(view(), asset=odd))))
    assert found.links == []
    good = replace(asset, fields={"doi_data": Statement("10.6019/EMPIAR-11759; 10.1101/2023.05.22", "api")})
    found = page(PageFacts(root="r", datasets=(replace(view(), asset=good),)))
    assert found.links == ["https://doi.org/10.6019/EMPIAR-11759", "https://doi.org/10.1101/2023.05.22"]


def test_a_query_that_grants_access_is_left_out() -> None:
    shown_text = source_link("https://h.example/a?X-Amz-Signature=abc")
    assert isinstance(shown_text, str)
    assert "abc" not in shown_text


def test_a_card_says_what_is_here_and_how_it_was_checked() -> None:
    facts = DatasetFacts(id="d", folder="d", metadata={"license": "CC-BY-4.0", "citation": "Doe 2020"})
    verified = Verified(published=1, computed=2, size_only=3)
    missing = ("a", "b")
    found = page(
        PageFacts(
            root="r",
            datasets=(view(facts=facts, objects=6, verified=verified, absent=5, missing=missing, unwanted=4),),
        )
    )
    for text in (
        "\u2713 complete",
        "6 objects, 30.0 kB",
        "1 against published digests, 2 with a checksum of our own, 3 by size",
        "Left out by the publisher 5",
        "Missing and accepted 2",
        "Not wanted any more 4",
        "Licence CC-BY-4.0",
        "Cite as Doe 2020",
    ):
        assert text in found.text


def test_the_beginning_sums_up() -> None:
    found = page(PageFacts(root="r", datasets=(view("a"), view("b", status="partial"), view("c", status="partial"))))
    assert "3 datasets (1 complete, 2 partial), 9 objects, 90.0 kB" in found.text


def test_a_transfer_is_told_with_its_hosts() -> None:
    found = page(PageFacts(root="r", runs=(RUN,), charts=True))
    assert "Throughput of the run of 2026-11-21 12:00:00 UTC: 2.5 MB/s on average over 20.0 s." in found.text
    assert "https://h.example 120 3 2 0 B 7 of 16" in found.text
    (chart,) = [value for value in found.all("src") if value.startswith("data:image/svg+xml;base64,")]
    assert len(chart) < 40_000
    assert "img" in found.tags
    assert all(found.all("alt"))


@pytest.mark.parametrize(("step_s", "told"), [(0.5, "seconds"), (30, "minutes"), (1_200, "hours"), (86_400, "days")])
def test_a_chart_counts_time_as_people_do(step_s: float, told: str) -> None:
    samples = tuple(Sample(at * step_s, at, at) for at in range(1, 11))
    assert f"{told} since the run began".encode() in throughput(distinct(samples))


def test_a_short_run_is_told_in_a_sentence() -> None:
    found = page(PageFacts(root="r", runs=(replace(RUN, samples=RUN.samples[:3]),), charts=True))
    assert "2.5 MB/s on average" in found.text
    assert "img" not in found.tags


def test_a_run_that_a_chart_would_make_longer_has_a_table() -> None:
    found = page(PageFacts(root="r", runs=(replace(RUN, wall_s=4.9),), charts=True))
    assert "img" not in found.tags
    assert "0.0 s 2.0 s 5.0 MB 2.5 MB/s 12" in found.text


def test_the_run_that_is_told_is_the_last_that_received_something() -> None:
    idle = replace(RUN, started="later", bytes_fetched=0, samples=(), hosts=())
    found = page(PageFacts(root="r", runs=(idle, RUN), charts=False))
    assert f"Throughput of the run of {moment(RUN.started)}" in found.text
    assert found.text.index("later") < found.text.rindex(moment(RUN.started))  # and both are listed


def test_without_the_extra_there_are_tables_and_a_hint() -> None:
    found = page(PageFacts(root="r", runs=(RUN,), charts=False))
    assert "img" not in found.tags
    assert "0.0 s 2.0 s 5.0 MB 2.5 MB/s 12" in found.text
    assert "pip install 'emasync[report]'" in found.text


def test_the_table_covers_the_whole_run_in_few_rows() -> None:
    samples = tuple(Sample(float(at), at * at, at) for at in range(1, 600))
    found = page(PageFacts(root="r", runs=(replace(RUN, samples=samples, hosts=()),)))
    rows = found.tags.count("tr") - 1
    assert rows <= ROWS
    assert found.text.count("599.0 s") == 1


def test_samples_of_one_moment_are_one() -> None:
    samples = (Sample(1, 5, 7), Sample(1, 6, 8), Sample(2, 9, 9))
    assert distinct(samples) == (Sample(0, 0, 0), Sample(1, 6, 8), Sample(2, 9, 9))
    assert distinct((Sample(0, 3, 1),)) == (Sample(0, 3, 1),)


def test_failures_are_named_up_to_a_limit() -> None:
    failure = Failure(location="s3://b/x", kind=ErrorKind.NOT_FOUND, message="not there", attempts=2)
    many = view("d", failures=(failure,) * MOST_FAILURES, failed=MOST_FAILURES + 700)
    found = page(PageFacts(root="r", datasets=(many, view("e", failures=(failure,), failed=1))))
    assert found.tags.count("tr") == MOST_FAILURES + 1
    assert "and 701 more" in found.text
    assert "d not_found not there s3://b/x 2" in found.text


def test_notes_and_cards_are_bounded() -> None:
    notes = tuple(f"note {number}" for number in range(MOST_NOTES + 5))
    run = replace(RUN, warnings=("careful",), more_warnings=3)
    views = tuple(view(f"d{number}") for number in range(MOST_CARDS + 2))
    found = page(PageFacts(root="r", datasets=views, runs=(run,), notes={"index": notes}))
    assert found.tags.count("article") == MOST_CARDS
    assert len([text for text in found.texts if text.startswith("note ")]) == MOST_NOTES
    for text in ("and 2 more datasets", "and 5 more", "and 3 more", "careful", "note 199"):
        assert text in found.text
    assert "note 200" not in found.text


def test_long_texts_are_cut() -> None:
    assert len(cut("x" * 5000)) == LONGEST_TEXT
    assert cut("x" * LONGEST_TEXT) == "x" * LONGEST_TEXT
    assert len(render(everything("x" * 1_000_000), "0" * 64)) < 300_000


def test_the_largest_page_is_one_that_a_browser_opens() -> None:
    """As much as the hook hands over, all of it of characters that HTML has to write in several."""
    text = "<&\u2603" * 3_000
    long, drawn = everything(text), pictures("large")["large"]
    noise = Picture(data=random.Random(7).randbytes(MOST_PICTURE_BYTES), alt=text, caption=text)
    failed = replace(long.datasets[0], receipt=replace(long.datasets[0].receipt, id="failed"))
    run = replace(long.runs[0], hosts=long.runs[0].hosts * 100, warnings=(text,) * 200)
    facts = replace(
        long,
        datasets=(view("large"), *(failed,) * 1_000, *long.datasets * 300),
        assets=long.assets * 600,
        runs=(run,) * 10,
        notes={f"hook {number}": (text,) * 1_000 for number in range(10)},
    )
    written = render(facts, "0" * 64, {"large": (replace(drawn[0], planes=(noise,)),)})
    assert MOST_PICTURE_BYTES < len(written) < 20_000_000
    found = Page(written)
    assert {"failed", "large"} <= set(found.text.split())
    for section in ("Datasets", "Transfer", "Metadata", "Failures", "Notes", "more datasets: see receipt.json"):
        assert section in found.text


def test_numbers_have_separators_and_nothing_is_invisible() -> None:
    assert shown(1_234_567) == "1,234,567"
    assert shown("a\u202eb\x00c\ud800\u2066d\te") == "a\ufffdb\ufffdc\ufffd\ufffdd\te"


# --- of a root ----------------------------------------------------------------------------------------------------


def test_a_root_is_told_from_its_ledger(ledger: SqliteLedger, context: Callable[..., HookContext]) -> None:
    set_id = plan(ledger, "a", 4)
    place(ledger, set_id, 0, 1)
    fail(ledger, set_id, 2)
    write_run(context().state_dir, replace(RUN, unreachable={}))

    facts = page_facts(context(DatasetFacts(id="a", folder="a", metadata={"license": "MIT"})))

    (found,) = facts.datasets
    assert (found.receipt.status, found.receipt.objects, found.receipt.failed) == ("partial", 2, 1)
    assert found.facts is not None
    assert found.facts.metadata == {"license": "MIT"}
    assert facts.runs == (RUN,)


def test_a_lost_origin_is_a_failure_of_its_dataset(ledger: SqliteLedger, context: Callable[..., HookContext]) -> None:
    plan(ledger, "a", 1)
    lost = Failure(location="https://h", kind=ErrorKind.UNREACHABLE, message="nobody answers", attempts=1)
    write_run(context().state_dir, replace(RUN, unreachable={"a": lost}))

    (found,) = page_facts(context()).datasets

    assert found.receipt.failures == (lost,)


def test_what_the_ledger_does_not_know_is_told_from_the_receipt(
    ledger: SqliteLedger, context: Callable[..., HookContext]
) -> None:
    (context().root / "receipt.json").write_text(
        '{"datasets": [{"id": "old", "status": "complete", "objects": 5, "bytes": 50,'
        ' "verified": {"published": 5, "computed": 0, "size_only": 0}, "failures": []}]}'
    )
    (found,) = page_facts(context()).datasets
    assert (found.receipt.id, found.receipt.objects) == ("old", 5)

    place(ledger, plan(ledger, "old", 1), 0)
    (found,) = page_facts(context()).datasets
    assert found.receipt.objects == 1


def test_the_page_is_written_when_there_is_something_new_to_say(
    ledger: SqliteLedger, context: Callable[..., HookContext]
) -> None:
    where: Path = context().root / "report.html"
    set_id = plan(ledger, "a", 2)
    place(ledger, set_id, 0)

    assert ReportHook().run(context()).counts == {"written": 1, "datasets": 1, "arrays_shown": 0}
    first = where.read_bytes()
    assert ReportHook().run(context()).counts == {"written": 0}
    assert where.read_bytes() == first

    place(ledger, set_id, 1)
    assert ReportHook().run(context()).counts["written"] == 1
    assert inputs_of(where.read_bytes()) != inputs_of(first)

    write_hook(context().state_dir, "metadata", HookReport(notes=("one file was passed over",)))
    assert ReportHook().run(context()).counts["written"] == 1
    assert b"one file was passed over" in where.read_bytes()

    where.unlink()
    assert ReportHook().run(context()).counts["written"] == 1


def test_failures_of_many_datasets_are_not_all_remembered(
    ledger: SqliteLedger, context: Callable[..., HookContext]
) -> None:
    for dataset in ("a", "b", "c"):
        fail(ledger, plan(ledger, dataset, MOST_FAILURES - 1), *range(MOST_FAILURES - 1))
    found = [view.receipt for view in page_facts(context()).datasets]
    assert [len(receipt.failures) for receipt in found] == [MOST_FAILURES - 1, 1, 0]
    assert [receipt.failed for receipt in found] == [MOST_FAILURES - 1] * 3


def test_a_run_that_is_in_a_hurry_leaves_the_older_page(context: Callable[..., HookContext]) -> None:
    ReportHook().run(context())
    before = (context().root / "report.html").read_bytes()
    write_hook(context().state_dir, "metadata", HookReport(notes=("something new",)))
    assert ReportHook().run(replace(context(), hurry=lambda: True)).counts == {"written": 0}
    assert (context().root / "report.html").read_bytes() == before


def test_what_hooks_count_is_nothing_new(context: Callable[..., HookContext]) -> None:
    report = ReportHook().run(context())
    write_hook(context().state_dir, "report", report)
    write_hook(context().state_dir, "one that comes later", HookReport(counts={"rows": 3}))
    assert ReportHook().run(context()).counts == {"written": 0}
