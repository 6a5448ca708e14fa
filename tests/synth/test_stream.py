"""Batches of a corpus, shared between workers and ranks: each clip exactly once."""

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from support.places import ROOT
from torch.utils.data import DataLoader

import audiopg
from audiopg import config
from audiopg.synth import stream
from audiopg.synth.corpus import Corpus

N_CLIPS = 50


@pytest.fixture(scope="module")
def corpus(short_paper: config.Synth) -> Corpus:
    return audiopg.corpus(short_paper, seed=42, n_clips=N_CLIPS)


def indices(batches: object) -> list[list[int]]:
    return [physics["index"].tolist() for _, physics in batches]  # type: ignore[attr-defined]


def be_rank(monkeypatch: pytest.MonkeyPatch, rank: int, world_size: int) -> None:
    monkeypatch.setattr(stream.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(stream.distributed, "get_rank", lambda: rank)
    monkeypatch.setattr(stream.distributed, "get_world_size", lambda: world_size)


def be_worker(monkeypatch: pytest.MonkeyPatch, worker: int, n_workers: int) -> None:
    info = SimpleNamespace(id=worker, num_workers=n_workers) if n_workers else None
    monkeypatch.setattr(stream, "get_worker_info", lambda: info)


@pytest.mark.parametrize("world_size", [1, 2, 3])
@pytest.mark.parametrize("n_workers", [0, 1, 2, 5])
@pytest.mark.parametrize(("batch_size", "start", "stop"), [(4, 0, 50), (7, 3, 48), (50, 0, 50), (8, 5, 5)])
def test_workers_and_ranks_share_the_clips(  # noqa: PLR0913
    corpus: Corpus,
    monkeypatch: pytest.MonkeyPatch,
    world_size: int,
    n_workers: int,
    batch_size: int,
    start: int,
    stop: int,
) -> None:
    streamed = corpus.stream(batch_size, start, stop)
    seen = []
    for rank in range(world_size):
        be_rank(monkeypatch, rank, world_size)
        n_batches = 0
        for worker in range(max(n_workers, 1)):
            be_worker(monkeypatch, worker, n_workers)
            found = indices(streamed)
            n_batches += len(found)
            seen += [index for batch in found for index in batch]
        assert n_batches == len(streamed)
    assert sorted(seen) == list(range(start, stop))


def test_the_waveforms_are_those_of_the_corpus(corpus: Corpus) -> None:
    audio, physics = zip(*corpus.stream(16), strict=True)
    assert torch.equal(torch.cat(audio), corpus[:][0])
    assert [len(part["index"]) for part in physics] == [16, 16, 16, 2]


def test_a_fresh_process_belongs_to_the_rank_that_made_it(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    streamed = corpus.stream(10)
    be_rank(monkeypatch, 1, 2)
    sent = pickle.dumps(streamed)
    monkeypatch.undo()
    assert indices(pickle.loads(sent)) == [list(range(10, 20)), list(range(30, 40))]
    assert len(streamed) == 5


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_real_workers_keep_the_order(corpus: Corpus, start: str) -> None:
    loader = DataLoader(corpus.stream(8), batch_size=None, num_workers=2, multiprocessing_context=start)
    found = list(loader)
    assert torch.equal(torch.cat([audio for audio, _ in found]), corpus[:][0])
    assert len(loader) == len(found) == 7


RANK = """
import json, sys
from pathlib import Path
from torch import distributed
from torch.utils.data import DataLoader
import audiopg
from audiopg.config import Synth
folder, rank, start, n_workers = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
if __name__ == "__main__":
    synth = Synth.model_validate_json((folder / "synth.json").read_text())
    streamed = audiopg.corpus(synth, seed=42, n_clips=50).stream(8)
    distributed.init_process_group("gloo", init_method=(folder / "place").as_uri(), rank=rank, world_size=2)
    loader = DataLoader(streamed, batch_size=None, num_workers=n_workers, multiprocessing_context=start)
    print(json.dumps([physics["index"].tolist() for _, physics in loader]))
    distributed.barrier()
    distributed.destroy_process_group()
"""


@pytest.mark.slow
@pytest.mark.parametrize(("start", "n_workers"), [("fork", 2), ("spawn", 1)])
def test_two_real_ranks_with_workers(short_paper: config.Synth, tmp_path: Path, start: str, n_workers: int) -> None:
    (tmp_path / "synth.json").write_text(short_paper.model_dump_json(), encoding="utf-8")
    (tmp_path / "rank.py").write_text(RANK, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "GLOO_SOCKET_IFNAME": "lo"}
    ranks = [
        subprocess.Popen(
            [sys.executable, str(tmp_path / "rank.py"), str(tmp_path), str(rank), start, str(n_workers)],
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for rank in range(2)
    ]
    shown = [process.communicate(timeout=300)[0] for process in ranks]
    assert [process.returncode for process in ranks] == [0, 0]
    batches = [list(range(first, min(first + 8, 50))) for first in range(0, 50, 8)]
    assert [json.loads(text.splitlines()[-1]) for text in shown] == [batches[0::2], batches[1::2]]
