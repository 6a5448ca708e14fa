"""Folds for data sets that have none."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace

from audiopg.tasks.manifest import Row


def deal(rows: Sequence[Row], n_folds: int) -> tuple[Row, ...]:
    """Deal clips over folds, group by group, so that each class is spread evenly.

    Groups are sorted by their labels, then by size (largest first), then by digest. Each goes to the fold with the
    fewest clips of the group's labels (then the fewest clips, then the lowest number). So the folds depend only on the
    contents of the files.
    """
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups[row.group].append(row)
    n_in_class: Counter[tuple[str, int]] = Counter()
    n_in_fold: Counter[int] = Counter()
    dealt = []
    for group in sorted(groups.values(), key=_place):
        labels = Counter(label for row in group for label in row.labels)
        fold = min(
            range(1, n_folds + 1),
            key=lambda k: (sum(n * n_in_class[label, k] for label, n in labels.items()), n_in_fold[k], k),
        )
        for label, n in labels.items():
            n_in_class[label, fold] += n
        n_in_fold[fold] += len(group)
        dealt += [replace(row, fold=fold) for row in group]
    return tuple(dealt)


def _place(group: list[Row]) -> tuple[list[str], int, str]:
    """Sort key of a group."""
    return sorted({label for row in group for label in row.labels}), -len(group), min(row.sha256 for row in group)
