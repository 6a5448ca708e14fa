"""The state of an unfinished run: two files, so that a damaged one costs some steps and not the run."""

import time
import zlib
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import torch
from torch import Tensor

from audiopg import tensors
from audiopg.errors import AudiopgError
from audiopg.progress import say

KEPT = 2


@dataclass
class Checkpoints:
    """A folder with the last two states of a run; a state of another run is not continued."""

    folder: Path
    run: str
    """Digest of everything the run depends on."""
    every_s: float
    """How long a run goes on between two states, in s."""
    own: list[Path] = field(default_factory=list)
    """The states of this run, oldest first."""

    def __post_init__(self) -> None:
        """Begin to count the time."""
        self._saved_s = time.monotonic()
        self._writer = ThreadPoolExecutor(1)
        self._writing: Future[None] | None = None

    def __enter__(self) -> "Checkpoints":
        """Leave the block only when all is on the disk."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait, as `finish`."""
        self.finish()

    def due(self) -> bool:
        """Whether it is time for the next state.

        Raises:
            AudiopgError: the one before could not be written.
        """
        if self._writing is not None and self._writing.done():
            self._writing.result()
        return time.monotonic() - self._saved_s >= self.every_s

    def save(self, step: int, state: Mapping[str, Tensor], header: Mapping[str, str]) -> None:
        """Take a copy of a state, and write it beside what follows; then remove all but the last two.

        One is written at a time: a state waits until the one before is on the disk.

        Raises:
            AudiopgError: the one before could not be written.
        """
        self.finish()
        # a GPU copies all to pinned memory, one after another, and is waited for once
        copied = {
            name: tensor.detach().contiguous().to("cpu", non_blocking=True, copy=True) for name, tensor in state.items()
        }
        for device in {tensor.device for tensor in state.values() if tensor.is_cuda}:
            torch.cuda.current_stream(device).synchronize()
        self._writing = self._writer.submit(self._write, step, copied, {**header, "run": self.run})
        self._saved_s = time.monotonic()

    def finish(self) -> None:
        """Wait until what was saved is on the disk.

        Raises:
            AudiopgError: the disk is full, or the folder cannot be written.
        """
        if self._writing is not None:
            writing, self._writing = self._writing, None
            writing.result()

    def _write(self, step: int, state: dict[str, Tensor], header: dict[str, str]) -> None:
        path = self.folder / f"{step:09d}.safetensors"
        tensors.write(path, state, {**header, "crc32": _checksum(state, header)})
        self.own = [*(other for other in self.own if other != path), path][-KEPT:]
        for other in self._files():
            if other not in self.own:
                other.unlink()

    def newest(self) -> tuple[dict[str, Tensor], dict[str, str]] | None:
        """Read the newest state of this run that is whole, with its text header; else None.

        Raises:
            AudiopgError: there are states, and all are damaged.
        """
        others: list[Path] = []
        damaged: dict[Path, AudiopgError] = {}
        for path in reversed(self._files()):
            try:
                state, header = self._read(path)
            except AudiopgError as error:
                damaged[path] = error
                continue
            if header.get("run") == self.run:
                if damaged:
                    say(f"{', '.join(map(str, damaged))}: damaged checkpoint; going back to {path.name}")
                self.own = [path]
                return state, header
            others.append(path)
        if others:
            say(f"{others[0]}: belongs to other parameters or other code; starting from the first step")
        elif damaged:
            raise next(iter(damaged.values()))
        return None

    def clear(self) -> None:
        """Remove all states, after the last step, and what a killed process left: ours or safetensors'."""
        unfinished = (path for name in (".[0-9]*.part.safetensors", ".tmp*") for path in self.folder.glob(name))
        for path in [*self._files(), *unfinished]:
            path.unlink()
        if self.folder.is_dir() and not any(self.folder.iterdir()):
            self.folder.rmdir()

    def _files(self) -> list[Path]:
        """List the states, oldest first."""
        return sorted(self.folder.glob("[0-9]*.safetensors"))

    def _read(self, path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
        state, header = tensors.read(path)
        if header.pop("crc32", "") != _checksum(state, header):
            msg = f"{path}: damaged checkpoint (wrong checksum); delete it and run again"
            raise AudiopgError(msg)
        return state, header


def _checksum(state: Mapping[str, Tensor], header: Mapping[str, str]) -> str:
    """Digest of the contents: safetensors notices a file that was cut, but no byte that has changed."""
    checksum = zlib.crc32(repr(sorted(header.items())).encode())
    for name in sorted(state):
        checksum = zlib.crc32(
            state[name].reshape(-1).view(torch.uint8).numpy().data, zlib.crc32(name.encode(), checksum)
        )
    return f"{checksum:08x}"
