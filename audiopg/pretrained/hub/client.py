"""Exported folders to and from a model hub, through huggingface_hub, which only this file needs: the extra ``hub``."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from audiopg.errors import AudiopgError

REPOSITORY = re.compile(r"\w[\w.-]*/\w[\w.-]*")
INSTALL = "the hub needs another package: `pip install 'audiopg[hub]'`"
LOG_IN = "`hf auth login`"


def local_folder(name: str | Path, files: Sequence[str], revision: str | None = None) -> Path:
    """Return the folder of that name, or else a copy of the repository of that name.

    Args:
        name: a folder, or ``"user/repo"``; a path object is always a folder, and a folder that exists is taken first.
        files: names of the files that are needed of a repository.
        revision: branch, tag or commit of a repository; None is its main branch.

    Raises:
        AudiopgError: the repository or its revision does not exist, the hub cannot be reached and there is no earlier
            copy, or a revision of a folder is asked for.
    """
    folder = Path(name)
    if isinstance(name, str) and REPOSITORY.fullmatch(name) and not folder.exists():
        with _one_line(f"{name}: no such folder; "):
            from huggingface_hub import snapshot_download  # noqa: PLC0415  (an extra)

            return Path(snapshot_download(name, revision=revision, allow_patterns=list(files)))
    if revision is not None:
        msg = f"revision: only a repository 'user/repo' has one, and {folder} is a folder; leave out '{revision}'"
        raise AudiopgError(msg)
    return folder


def upload(folder: Path, repository: str, files: Sequence[str], *, private: bool) -> str:
    """Write files of a folder as one commit to a repository, as the user who logged in; make the repository if need be.

    Args:
        folder: where the files are.
        repository: ``"user/repo"``.
        files: names of the files.
        private: whether a new repository is private; if not, the settings of its owner decide.

    Returns:
        Address of the commit.

    Raises:
        AudiopgError: nobody is logged in, the user may not write there, or the hub cannot be reached.
    """
    if not REPOSITORY.fullmatch(repository):
        msg = f"{repository}: not the name of a repository; write it as user/repo"
        raise AudiopgError(msg)
    with _one_line(f"{repository}: "):
        from huggingface_hub import HfApi  # noqa: PLC0415  (an extra)

        client = HfApi(library_name="audiopg")
        client.create_repo(repository, private=private or None, exist_ok=True)
        commit = client.upload_folder(
            repo_id=repository,
            folder_path=folder,
            allow_patterns=list(files),
            commit_message="Encoder exported by audiopg",
        )
    return str(commit.commit_url)


@contextmanager
def _one_line(begin: str) -> Iterator[None]:
    """Turn failures of the hub's client into one line with that beginning."""
    try:
        from huggingface_hub import errors  # noqa: PLC0415  (an extra)
    except ImportError:
        msg = f"{begin}{INSTALL}"
        raise AudiopgError(msg) from None
    reasons: list[tuple[type[Exception], str]] = [  # the first that fits, so the special before the general
        (errors.GatedRepoError, f"the owner of the repository must let you in; ask for it there, then {LOG_IN}"),
        (errors.RepositoryNotFoundError, f"no such repository, or a private one; check the name, or {LOG_IN}"),
        (errors.RevisionNotFoundError, "the repository has no such revision; name a branch, a tag or a commit"),
        (errors.LocalTokenNotFoundError, f"nobody is logged in; {LOG_IN}"),
        (errors.LocalEntryNotFoundError, "the hub cannot be reached, and there is no earlier copy; connect, try again"),
        (errors.OfflineModeIsEnabled, "the hub is switched off by HF_HUB_OFFLINE; unset it"),
        (errors.HFValidationError, "not the name of a repository; write it as user/repo"),
    ]
    try:
        yield
    except (errors.HTTPError, OSError, errors.HFValidationError) as error:
        reason = next((reason for kind, reason in reasons if isinstance(error, kind)), "")
        if not reason:
            refused = getattr(getattr(error, "response", None), "status_code", None) in (401, 403)
            reason = f"access is refused; {LOG_IN}" if refused else f"the hub failed ({_first_line(error)}); try again"
        msg = f"{begin}{reason}"
        raise AudiopgError(msg) from None


def _first_line(error: Exception) -> str:
    """Return the first line of a message, or the name of the error if there is none."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
