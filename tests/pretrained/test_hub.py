"""An exported folder is what a model hub and transformers take it for, and audiopg reads it from there."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import numpy as np
import pytest
import torch
from huggingface_hub import ModelCard, errors
from safetensors.torch import load_file, save_file
from support.exports import finished
from support.places import ROOT

from audiopg import storage
from audiopg.cli import encoders
from audiopg.config import Config
from audiopg.errors import AudiopgError
from audiopg.features.logmel import LogMel
from audiopg.pretrained import AudioEncoder, export
from audiopg.pretrained.hub.modeling_audiopg import AudioPGFeatureExtractor, AudioPGModel, log_mel

LENGTHS = (1, 700, 20_480, 40_001)  # samples; a click, less than a patch, whole patches, many and a part of one
SCRIPT = """
import sys
sys.modules["audiopg"] = None  # to import it fails
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoFeatureExtractor, AutoModel

def tokens(model):
    with torch.no_grad():
        return {name: model(sound).last_hidden_state.float() for name, sound in sounds.items()}

folder, saved, sounds, out = sys.argv[1], sys.argv[2], load_file(sys.argv[3]), sys.argv[4]
model = AutoModel.from_pretrained(folder, trust_remote_code=True)
assert not model.training and AutoConfig.from_pretrained(folder, trust_remote_code=True).model_type == "audiopg"
extractor = AutoFeatureExtractor.from_pretrained(folder, trust_remote_code=True)
with torch.no_grad():
    together = extractor(list(sounds["20480"].numpy()), sampling_rate=16000, return_tensors="pt")
    found = {"pooled": model(**together).pooler_output}
half = AutoModel.from_pretrained(folder, trust_remote_code=True, dtype="bfloat16")
assert half.dtype == torch.bfloat16
model.save_pretrained(saved)
extractor.save_pretrained(saved)
again = AutoModel.from_pretrained(saved, trust_remote_code=True)
AutoFeatureExtractor.from_pretrained(saved, trust_remote_code=True)
for kind, each in (("plain", model), ("half", half), ("again", again)):
    found |= {f"{kind} {name}": value for name, value in tokens(each).items()}
save_file(found, out)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, tiny: Config) -> Path:
    """An exported folder."""
    place = tmp_path_factory.mktemp("exported")
    project = finished(tiny, place / "results")
    export.run(project.encoder, project.results, place / "hub")
    return place / "hub"


@pytest.fixture
def sounds() -> dict[str, torch.Tensor]:
    """Three sounds of each length, with loud and quiet parts."""
    draw = torch.Generator().manual_seed(0)
    return {str(n): torch.rand(3, n, generator=draw) * torch.linspace(-0.5, 0.5, n) for n in LENGTHS}


@pytest.mark.slow
def test_transformers_reads_the_folder_without_audiopg(
    folder: Path, sounds: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    save_file(sounds, tmp_path / "sounds.safetensors")
    settings = {"HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "1", "PYTHONPATH": ""}
    paths = (folder, tmp_path / "saved", tmp_path / "sounds.safetensors", tmp_path / "out.safetensors")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT, *map(str, paths)],
        cwd=tmp_path,
        env=os.environ | settings,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found, model = load_file(paths[-1]), AudioEncoder.from_pretrained(folder)
    with torch.no_grad():
        for name, sound in sounds.items():
            expected = model(sound)
            # the compiled front end and torch's own round a weak bin differently
            torch.testing.assert_close(found[f"plain {name}"], expected, rtol=0, atol=5e-5)
            torch.testing.assert_close(found[f"plain {name}"].mean(dim=1), expected.mean(dim=1), rtol=0, atol=1e-5)
            whole = torch.nn.functional.pad(sound, (0, -len(sound[0]) % 2560))
            same = model.encoder(model.log_mel.batched(whole))
            torch.testing.assert_close(found[f"plain {name}"], same, rtol=0, atol=1e-5)
            assert torch.equal(found[f"again {name}"], found[f"plain {name}"])
            assert 0 < (found[f"half {name}"] - expected).abs().max() < 0.1  # of tokens with deviation 1
        torch.testing.assert_close(found["pooled"], model(sounds["20480"]).mean(dim=1), rtol=0, atol=1e-5)
    again = storage.read_json(tmp_path / "saved" / "config.json")
    assert "weights_sha256" not in again
    with pytest.raises(AudiopgError, match="not the weights that config.json describes"):
        AudioEncoder.from_pretrained(tmp_path / "saved")  # transformers keeps no header, so no sizes to compare


@pytest.mark.parametrize("n", LENGTHS)
def test_the_front_end_is_that_of_the_package(n: int, sounds: dict[str, torch.Tensor], quick: Config) -> None:
    hop = 160
    for frames in (8, 16):
        whole = torch.nn.functional.pad(sounds[str(n)], (0, -n % (frames * hop)))
        found = log_mel(sounds[str(n)], quick.features.model_dump(), frames)
        torch.testing.assert_close(found, LogMel(quick.features).batched(whole), rtol=0, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_the_front_end_stays_in_float32(dtype: torch.dtype, folder: Path, sounds: dict[str, torch.Tensor]) -> None:
    model, heard = AudioPGModel.from_pretrained(folder), []
    model.embed.register_forward_pre_hook(lambda _, arguments: heard.append(arguments[0]))
    sound = sounds["20480"]
    with torch.no_grad():
        model(sound)
        with torch.autocast("cpu", dtype):
            model(sound)
        tokens = model.to(dtype)(sound).last_hidden_state
    assert tokens.dtype == dtype
    assert torch.equal(heard[1], heard[0])
    assert torch.equal(heard[2], heard[0].to(dtype))


def test_hidden_states_are_the_layers_of_the_encoder(folder: Path, sounds: dict[str, torch.Tensor]) -> None:
    front, model, sound = AudioEncoder.from_pretrained(folder), AudioPGModel.from_pretrained(folder), sounds["20480"]
    with torch.no_grad():
        layers = front.encoder.layers(front.log_mel.batched(sound))[:, :, 0]
        output = model(sound, output_hidden_states=True)
    found = torch.stack([x.mean(dim=1) for x in (*output.hidden_states, output.last_hidden_state)], dim=1)
    torch.testing.assert_close(found, layers, rtol=0, atol=1e-5)
    assert model(sound).hidden_states is None
    assert torch.equal(model(sound, return_dict=False)[1], output.pooler_output)


@pytest.mark.parametrize("wrong", [torch.zeros(9), torch.zeros(1, 0), torch.zeros(1, 9, dtype=torch.int16)])
def test_the_model_refuses_other_input(wrong: torch.Tensor, folder: Path) -> None:
    with pytest.raises(ValueError, match=r"input_values: floating-point \(B, T\) is needed, found torch"):
        AudioPGModel.from_pretrained(folder)(wrong)


def test_gradients_reach_weights_and_waveform(folder: Path, sounds: dict[str, torch.Tensor]) -> None:
    model, sound = AudioPGModel.from_pretrained(folder), sounds["700"].requires_grad_()
    model(sound).pooler_output.square().sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    assert sound.grad is not None
    assert sound.grad.abs().sum() > 0


def test_the_extractor_makes_one_batch_of_sounds(folder: Path) -> None:
    extractor = AudioPGFeatureExtractor.from_pretrained(folder)
    short, long = np.array([0.5]), np.array([0.25, -1.0, 0.125])
    found = extractor([short, long], sampling_rate=16_000, return_tensors="pt")
    assert found.keys() == {"input_values"}
    assert found["input_values"].dtype == torch.float32
    assert found["input_values"].tolist() == [[0.5, 0, 0], [0.25, -1, 0.125]]
    for one in (long, long.tolist(), long[None], [long]):
        assert extractor(one, sampling_rate=16_000)["input_values"][0].tolist() == [0.25, -1, 0.125]
    assert extractor.to_dict() == storage.read_json(folder / "preprocessor_config.json")


@pytest.mark.parametrize(
    ("sound", "rate_hz", "reason"),
    [
        (np.zeros(9), 44_100, "sampling_rate: 16000 Hz is needed, found 44100 Hz"),
        (np.zeros(9, dtype=np.int16), 16_000, r"found int16 \(9,\)"),
        ([np.zeros((2, 9))], 16_000, r"found float64 \(2, 9\)"),
        (np.zeros((1, 2, 9)), 16_000, r"found float64 \(2, 9\)"),
        ([], 16_000, r"found float64 \(0,\)"),
        (np.array([0.0, np.nan]), 16_000, "finite floating-point sounds"),
    ],
)
def test_the_extractor_refuses_what_is_no_sound(sound: Any, rate_hz: int, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        AudioPGFeatureExtractor()(sound, sampling_rate=rate_hz)


def test_the_hub_can_read_the_card(folder: Path) -> None:
    card = ModelCard.load(folder / "README.md")
    data = card.data
    assert (data.license, data.library_name, data.model_name) == ("mit", "transformers", "audiopg-micro")
    figures = [(result.dataset_type, result.metric_type, result.metric_value) for result in data.eval_results]
    assert figures == [
        (task, metric, value)
        for task, metric in (("drums", "accuracy"), ("fsd50k", "mean_average_precision"))
        for value in (0.5, 0.52, 0.53)
    ]
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    for fact in ("title: AudioPG\n", "year: 2026\n", "name: ICMR 2026\n", "arXiv:2606.14791\n"):
        assert fact in citation
        assert fact.strip().replace("arXiv:", "name: ").partition(": ")[2] in card.text.partition("```bibtex")[2]
    for title in ("Use", "Data", "Limits", "Results", "Made from", "Licence", "Citation"):
        assert f"\n## {title}\n" in card.text


@dataclass
class Hub:
    """A stand-in for the client of a hub: it keeps what it is asked, and answers with a folder or an error."""

    folder: Path
    asked: list[tuple[str, Any]] = field(default_factory=list)
    error: Exception | None = None

    def answer(self, call: str, *arguments: Any, **options: Any) -> Any:
        self.asked.append((call, (*arguments, options)))
        if self.error is not None:
            raise self.error
        return str(self.folder) if call == "snapshot_download" else SimpleNamespace(commit_url="hub/commit/1")


@pytest.fixture
def hub(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """The stand-in, in an empty folder."""
    stub = Hub(folder)

    def call(name: str) -> Callable[..., Any]:
        return lambda *arguments, **options: stub.answer(name, *arguments, **options)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", call("snapshot_download"))
    client = SimpleNamespace(create_repo=call("create_repo"), upload_folder=call("upload_folder"))
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda **_: client)
    monkeypatch.chdir(tmp_path)
    return stub


def test_a_repository_is_read_by_its_name(hub: Hub, sounds: dict[str, torch.Tensor]) -> None:
    found = AudioEncoder.from_pretrained("user/repo-1.0", revision="v1")
    wanted = ["config.json", "model.safetensors"]  # and no code
    assert hub.asked == [("snapshot_download", ("user/repo-1.0", {"revision": "v1", "allow_patterns": wanted}))]
    sound = sounds["700"]
    assert torch.equal(found(sound), AudioEncoder.from_pretrained(hub.folder)(sound))


def test_a_folder_of_that_name_is_taken_first(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "user").mkdir()
    (tmp_path / "user" / "repo").symlink_to(hub.folder)
    AudioEncoder.from_pretrained("user/repo")
    with pytest.raises(AudiopgError, match="revision: only a repository 'user/repo' has one, and user/repo is a fold"):
        AudioEncoder.from_pretrained("user/repo", revision="v1")
    for absent in (Path("user/other"), "other", "./other", "/none/other", "a/b/c"):
        with pytest.raises(AudiopgError, match="other: no such folder; `audiopg export`|c: no such folder; `audiopg"):
            AudioEncoder.from_pretrained(absent)
    assert hub.asked == []


def failed(kind: type[Exception], status: int = 404) -> Exception:
    """Make an error as the client raises it after an answer of the hub."""
    answer: Any = SimpleNamespace(headers={}, request=None, status_code=status)
    return kind(f"{status} at some address\n\nmore lines", response=answer)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (failed(errors.RepositoryNotFoundError, 401), "no such repository, or a private one; check the name, or `hf"),
        (failed(errors.GatedRepoError, 403), "the owner of the repository must let you in; ask for it there, then `hf"),
        (failed(errors.RevisionNotFoundError), "the repository has no such revision; name a branch, a tag or a commit"),
        (failed(errors.HfHubHTTPError, 403), "access is refused; `hf auth login`"),
        (failed(errors.HfHubHTTPError, 503), "the hub failed (503 at some address); try again"),
        (errors.LocalEntryNotFoundError("a\nb"), "the hub cannot be reached, and there is no earlier copy; connect, "),
        (errors.OfflineModeIsEnabled("off"), "the hub is switched off by HF_HUB_OFFLINE; unset it"),
        (errors.LocalTokenNotFoundError("no token"), "nobody is logged in; `hf auth login`"),
        (errors.HFValidationError("bad"), "not the name of a repository; write it as user/repo"),
        (OSError(28, "No space left on device"), "the hub failed ([Errno 28] No space left on device); try again"),
    ],
)
def test_failures_of_the_hub_are_one_line(error: Exception, reason: str, hub: Hub) -> None:
    hub.error = error
    with pytest.raises(AudiopgError) as told:
        AudioEncoder.from_pretrained("user/repo")
    assert str(told.value).startswith(f"user/repo: no such folder; {reason}")
    with pytest.raises(AudiopgError) as told:
        export.push(hub.folder, "user/repo")
    assert str(told.value).startswith(f"user/repo: {reason}")
    assert "\n" not in str(told.value)


def test_without_the_client_a_line_says_how_to_install_it(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    remedy = "the hub needs another package: `pip install 'audiopg[hub]'`"
    with pytest.raises(AudiopgError) as told:
        AudioEncoder.from_pretrained("user/repo")
    assert str(told.value) == f"user/repo: no such folder; {remedy}"
    AudioEncoder.from_pretrained(hub.folder)
    with pytest.raises(AudiopgError) as told:
        export.push(hub.folder, "user/repo")
    assert str(told.value) == f"user/repo: {remedy}"


def test_the_true_client_offline(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(
        AudiopgError, match=r"^user/repo: no such folder; the hub cannot be reached, and there is no ea"
    ):
        AudioEncoder.from_pretrained("user/repo")
    with pytest.raises(AudiopgError, match=r"^user/repo: the hub is switched off by HF_HUB_OFFLINE; unset it$"):
        export.push(folder, "user/repo")
    copy = tmp_path / "models--user--repo"  # as an earlier download leaves it
    for made in ("refs", "snapshots"):
        (copy / made).mkdir(parents=True)
    (copy / "refs" / "main").write_text("0" * 40)
    (copy / "snapshots" / ("0" * 40)).symlink_to(folder)
    assert AudioEncoder.from_pretrained("user/repo").sample_rate_hz == 16_000


@pytest.mark.parametrize(("private", "asked"), [(True, True), (False, None)])
def test_the_files_of_an_export_are_pushed(private: bool, asked: bool | None, hub: Hub) -> None:
    assert export.push(hub.folder, "user/repo", private=private) == "hub/commit/1"
    (made, arguments), (sent, (options,)) = hub.asked
    assert (made, arguments) == ("create_repo", ("user/repo", {"private": asked, "exist_ok": True}))
    assert (sent, options["repo_id"], options["folder_path"]) == ("upload_folder", "user/repo", hub.folder)
    assert sorted(options["allow_patterns"]) == sorted(path.name for path in hub.folder.iterdir())


def test_only_a_whole_export_is_pushed(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "part").mkdir()
    for path in hub.folder.iterdir():
        (tmp_path / "part" / path.name).symlink_to(path)
    (tmp_path / "part" / "README.md").unlink()
    for folder, repository, reason in (
        (tmp_path / "part", "user/repo", "README.md: no such file; export the encoder again"),
        (tmp_path / "none", "user/repo", "none: no such folder; `audiopg export` writes such a folder"),
        (hub.folder, "repo", "repo: not the name of a repository; write it as user/repo"),
    ):
        with pytest.raises(AudiopgError) as told:
            export.push(folder, repository)
        assert str(told.value).endswith(reason)
    assert hub.asked == []


def test_the_command_pushes(hub: Hub, tiny: Config, capsys: pytest.CaptureFixture[str]) -> None:
    project = finished(tiny, Path("results"))
    encoders.export(project.encoder, Path("out"), project.results, push="user/repo", private=True)
    assert capsys.readouterr().out == "hub/commit/1\n"
    assert [call for call, _ in hub.asked] == ["create_repo", "upload_folder"]
