"""The files of a new project: the workflow of the repository, around the installed package."""

import os
from pathlib import Path

from audiopg import storage
from audiopg.config import profile
from audiopg.errors import AudiopgError

# In a checkout these are links to the repository's own files; in a wheel they are files. Git and DVC know none of the
# names: they would otherwise take the folder for a project.
TEMPLATE = Path(__file__).parent / "template"
PLACES = {
    "Snakefile": "Snakefile",
    "corpus.smk": "workflow/corpus.smk",
    "rules": "workflow/rules",
    "report": "workflow/report",
    "slurm": "workflow/slurm",
    "default": "profiles/default",
    "stages.yaml": "dvc.yaml",
    "dvc-config": ".dvc/config",
    "dvc-gitignore": ".dvc/.gitignore",
    "dvcignore": ".dvcignore",
    "gitignore": ".gitignore",
    "requirements-data.txt": "requirements-data.txt",
}
# The one difference: the package is no folder of the project. Snakemake compares the digests of its code all the same.
DEPS = ("deps: [audiopg, workflow, Snakefile]", "deps: [workflow, Snakefile]")
PARAMS = "params.yaml"
PROFILE = "quick"


def files() -> dict[str, str]:
    """Return the text of each file of a new project, by its path there."""
    texts = {PARAMS: profile.text(PROFILE)}
    for name, place in PLACES.items():
        source = TEMPLATE / name
        for path in sorted(source.glob("[!.]*")) if source.is_dir() else [source]:
            target = f"{place}/{path.name}" if source.is_dir() else place
            texts[target] = path.read_text(encoding="utf-8")
    texts["dvc.yaml"] = texts["dvc.yaml"].replace(*DEPS)
    return texts


def write(folder: Path) -> None:
    """Write a new project.

    Raises:
        AudiopgError: a file of it is there already; then nothing is written.
    """
    texts = files()
    for target in texts:
        if os.path.lexists(folder / target):
            msg = f"{folder / target}: is there already; choose another folder"
            raise AudiopgError(msg)
    for target, text in texts.items():
        storage.write_text(folder / target, text)
