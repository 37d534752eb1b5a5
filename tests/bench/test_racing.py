from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from bench.cases import CASES, MIB
from bench.content import Dataset
from bench.contestants import EMASYNC, PATIENCE_S, Contestant, Job, Launch, aria2c, curl, emasync, missing_peers, s5cmd
from bench.measuring import Run
from bench.origins import Origin
from bench.racing import REPOSITORY, Arena, Race, anonymous, rotated, sits_out, standing
from bench.report import as_markdown, read, write
from bench.schedule import SWEEP, Options, line_up, programme
from bench.standings import RaceResult, Results, Where

from bench import racing


def contestant(name: str, kind: str = "best", family: str = "x") -> Contestant:
    return Contestant(name=name, family=family, kind=kind, launch=lambda job: Launch([], job.folder))  # type: ignore[arg-type]


def test_each_round_begins_with_another_one_and_all_run_in_each() -> None:
    three = [contestant(name) for name in "abc"]
    orders = ["".join(one.name for one in rotated(three, index)) for index in range(4)]
    assert orders == ["abc", "bca", "cab", "abc"]


def test_who_was_stopped_or_is_hopeless_sits_out(a_run: Callable[..., Run]) -> None:
    slow, fast, stuck = (contestant(name) for name in ("slow", "fast", "stuck"))
    fixed, ours = contestant("fixed", "fixed", EMASYNC), contestant("ours", "defaults", EMASYNC)
    runs = {
        "ours": [a_run(99.0)],
        "fast": [a_run(10.0)],
        "slow": [a_run(31.0)],
        "stuck": [a_run(20.0, timed_out=True, problem="not done")],
        "fixed": [a_run(40.0)],
    }
    race = Race(case=CASES["ebi"], contestants=(slow, fast, stuck, fixed, ours), rounds=3, time_limit_s=1)
    assert [one.name for one in race.contestants if sits_out(race, one, 1, runs)] == ["slow", "stuck"]
    assert [one.name for one in race.contestants if sits_out(race, one, 2, runs)] == ["slow", "stuck", "fixed"]
    plain = replace(race, case=CASES["small64k"])
    assert not sits_out(plain, slow, 1, runs)


def test_the_sync_counts_for_peers_on_disk_where_the_case_says_so(a_run: Callable[..., Run]) -> None:
    race = Race(case=CASES["small64k"], where="disk", contestants=(), rounds=1, time_limit_s=1)
    runs = [a_run(2.0, sync_s=1.0)]
    assert standing(race, contestant("curl"), "", runs).wall_s == 3.0
    assert standing(race, contestant("emasync", family=EMASYNC), "", runs).wall_s == 2.0
    assert standing(replace(race, case=CASES["jpeg"]), contestant("curl"), "", runs).wall_s == 2.0


def test_medians_need_all_runs_to_be_right(a_run: Callable[..., Run]) -> None:
    race = Race(case=CASES["jpeg"], contestants=(), rounds=1, time_limit_s=1)
    runs = [a_run(1.0), a_run(3.0), a_run(2.0)]
    assert standing(race, contestant("a"), "", runs).wall_s == 2.0
    assert standing(race, contestant("a"), "", [*runs, a_run(1.0, problem="a file is missing")]).wall_s is None


def test_command_lines_name_no_folder_of_this_machine(tmp_path: Path) -> None:
    names = {tmp_path: "RUN", Path("/ca.pem"): "AUTHORITY"}
    assert anonymous(f"aria2c --ca-certificate=/ca.pem -i {tmp_path}/urls.txt", names) == (
        "aria2c --ca-certificate=AUTHORITY -i RUN/urls.txt"
    )
    assert anonymous(f"{sys.executable} {REPOSITORY}/bench/null_run.py", {}) == "python bench/null_run.py"


def test_objects_that_do_not_fit_beside_their_copies_lie_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders: dict[Where, Path] = {"tmpfs": tmp_path / "shm", "disk": tmp_path / "disk"}
    files, pages = tmp_path / "files", tmp_path / "pages"
    for each in (*folders.values(), files, pages):
        each.mkdir()
    arena = Arena(Origin("", "", files, pages, tmp_path / "authority.pem"), folders)
    case = CASES["one4g"].scaled(1e-9)
    for budget_bytes, home in ((3 * MIB, files), (2 * MIB, folders["disk"])):
        monkeypatch.setattr(racing, "MEMORY_BUDGET_BYTES", budget_bytes)
        with arena.dataset(case) as made:
            assert made.folder.is_relative_to(home)
            assert (files / case.name / made.names[0]).stat().st_size == MIB
        assert not (files / case.name).exists()
        assert not made.folder.exists()


def job(dataset: Dataset, folder: Path) -> Job:
    run = folder / "run"
    run.mkdir()
    return Job(dataset, "http://127.0.0.1:1", run, folder / "authority.pem")


def test_our_defaults_are_the_defaults(dataset: Dataset, tmp_path: Path) -> None:
    launch = emasync().launch(job(dataset, tmp_path))
    assert "settings" not in (tmp_path / "run" / "manifest.yaml").read_text()
    assert launch.data == tmp_path / "run" / "root" / "d"


def test_a_fixed_setting_is_in_the_manifest(dataset: Dataset, tmp_path: Path) -> None:
    one = emasync("emasync n=8", {"max_connections": 8})
    one.launch(job(dataset, tmp_path))
    assert "max_connections: 8" in (tmp_path / "run" / "manifest.yaml").read_text()
    assert one.kind == "fixed"


def test_peers_are_given_patience_only_where_servers_hang(dataset: Dataset, tmp_path: Path) -> None:
    one = job(dataset, tmp_path)
    assert f"--timeout={PATIENCE_S}" in aria2c(8, 1, hangs=True).launch(one).command
    assert f"--timeout={PATIENCE_S}" not in aria2c().launch(one).command
    assert "--retry" in curl(8, hangs=True).launch(one).command
    assert "--retry" not in curl(8).launch(one).command


def test_lists_name_each_object_once(dataset: Dataset, tmp_path: Path) -> None:
    one = job(dataset, tmp_path)
    curl(4).launch(one)
    lines = (tmp_path / "run" / "curl.conf").read_text().splitlines()
    assert len(lines) == 2 * len(dataset.names)
    assert lines[0] == f'url = "http://127.0.0.1:1/bench/tiny/{dataset.names[0]}"'
    assert Path(one.url_list()).read_text().split() == dataset.urls("http://127.0.0.1:1")
    assert s5cmd(4).launch(one).command[-2] == "s3://bench/tiny/*"


@pytest.mark.parametrize("quick", [True, False])
def test_names_are_unique_and_we_run_once_at_our_defaults(quick: bool) -> None:
    for case in CASES.values():
        racers = line_up(case, quick=quick, where="tmpfs")
        assert max(Counter(one.name for one in racers).values()) == 1
        assert sum(one.family == EMASYNC and one.kind == "defaults" for one in racers) == 1


def test_the_sweep_is_held_at_both_shaped_servers() -> None:
    for case in ("objectstore", "ebi"):
        names = {one.name for one in line_up(CASES[case], quick=False, where="tmpfs")}
        assert names >= {f"emasync n={number}" for number in SWEEP[case]}


def test_the_full_programme_holds_each_case_on_both_connections_and_disks() -> None:
    races = [race for group in programme(Options()) for race in group]
    held = Counter(race.case.name for race in races)
    assert held == {"small64k": 4, "nacc2": 4, "jpeg": 4, "one4g": 4, "mixed": 4, "objectstore": 1, "ebi": 1}
    assert all(race.rounds >= 5 for race in races)


def test_the_programme_is_cut_to_what_is_asked_for() -> None:
    options = Options(cases=("one4g",), only=("emasync",), where=("disk",), tls=(True,), rounds=2, scale=0.01)
    [[race]] = programme(options)
    assert (race.tls, race.where, race.rounds) == (True, "disk", 2)
    assert [one.name for one in race.contestants] == ["emasync"]
    assert 40 * MIB < race.case.groups[0].size_bytes < 42 * MIB


def test_a_peer_that_is_not_there_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert missing_peers()["aria2c"] == "apt-get install aria2"
    chosen = Options().chosen([emasync(), aria2c()])
    assert [one.name for one in chosen] == ["emasync"]


def test_results_are_read_as_they_were_written(a_race: Callable[..., RaceResult], tmp_path: Path) -> None:
    race = a_race({("emasync", EMASYNC, "defaults"): 1.0, ("curl", "curl", "best"): None})
    results = Results(facts={"machine": {"cpu": "x"}}, races=[race], figures={"start_up_s": 0.3})
    write(results, tmp_path, "transfer")
    assert read(tmp_path, "transfer") == ([race], {"start_up_s": 0.3})
    assert read(tmp_path, "quick") == ([], {})


def test_a_race_that_is_held_again_takes_the_place_of_the_earlier_one(a_race: Callable[..., RaceResult]) -> None:
    first, other, second = a_race({("a", "a", "best"): 1.0}), a_race({}, tls=True), a_race({("a", "a", "best"): 2.0})
    results = Results(facts={})
    for race in (first, other, second):
        results.take(race)
    assert results.races == [other, second]


def test_tables_show_ratios_and_problems(a_race: Callable[..., RaceResult]) -> None:
    race = a_race({("emasync", EMASYNC, "defaults"): 1.0, ("curl", "curl", "best"): 2.0, ("x", "x", "best"): None})
    text = as_markdown(Results(facts={}, races=[race]))
    rows = [line for line in text.splitlines() if line.startswith(("| curl", "| x"))]
    assert "| 2.00 |" in rows[0]
    assert rows[1].endswith("| broke |")
