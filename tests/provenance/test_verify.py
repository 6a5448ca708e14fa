"""Results, run cards, parameters and code: whatever is changed behind their back is named."""

from collections.abc import Callable
from pathlib import Path

import pytest
from support.outcomes import DRUMS, ENCODER, LOSS, fold_files, latent_file, probe_file, source_files

from audiopg import storage
from audiopg.config import Config, params, profile
from audiopg.errors import AudiopgError
from audiopg.provenance import code_digest, verify
from audiopg.report import aggregate, table

FOLD = Path("results/finetune/drums/scratch/fold2")


@pytest.fixture
def cfg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    """Parameters, in a folder with all results of one task."""
    monkeypatch.chdir(tmp_path)
    paper = profile.load("paper").model_dump(mode="json")
    cfg = params.parse(paper | {"tasks": {"drums": {"clip_s": 0.96}}}, "params.yaml")
    runs = source_files(DRUMS, cfg)
    folds, probe, latent = fold_files(cfg), probe_file(cfg), latent_file(cfg)
    card, metrics, summary = (
        Path("results/tasks/drums/card.json"),
        Path("results/metrics"),
        Path("results/summary/drums"),
    )
    aggregate.run(cfg, card, folds, probe, metrics / "drums.json", summary)
    runs += [path.with_name("run.json") for path in [*folds, probe, latent, summary / "run.json"]]
    table.run(cfg, [card], metrics, latent, LOSS, runs, Path("results"))
    return cfg


def disagreements(cfg: Config) -> list[str]:
    """The lines that say what is wrong, which come before the error."""
    lines: list[str] = []
    with pytest.raises(AudiopgError, match=r"^\d+ disagreements; "):
        lines.extend(verify.verify(cfg, []))
    return lines


def test_every_row_of_the_table_is_explained(cfg: Config) -> None:
    *rows, last = verify.verify(cfg, [])
    assert len(rows) == len(table.TITLES)
    encoder = storage.file_digest(ENCODER)[:12]
    assert rows[0].startswith("drums pretrained accuracy 0.525 ± 0.013, 4 runs: 4 × finetune (results/finetune/drums/")
    assert "seed 42" in rows[0]
    assert f"results/pretrain/encoder.safetensors {encoder}" in rows[0]
    assert "encoder" not in rows[1]
    assert "1 × probe (results/probe/drums/run.json)" in rows[2]
    assert last.endswith("agree with their 15 run cards, with params.yaml and with the code")


def test_a_result_is_traced_down_to_the_recordings(cfg: Config) -> None:
    lines = list(verify.verify(cfg, [Path("results/metrics/drums.json")]))
    assert lines[0].startswith("results/metrics/drums.json ")
    assert ": aggregate, code " in lines[0]
    depths = {line.strip().split()[0]: (len(line) - len(line.lstrip())) // 2 for line in lines}
    assert depths["results/finetune/drums/pretrained/fold1/metrics.json"] == 1
    assert depths["results/tasks/drums/source.json"] == 2
    assert sum(": pretrain, " in line for line in lines) == 1
    with pytest.raises(AudiopgError, match="params.yaml: no run card says"):
        list(verify.verify(cfg, [Path("params.yaml")]))


def rewrite(path: Path, text: str) -> Callable[[Config], None]:
    return lambda _: path.write_text(text)


def recard(**changes: object) -> Callable[[Config], None]:
    path = FOLD / "run.json"
    return lambda _: storage.write_json(path, storage.read_json(path) | changes)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (rewrite(FOLD / "metrics.json", "{}"), f"{FOLD}/metrics.json: is not the file that finetune wrote"),
        (rewrite(ENCODER, "other"), f"{ENCODER}: is not the file that pretrain wrote (results/pretrain/run.json)"),
        (rewrite(Path("results/stray.csv"), ""), "results/stray.csv: no run card says what it was made from"),
        (lambda _: (FOLD / "loss.csv").unlink(), f"{FOLD}/loss.csv: missing (named in {FOLD}/run.json)"),
        (lambda _: (FOLD / "run.json").unlink(), f"{FOLD}/run.json: missing (named in results/run.json)"),
        (
            lambda cfg: fold_files(cfg.model_copy(update={"seed": 7})),
            f"{FOLD}/run.json: made with seed = 7, params.yaml",
        ),
        (recard(code="0" * 64), f"{FOLD}/run.json: made by other code of the stage finetune"),
        (recard(device="cuda bfloat16"), f"{FOLD}/run.json: made with device = cuda bfloat16, "),
        (recard(task="gone"), f"{FOLD}/run.json: is about 'gone', which is not a task in params.yaml"),
        (recard(inputs={ENCODER.as_posix(): "0"}), f"{FOLD}/run.json: made from another {ENCODER} than other results"),
        (recard(recordings="0"), f"{FOLD}/run.json: made from another list of own recordings than there is now"),
    ],
)
def test_what_was_changed_is_named(cfg: Config, change: Callable[[Config], None], message: str) -> None:
    change(cfg)
    assert any(line.startswith(message) for line in disagreements(cfg))


def test_a_version_that_differs_between_two_folds_is_named(cfg: Config) -> None:
    versions = storage.read_json(FOLD / "run.json")["versions"] | {"torch": "1.0"}
    recard(versions=versions)(cfg)
    assert any(line.startswith(f"{FOLD}/run.json: made with versions.torch = 1.0, ") for line in disagreements(cfg))


def test_other_code_of_a_stage_is_named(cfg: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = code_digest.stage_digest
    monkeypatch.setattr(code_digest, "stage_digest", lambda stage: "0" if stage == "latent" else digest(stage))
    assert disagreements(cfg) == ["results/latent/run.json: made by other code of the stage latent"]


def test_a_file_that_is_no_run_card_is_named(cfg: Config) -> None:
    storage.write_json(FOLD / "run.json", {"stage": "finetune"})
    with pytest.raises(AudiopgError, match=r"fold2/run\.json: not a run card of this version; delete it and run"):
        list(verify.verify(cfg, []))


def test_no_results_are_named(cfg: Config, tmp_path: Path) -> None:
    with pytest.raises(AudiopgError, match="no run cards; `snakemake` makes results"):
        list(verify.verify(cfg, [], tmp_path / "empty"))


def test_a_fresh_clone_is_called_one(cfg: Config) -> None:
    """Git has the table and the run card of the table; all other run cards come from DVC or from a run."""
    for path in Path("results").rglob("*run.json"):
        if path != Path("results/run.json"):
            path.unlink()
    with pytest.raises(AudiopgError) as caught:
        list(verify.verify(cfg, []))
    assert str(caught.value) == (
        "results: nothing was made here yet; git has the tables and pictures of an earlier run only."
        " `snakemake` makes all results, `dvc pull && audiopg sync` fetches them"
    )


def test_a_run_card_depends_on_nothing_but_the_run(cfg: Config) -> None:
    before = (FOLD / "run.json").read_bytes()
    fold_files(cfg)
    assert (FOLD / "run.json").read_bytes() == before
