"""Snakemake's rules and DVC's stages are two descriptions of one graph: nothing may stand in one of them only."""

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from support.places import ROOT

from audiopg import storage
from audiopg.config import Config, params, profile
from audiopg.provenance import dvc_sync
from audiopg.provenance.stages import STAGES, reads
from audiopg.tasks.registry import TASKS

CODE = "results/code.json"
CARRIED = {".json", ".csv", ".md", ".png", ".svg"}  # what git shows; run cards and manifests are DVC's


@pytest.fixture(scope="module")
def stages(finished: Any) -> dict[str, Any]:
    """DVC's stages, resolved."""
    return finished.stages()


@pytest.fixture(scope="module")
def records(finished: Any) -> dict[str, Any]:
    """What Snakemake recorded of each output."""
    return finished.records()


@pytest.fixture(scope="module")
def config(finished: Any) -> Config:
    return params.load(finished.root / "params.yaml")


def owners(stages: dict[str, Any], path: str) -> list[str]:
    """Stages whose outs hold a file."""
    return [name for name, stage in stages.items() if any(Path(path).is_relative_to(out) for out in stage["outs"])]


def rule(stage: str) -> str:
    """The rule behind a stage: ``scratch`` is fine-tuning, too."""
    return stage.partition("@")[0].replace("scratch", "finetune")


def test_every_output_lies_in_one_stage_that_allows_its_rule(stages: dict[str, Any], records: dict[str, Any]) -> None:
    for output, record in records.items():
        assert [rule(stage) for stage in owners(stages, output)] == [record["rule"]], output
    for name, stage in stages.items():
        assert f"--allowed-rules {rule(name)} " in stage["cmd"]


def test_every_out_is_made(stages: dict[str, Any], records: dict[str, Any]) -> None:
    for stage in stages.values():
        for out in stage["outs"]:
            assert any(Path(output).is_relative_to(out) for output in records), out


def test_stage_depends_on_what_its_rules_read(stages: dict[str, Any], records: dict[str, Any]) -> None:
    for name, stage in stages.items():
        if name == "code":
            continue
        own = [record for output, record in records.items() if owners(stages, output) == [name]]
        read = {path for record in own for path in record["input"]}
        uncovered = {path for path in read if not any(Path(path).is_relative_to(dep) for dep in stage["deps"])}
        unused = {dep for dep in stage["deps"] if not any(Path(path).is_relative_to(dep) for path in read)}
        assert (uncovered, unused) == (set(), set()), name


def test_both_compare_the_parameters_that_the_stage_reads(
    stages: dict[str, Any], records: dict[str, Any], config: Config
) -> None:
    for output, record in records.items():
        if record["rule"] == "code":
            continue
        (name,) = owners(stages, output)
        slices = reads(config, rule(name), name.partition("@")[2])
        read = {repr(storage.canonical(item)) for item in slices.items()}
        assert {value for value in record["params"] if value.startswith("'[")} == read, output
        elsewhere = (".clip_s", ".train_share")  # in results/code.json
        followed = sorted(key for key in slices if not key.endswith(elsewhere))
        assert stages[name]["params"].get("params.yaml", []) == followed, name


def test_both_compare_the_code_of_the_stage(stages: dict[str, Any], records: dict[str, Any], finished: Any) -> None:
    digests = finished.root.joinpath(CODE).read_text()
    for output, record in records.items():
        if record["rule"] == "code":
            continue
        code = [value.strip("'") for value in record["params"] if re.fullmatch("'[0-9a-f]{64}'", value)]
        assert f'"{record["rule"]}": "{code[0]}"' in digests, output
        (name,) = owners(stages, output)
        more = {
            "fetch": ["recordings"],
            "prepare": ["recordings"],
            "decode": ["clip_s"],
            "probe": ["clip_s", "train_share"],
        }
        keys = [record["rule"], *(f"{key}.{name.partition('@')[2]}" for key in more.get(rule(name), []))]
        assert stages[name]["params"][CODE] == sorted(keys), name


def test_every_stage_has_a_rule_an_entry_module_and_a_slice_of_the_parameters(stages: dict[str, Any]) -> None:
    assert {rule(name) for name in stages} - {"code"} == set(STAGES) == set(STAGES)


def test_every_registered_task_has_its_stages_in_both(fresh: Any, tmp_path: Path) -> None:
    project = fresh.copy(tmp_path)
    others = [name for name in TASKS if name not in {"drums", "instruments"}]
    drums = "  drums: {clip_s: 0.32}"
    project.edit("params.yaml", drums, "\n".join([*(f"  {name}: {{clip_s: 0.32}}" for name in others), drums]))
    stages, outputs = project.stages(), project.pending()
    assert {name.partition("@")[2] for name in stages if "@" in name} == set(TASKS)
    for output in outputs:
        assert len(owners(stages, output)) == 1, output
    for name, stage in stages.items():
        for out in stage["outs"]:
            assert any(Path(output).is_relative_to(out) for output in outputs), f"{name}: {out}"


def test_profile_paper_is_the_four_benchmarks_with_all_their_folds(checkout: Any, tmp_path: Path) -> None:
    project = checkout.copy(tmp_path)
    (project.root / "params.yaml").write_text(profile.text("paper"))
    folds = Counter(tuple(Path(output).parts[2:4]) for output in project.pending() if output.endswith("/metrics.json"))
    sizes = {"esc50": 5, "urbansound8k": 10, "fsd50k": 1, "speech_commands": 1}
    expected = {(task, init): n for task, n in sizes.items() for init in ("pretrained", "scratch")}
    assert {place: n for place, n in folds.items() if place[-1] in {"pretrained", "scratch"}} == expected


def test_every_parameter_is_read_by_a_stage_and_checked_by_the_first(config: Config, stages: dict[str, Any]) -> None:
    read = {name.partition(".")[0] for stage in STAGES.values() for name in stage.reads}
    assert read == set(type(config).model_fields) - {"data"}  # wherever recordings come from, they are the same
    assert set(stages["code"]["params"]["params.yaml"]) == read
    assert all(CODE in stage["params"] for name, stage in stages.items() if name != "code")


def test_large_files_are_in_the_cache_and_numbers_in_git(stages: dict[str, Any]) -> None:
    for name, stage in stages.items():
        for out, cached in stage["outs"].items():
            run_card = out.endswith("run.json") and rule(name) != "table"
            begins = rule(name) in {"code", "fetch"}  # not in git, so that every new clone begins there
            git = Path(out).suffix in CARRIED and not out.endswith("/manifest.csv") and not run_card and not begins
            assert cached != git, out


def test_orphans_are_looked_for_wherever_dvc_takes_a_whole_folder(stages: dict[str, Any], finished: Any) -> None:
    paths = {path for stage in stages.values() for path in [*stage["outs"], *stage["deps"]]}
    folders = [path for path in paths if (finished.root / path).is_dir() and path.startswith("results")]
    assert folders
    assert all(any(Path(path).is_relative_to(folder) for folder in dvc_sync.FOLDERS) for path in folders)


def test_the_drawn_graph_is_snakemakes(checkout: Any) -> None:
    """What docs/workflow.md draws has every rule and no edge that is not there; the others follow from those drawn."""
    lines = checkout.run("snakemake", "--rulegraph", "mermaid-js", AUDIOPG_DVC_SYNC="off").splitlines()
    names = dict(re.findall(r"\t(id\d+)\[(\w+)\]", "\n".join(lines)))
    edges = {(names[a], names[b]) for a, b in re.findall(r"(id\d+) --> (id\d+)", "\n".join(lines))}
    edges = {(a, b) for a, b in edges if b != "all"}
    block = (ROOT / "docs" / "workflow.md").read_text(encoding="utf-8").partition("```mermaid")[2].partition("```")[0]
    drawn, rules = set(), set()
    for line in block.splitlines()[2:]:
        chain = [name.strip() for name in line.split("-->")]
        rules |= set(chain)
        drawn |= set(zip(chain, chain[1:], strict=False))
    assert rules - {""} == set(names.values()) - {"all"}
    assert drawn <= edges
    reached = set(drawn)
    while True:
        further = {(a, d) for a, b in reached for c, d in drawn if b == c} - reached
        if not further:
            break
        reached |= further
    assert edges <= reached
