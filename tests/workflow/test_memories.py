"""What makes Snakemake and DVC repeat work, and what does not; what happens when they disagree."""

import json
from typing import Any

import pytest

TASK = "drums"
TASK_LINE = "drums: {clip_s: 0.32}"
TASK_CHANGED = "drums: {clip_s: 0.32, finetune: {drop_path: 0.2}}"
FOLDS = {f"finetune {TASK} {init}{fold}" for init in ("pretrained", "scratch") for fold in (1, 2)}
TABLE = {f"results/{name}" for name in ("table.csv", "table.md", "pretraining.png", "run.json")}
CONCERNED = sorted([*FOLDS, f"aggregate {TASK}", "table"])


def rules(project: Any, outputs: set[str]) -> set[str]:
    return {record["rule"] for output, record in project.records().items() if output in outputs}


def add_own_recordings(project: Any, n_folds: int) -> None:
    """Add a task `mine` of eight recordings before the others."""
    own = f"  mine: {{manifest: workflow/recordings/mine.csv, audio_root: sounds, protocol: {n_folds}-fold}}"
    rows = [f"{number}.wav,{'ab'[number % 2]}" for number in range(8)]
    (project.root / "workflow/recordings").mkdir()
    (project.root / "workflow/recordings/mine.csv").write_text("\n".join(["path,labels", *rows]) + "\n")
    project.edit("params.yaml", f"  {TASK_LINE}", f"  {TASK_LINE}\n{own}")


@pytest.mark.slow
def test_neither_tool_has_anything_to_do_after_a_run(project: Any) -> None:
    assert "Nothing to be done" in project.run("snakemake")
    assert "Data and pipelines are up to date" in project.run("dvc", "repro")
    assert project.stale() == set()
    assert project.calls() == []


def test_a_comment_concerns_the_stage_code_only(project: Any) -> None:
    project.append("audiopg/train/pretrain.py", "# a comment")
    project.append("workflow/rules/pretrain.smk", "# a comment")
    assert project.pending() == set()
    assert project.stale() == {"code"}


@pytest.mark.slow
def test_a_mirror_concerns_nothing(project: Any) -> None:
    project.edit("params.yaml", "  mirror: null", "  mirror: https://example.org")
    assert (project.pending(), project.stale()) == (set(), set())


@pytest.mark.slow
def test_a_parameter_of_one_task_concerns_its_stages_and_the_table(project: Any) -> None:
    project.edit("params.yaml", TASK_LINE, TASK_CHANGED)
    # `code`, a second's work, checks all parameters before results are removed
    concerned = {f"{stage}@{TASK}" for stage in ("finetune", "scratch", "aggregate")}
    assert project.stale() == {"code", "table"} | concerned
    pending = project.pending()
    assert rules(project, pending) == {"code", "finetune", "aggregate", "table"}
    assert not any("instruments" in output for output in pending)


@pytest.mark.slow
def test_the_length_of_a_tasks_clips_concerns_its_probe_too(project: Any) -> None:
    project.edit("params.yaml", TASK_LINE, "drums: {clip_s: 0.64}")
    assert rules(project, project.pending()) == {"code", "decode", "finetune", "probe", "aggregate", "table"}
    project.run("dvc", "repro")
    assert project.calls() == sorted([*CONCERNED, f"decode {TASK}", f"probe {TASK}"])


@pytest.mark.parametrize(
    ("old", "new", "scratch"),
    [("seed: 42", "seed: 43", True), ("max: 2000, scale: linear", "max: 1900, scale: linear", False)],
)
def test_a_seed_concerns_all_that_is_random_a_sound_what_hears_it_and_neither_the_recordings(
    project: Any, old: str, new: str, scratch: bool
) -> None:
    project.edit("params.yaml", old, new)
    pending = project.pending()
    evaluated = {"finetune", "probe", "aggregate", "latent", "table"}
    assert rules(project, pending) == {"code", "pretrain", "render", "gallery"} | evaluated
    assert any("/scratch/" in output for output in pending) == scratch
    stages = [f"{stage}@{task}" for stage in ("finetune", "scratch", "probe") for task in (TASK, "instruments")]
    # DVC sees what follows from a new encoder once it is there
    later = [*stages, f"aggregate@{TASK}", "aggregate@instruments"] if scratch else []
    assert project.stale() == {"code", "pretrain", "latent", "render", "gallery", "table", *later}


@pytest.mark.slow
def test_a_dropped_task_leaves_nothing_that_is_tracked_or_shown(project: Any) -> None:
    lock = (project.root / "dvc.lock").read_text()
    project.edit("params.yaml", "  instruments: {clip_s: 0.32}     # s\n", "")
    message = project.run("snakemake")
    assert "dvc.lock was not changed: no rule makes" in message
    assert (project.root / "dvc.lock").read_text() == lock
    assert project.calls() == ["table"]
    remedy = next(line.strip() for line in message.splitlines() if line.strip().startswith("rm -r "))
    assert remedy.endswith(" && audiopg track")
    project.run("sh", "-c", remedy)
    project.commit()
    assert "instruments" not in (project.root / "dvc.lock").read_text()
    assert "instruments" not in project.run("git", "ls-files", "results")
    assert set(json.loads(project.run("dvc", "metrics", "show", "--json"))[""]["data"]) == {
        "results/metrics/drums.json",
        "results/latent/metrics.json",
    }
    assert (project.pending(), project.stale()) == (set(), set())
    # the table is that of somebody who never had the task
    shown = (project.root / "results/table.csv").read_text()
    project.run("snakemake", "--forcerun", "table")
    assert (project.root / "results/table.csv").read_text() == shown


@pytest.mark.slow
def test_dropped_folds_are_neither_tracked_nor_averaged(project: Any) -> None:
    add_own_recordings(project, n_folds=4)
    project.run("snakemake")
    project.calls()
    project.edit("params.yaml", "protocol: 4-fold", "protocol: 3-fold")
    message = project.run("snakemake")
    assert not any("4" in call for call in project.calls())
    assert "no rule makes" in message
    remedy = next(line.strip() for line in message.splitlines() if line.strip().startswith("rm -r "))
    dropped = [f"results/finetune/mine/{init}/fold4" for init in ("pretrained", "scratch")]
    assert remedy == f"rm -r {' '.join(dropped)} && audiopg track"
    project.run("sh", "-c", remedy)
    assert (project.pending(), project.stale()) == (set(), set())
    averaged = project.records()["results/metrics/mine.json"]["input"]
    assert [path for path in averaged if "fold" in path]
    assert not any("fold4" in path for path in averaged)


@pytest.mark.slow
def test_the_list_of_own_recordings_is_an_input_for_both_tools(project: Any) -> None:
    add_own_recordings(project, n_folds=3)
    assert "results recorded in dvc.lock" in project.run("snakemake")
    assert not any("instruments" in call or "drums" in call for call in project.calls())
    assert (project.pending(), project.stale()) == (set(), set())
    project.append("workflow/recordings/mine.csv", "8.wav,a")
    assert project.stale() == {"code"}  # from which DVC learns of the list, as it does of the code
    pending = project.pending()
    made = {output for output in project.records() if "/mine/" in output or output.endswith("mine.json")}
    assert pending == made | {"results/code.json", *TABLE}
    project.run("dvc", "repro")
    assert "fetch mine" in project.calls()
    project.run("audiopg", "sync")
    assert (project.pending(), project.stale()) == (set(), set())


@pytest.mark.slow
def test_order_and_spelling_of_parameters_concern_nothing(project: Any) -> None:
    lines = (project.root / "params.yaml").read_text().splitlines()
    seed = next(line for line in lines if line.startswith("seed:"))
    lines.remove(seed)
    (project.root / "params.yaml").write_text("\n".join([*lines, seed]).replace("0.0002 ", "2.0e-4 ") + "\n")
    assert "2.0e-4" in (project.root / "params.yaml").read_text()
    assert (project.pending(), project.stale()) == (set(), set())


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (TASK_LINE, "drumz: {clip_s: 0.32}", "audiopg: unknown task 'drumz'; did you mean 'drums'?"),
        ("  mask_ratio: 0.75", "  mask_ratio: 75", "audiopg: params.yaml: pretrain.mask_ratio: "),
    ],
)
def test_bad_parameters_are_one_line(project: Any, old: str, new: str, message: str) -> None:
    project.edit("params.yaml", old, new)
    lines = [line for line in project.run("snakemake", code=2).splitlines() if not line.startswith("Using workflow")]
    assert len(lines) == 1
    assert lines[0].startswith(message)


@pytest.mark.slow
def test_snakemake_does_what_a_parameter_asks_for_and_dvc_agrees(project: Any) -> None:
    project.edit("params.yaml", TASK_LINE, TASK_CHANGED)
    project.run("snakemake")
    assert project.calls() == CONCERNED
    assert project.stale() == set()


@pytest.mark.slow
def test_dvc_does_what_a_parameter_asks_for_and_snakemake_agrees_after_sync(project: Any) -> None:
    project.edit("params.yaml", TASK_LINE, TASK_CHANGED)
    project.run("dvc", "repro")
    assert project.calls() == CONCERNED
    assert "has not seen" in project.run("snakemake", code=2)
    project.run("audiopg", "sync")
    assert "Nothing to be done" in project.run("snakemake")
    assert project.calls() == []


@pytest.mark.slow
def test_a_statement_concerns_its_stage_and_what_follows(project: Any) -> None:
    project.append("audiopg/train/pretrain.py", "CHANGED = True")
    pending = project.pending()
    assert rules(project, pending) == {"code", "pretrain", "finetune", "probe", "aggregate", "latent", "table"}
    assert not any("/scratch/" in output for output in pending)
    project.run("dvc", "repro")
    assert project.calls() == ["pretrain", "table"]  # the encoder comes out the same, its run card does not
    assert project.stale() == set()


@pytest.mark.slow
def test_a_change_of_pretraining_repeats_no_scratch_fold(project: Any) -> None:
    project.edit("params.yaml", "  mask_ratio: 0.75", "  mask_ratio: 0.5")
    project.run("dvc", "repro")
    calls = project.calls()
    assert f"finetune {TASK} pretrained1" in calls
    assert not any("scratch" in call for call in calls)


@pytest.mark.slow
def test_files_that_dvc_brought_back_are_refused_until_sync(project: Any) -> None:
    project.edit("params.yaml", TASK_LINE, TASK_CHANGED)
    project.run("snakemake")
    project.commit()
    project.run("git", "checkout", "--quiet", "HEAD~1")
    message = project.run("snakemake", code=2)
    assert "audiopg sync" in message
    assert "AUDIOPG_DVC_SYNC=off snakemake --forceall" in message
    project.run("audiopg", "sync")
    assert "Nothing to be done" in project.run("snakemake")
    # the same dvc.lock again, but not its files
    project.run("git", "checkout", "--quiet", "-")
    project.run("dvc", "checkout")
    project.run("git", "checkout", "--quiet", "HEAD~1")
    assert "has not seen" in project.run("snakemake", code=2)


@pytest.mark.slow
def test_a_new_clone_simply_runs_even_when_the_first_run_breaks_off(finished: Any, project: Any) -> None:
    clone = type(project)(project.root.with_name("clone"))
    project.run("git", "clone", "--quiet", str(finished.root), str(clone.root))
    clone.run("snakemake", code=1, STUB_FAILS="latent")
    clone.run("snakemake")
    assert clone.run("git", "status", "--short") == ""
    assert clone.stale() == set()


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["code", "fetch"])
def test_a_new_clone_makes_what_the_committed_results_are_behind(project: Any, stage: str) -> None:
    project.append("audiopg/cli/app.py" if stage == "code" else "audiopg/fetch/store.py", "CHANGED = True")
    project.commit()
    clone = type(project)(project.root.with_name("clone"))
    project.run("git", "clone", "--quiet", str(project.root), str(clone.root))
    assert "results recorded in dvc.lock" in clone.run("snakemake")
    assert "Data and pipelines are up to date" in clone.run("dvc", "repro")
    assert any(call.startswith("fetch") for call in clone.calls())
    assert (clone.pending(), clone.stale()) == (set(), set())


@pytest.mark.slow
def test_track_refuses_what_it_cannot_vouch_for(project: Any) -> None:
    lock = (project.root / "dvc.lock").read_text()
    extra = project.root / "results/finetune/drums/pretrained/fold9/metrics.json"
    extra.parent.mkdir()
    extra.write_text("{}")
    message = project.run("audiopg", "track", code=1)
    assert "no rule makes results/finetune/drums/pretrained/fold9; " in message
    assert (project.root / "dvc.lock").read_text() == lock
    remedy = message.strip().splitlines()[-1].strip()
    assert remedy == "rm -r results/finetune/drums/pretrained/fold9 && audiopg track"
    project.run("sh", "-c", remedy)
    assert project.stale() == set()
    lock = (project.root / "dvc.lock").read_text()
    project.edit("params.yaml", TASK_LINE, TASK_CHANGED)
    assert "still to be made" in project.run("audiopg", "track", code=1)
    assert (project.root / "dvc.lock").read_text() == lock


@pytest.mark.slow
def test_a_result_edited_by_hand_is_not_recorded(project: Any) -> None:
    lock = (project.root / "dvc.lock").read_text()
    project.append("results/table.md", "an extra line")
    assert "results/table.md: is not the file that table wrote" in project.run("audiopg", "track", code=1)
    assert (project.root / "dvc.lock").read_text() == lock


@pytest.mark.slow
def test_dvc_makes_everything_and_snakemake_takes_it_over(fresh: Any, tmp_path: Any) -> None:
    project = fresh.copy(tmp_path)
    project.run("dvc", "repro")
    assert len(project.calls()) > len(CONCERNED)
    assert "has not seen" in project.run("snakemake", code=2)
    project.run("audiopg", "sync")
    assert "Nothing to be done" in project.run("snakemake", "--cores", "8")
    assert "Data and pipelines are up to date" in project.run("dvc", "repro")
    assert (project.calls(), project.stale()) == ([], set())


@pytest.mark.slow
def test_a_run_without_git_succeeds_and_says_why_nothing_is_tracked(tmp_path: Any, project: Any) -> None:
    bare = type(project)(tmp_path / "bare")
    bare.root.mkdir()
    # as somebody downloads it, with numbers and dvc.lock
    project.run("sh", "-c", f"git archive HEAD | tar --extract --directory {bare.root}")
    lock = (bare.root / "dvc.lock").read_text()
    assert "this folder has no .git" in bare.run("snakemake")
    assert f"finetune {TASK} scratch2" in bare.calls()
    assert "Nothing to be done" in bare.run("snakemake")
    assert (bare.root / "dvc.lock").read_text() == lock


@pytest.mark.slow
def test_what_was_deleted_is_made_again(project: Any) -> None:
    project.run("rm", "-r", f"results/finetune/{TASK}/scratch", "results/latent/run.json")
    assert "results recorded in dvc.lock" in project.run("snakemake")
    folds = [f"finetune {TASK} scratch1", f"finetune {TASK} scratch2"]
    assert project.calls() == [f"aggregate {TASK}", *folds, "latent", "table"]


@pytest.mark.slow
def test_a_failing_stage_is_shown_logged_and_fails_the_run(project: Any) -> None:
    out = project.run("snakemake", "--forcerun", "table", code=1, STUB_FAILS="table")
    assert "audiopg: table fails on demand" in out
    assert "recorded in dvc.lock" not in out
    assert (project.root / "logs/table.log").read_text() == "audiopg: table fails on demand\n"


def test_metrics_and_plots_are_declared(project: Any) -> None:
    shown = json.loads(project.run("dvc", "metrics", "show", "--json"))
    names = set(shown[""]["data"])
    assert names == {"results/metrics/drums.json", "results/metrics/instruments.json", "results/latent/metrics.json"}
