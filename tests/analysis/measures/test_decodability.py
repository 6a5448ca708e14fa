"""Probes on planted encoders with known answers."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import RidgeCV
from sklearn.metrics import balanced_accuracy_score, r2_score

from audiopg.analysis.corpora.targets import FactorTable, Resamples, Target, interval
from audiopg.analysis.measures.decodability import cell, chosen, radial, rbf, table
from audiopg.evaluate.ridge import ridge

N, D = 1200, 8
ALPHAS = [0.1, 1.0, 10.0, 100.0, 1000.0, 10000.0]
HELD_OUT = np.arange(N) % 2 == 1


def draw(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(seed))


def encoder(features: NDArray[np.float64], seed: int = 0) -> NDArray[np.float32]:
    """Three layers and both poolings of noise but for the features, which are layer 1's standard deviation."""
    embeddings = draw(seed).standard_normal((len(features), 3, 2, features.shape[1]))
    embeddings[:, 1, 1] = features
    return embeddings.astype(np.float32)


def read(
    features: NDArray[np.float64],
    factors: dict[str, Any] | None = None,
    classes: dict[str, Any] | None = None,
    groups: NDArray[np.int64] | None = None,
) -> pd.DataFrame:
    """The chosen cells' rows by factor."""
    cells = chosen(table(*arguments(features, factors, classes, groups), draw(1)))
    return cells.set_index("factor")


def arguments(
    features: NDArray[np.float64],
    factors: dict[str, Any] | None = None,
    classes: dict[str, Any] | None = None,
    groups: NDArray[np.int64] | None = None,
) -> tuple[Any, ...]:
    groups = np.arange(len(features)) if groups is None else groups
    return {"pretrained": encoder(features)}, FactorTable(factors or {}, classes or {}, HELD_OUT, groups), ALPHAS


@pytest.mark.parametrize(("n", "p"), [(60, 10), (30, 50), (30, 30)])
def test_ridge_is_scikit_learns(n: int, p: int) -> None:
    generator = draw(2)
    features = generator.standard_normal((n, p)) * np.arange(p)  # the first feature is constant
    noise = generator.standard_normal((n, 4)) * [0, 3, 300, 3000]
    targets = features[:, -3:] @ generator.standard_normal((3, 4)) + noise
    ours = ridge(features, targets, ALPHAS, np.arange(n))
    theirs = RidgeCV(ALPHAS, alpha_per_target=True, store_cv_results=True).fit(features, targets)
    assert len(set(theirs.alpha_)) > 1
    # as many features as clips, and a small penalty: the last digits depend on the processor's matrix products
    np.testing.assert_allclose(ours.weights, theirs.coef_.T, rtol=1e-5, atol=1e-8)
    np.testing.assert_allclose(ours.predict(features), theirs.predict(features), rtol=1e-5, atol=1e-8)
    errors = theirs.cv_results_
    best = np.take_along_axis(errors, errors.mean(axis=0).argmin(axis=-1)[None, :, None], axis=2)[:, :, 0]
    np.testing.assert_allclose((ours.left_out - targets) ** 2, best, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("p", [5, 40])
@pytest.mark.parametrize("groups", [np.arange(20), np.array([3, 9, 9, 4]).repeat([1, 5, 8, 6])])
def test_left_out_predictions_are_those_of_fits_without_the_group(groups: NDArray[np.int64], p: int) -> None:
    generator = draw(3)
    features, targets = generator.standard_normal((20, p)), generator.standard_normal((20, 2))
    expected = np.empty((20, 2))
    for group in np.unique(groups):
        out = groups == group
        expected[out] = ridge(features[~out], targets[~out], [3.0], groups[~out]).predict(features[out])
    np.testing.assert_allclose(ridge(features, targets, [3.0], groups).left_out, expected, atol=1e-9)


def test_the_penalty_is_chosen_by_the_groups_that_are_left_out() -> None:
    """What tells the groups apart is of no use for a group that is left out."""
    generator = draw(18)
    groups = np.repeat(np.arange(12), 50)
    features = np.eye(12)[groups] + 0.1 * generator.standard_normal((600, 12))
    target = generator.standard_normal(12)[groups, None]
    by_clip, by_group = (ridge(features, target, [0.1, 1e6], grouping) for grouping in (np.arange(600), groups))
    assert np.abs(by_clip.weights).max() > 0.3
    assert np.abs(by_group.weights).max() < 0.01


def test_scores_are_scikit_learns() -> None:
    generator = draw(4)
    true, predicted = generator.standard_normal((2, 50, 1)) + 9
    number = Target("number", true)
    assert number.score(number.parts(true, predicted).sum(axis=0)) == pytest.approx(r2_score(true, predicted))
    labels, guesses = generator.choice(3, (2, 50), p=[0.7, 0.2, 0.1])
    kind = Target("kind", np.eye(3)[labels] * [1, 2, 3])
    score = kind.score(kind.parts(kind.values, np.eye(3)[guesses]).sum(axis=0))
    assert score == pytest.approx(balanced_accuracy_score(labels, guesses))


def test_what_is_read_where_and_how_well() -> None:
    generator = draw(5)
    features = generator.standard_normal((N, D))
    signal = features @ generator.standard_normal(D)
    noisy = signal + generator.standard_normal(N) * signal.std()
    kind = (features[:, 0] > 1.3).astype(np.int64)
    found = read(features, {"clear": signal, "noisy": noisy, "absent": generator.standard_normal(N)}, {"kind": kind})
    assert list(found.index) == ["clear", "noisy", "absent", "kind"]
    assert list(found["measure"]) == ["r2"] * 3 + ["balanced_accuracy"]
    assert (found.loc[["clear", "noisy", "kind"], "layer"] == 1).all()
    assert found.loc["clear", "pooling"] in ("std", "mean_std")
    assert found.loc["clear", "score"] > 0.999
    assert found.loc["noisy", "score"] == pytest.approx(0.5, abs=0.06)
    assert found.loc["noisy", "low"] < 0.5 < found.loc["noisy", "high"]
    assert found.loc["absent", "low"] < 0.005
    assert found.loc["absent", "score"] == pytest.approx(0, abs=0.02)
    # one clip in ten: were predictions not over the share, they would hardly ever name that class, and score 0.5
    assert found.loc["kind", "score"] > 0.7
    np.testing.assert_allclose(found["shuffled"], [0, 0, 0, 1 / 2], atol=0.03)
    assert (found["shuffled"][:3] < 0.01).all()


def test_the_table_has_a_row_per_cell_and_one_layer_is_read_as_mean_std() -> None:
    generator = draw(6)
    features = generator.standard_normal((N, 2))
    encoders, *rest = arguments(features, {"a": features[:, 0]}, {"k": generator.integers(0, 2, N)})
    found = table(encoders | {"logmel_stats": encoders["pretrained"][:, 1:2]}, *rest, draw(1))
    assert list(found.columns) == (
        ["factor", "measure", "encoder", "layer", "pooling", "selection_score", "score", "low", "high"]
        + ["shuffled", "drawn"]
    )
    assert found.groupby("encoder").size().to_dict() == {"pretrained": 3 * 3 * 2, "logmel_stats": 2}
    assert set(found[found["encoder"] == "logmel_stats"]["pooling"]) == {"mean_std"}
    pd.testing.assert_frame_equal(
        found[found["encoder"] == "pretrained"], table(encoders, *rest, draw(1)), check_dtype=False
    )
    scores = found.set_index(["encoder", "layer", "pooling", "factor"])["score"]
    assert scores["pretrained", 1, "std", "a"] > 0.99
    assert scores["pretrained", 1, "mean", "a"] < 0.05
    assert scores["pretrained", 1, "mean_std", "a"] == scores["logmel_stats", 0, "mean_std", "a"]


def test_a_factor_is_read_where_it_has_a_meaning_only() -> None:
    generator = draw(7)
    features = generator.standard_normal((N, D))
    factor = features @ generator.standard_normal(D)
    absent = generator.random(N) < 0.4
    features[absent] = features[absent, ::-1] - 3
    found = read(features, {"everywhere": generator.standard_normal(N), "some": np.where(absent, np.nan, factor)})
    assert found.loc["some", "score"] > 0.999
    assert np.isfinite(found.loc["some", ["low", "high", "shuffled"]].to_numpy(float)).all()


def test_a_constant_feature_gives_no_nan() -> None:
    features = draw(8).standard_normal((N, D))
    factor = features[:, 0].copy()
    features[:, 1] = 0.1
    features[~HELD_OUT, 2] = 0.3
    found = read(features, {"a": factor})
    assert found.loc["a", "score"] > 0.99


def test_held_out_clips_shape_nothing() -> None:
    generator = draw(10)
    features = generator.standard_normal((N, D))
    factor, kind = features[:, 0] + generator.standard_normal(N), (features[:, 1] > 0).astype(np.int64)
    others = features.copy()
    others[HELD_OUT] = 3 - 50 * others[HELD_OUT]
    one, two = (read(x, {"a": factor}, {"k": kind}) for x in (features, others))
    for column in ("layer", "pooling", "selection_score"):
        assert list(one[column]) == list(two[column])
    flipped = read(features, {"a": np.where(HELD_OUT, -factor, factor)}, {"k": np.where(HELD_OUT, 1 - kind, kind)})
    assert list(one["selection_score"]) == list(flipped["selection_score"])
    assert flipped.loc["k", "score"] < 0.1
    assert one.loc["k", "score"] > 0.9
    standard = [cell(encoder(x), 1, "std", HELD_OUT) for x in (features, others)]
    assert np.array_equal(standard[0][~HELD_OUT], standard[1][~HELD_OUT])
    for x, y in zip(*(radial(each, HELD_OUT, draw(1)) for each in standard), strict=True):
        assert np.array_equal(x[~HELD_OUT], y[~HELD_OUT])


def test_layers_and_penalties_are_chosen_by_leaving_out_groups() -> None:
    """Features that tell the groups apart, and a factor that each group has its own value of."""
    groups = np.arange(N) // 30
    held_out = groups % 2 == 1
    features = draw(21).standard_normal((N // 30, 60)).repeat(30, axis=0) + 0.05 * draw(22).standard_normal((N, 60))
    factor = draw(23).standard_normal(N // 30).repeat(30)
    by_group, by_clip = (
        chosen(
            table({"pretrained": encoder(features)}, FactorTable({"a": factor}, {}, held_out, each), ALPHAS, draw(1))
        )
        for each in (groups, np.arange(N))
    )
    assert by_clip["selection_score"].item() > 0.8
    assert by_group["selection_score"].item() < 0.3


def test_both_blocks_of_the_radial_probe_have_the_same_variance() -> None:
    features = cell(encoder(draw(19).standard_normal((N, D)) * 7 + 3), 1, "std", HELD_OUT)
    np.testing.assert_allclose(features[~HELD_OUT].std(axis=0), 1, atol=1e-6)
    widths = list(radial(features, HELD_OUT, draw(1)))
    for both in widths:
        linear, functions = both[~HELD_OUT, :D], both[~HELD_OUT, D:]
        assert functions.shape[1] == 300
        assert functions.var(axis=0).sum() == pytest.approx(linear.var(axis=0).sum())
    assert len(widths) == 3


def test_a_lead_is_a_paired_difference() -> None:
    """Two encoders of equal errors lead by exactly nothing, though the scores of both have wide intervals."""
    generator = draw(20)
    factor = generator.standard_normal(N)
    near = np.stack([factor + generator.standard_normal(N), generator.standard_normal(N)], axis=1)
    far = np.stack([factor + 3 * generator.standard_normal(N), near[:, 1]], axis=1)
    embeddings = {"pretrained": encoder(near), "same": encoder(near), "worse": encoder(far)}
    known = FactorTable({"a": factor}, {}, HELD_OUT, np.arange(N))
    found = chosen(table(embeddings, known, ALPHAS, draw(1))).set_index("encoder")
    assert (found.loc["same", ["lead", "lead_low", "lead_high"]] == 0).all()
    assert found.loc["same", "high"] - found.loc["same", "low"] > 0.05
    worse = found.loc["worse"]
    assert worse["lead"] == pytest.approx(found.loc["pretrained", "score"] - worse["score"])
    assert 0.2 < worse["lead_low"] < worse["lead"] < worse["lead_high"]
    assert worse["lead"] == pytest.approx(0.5 - 0.1, abs=0.06)


def test_one_held_out_clip_does_not_change_how_another_is_read() -> None:
    features = draw(11).standard_normal((N, D))
    factor = features[:, 0] + draw(12).standard_normal(N)
    copies = features.copy()
    copies[HELD_OUT] = features[HELD_OUT][0]
    factor[HELD_OUT] = np.where(np.arange(HELD_OUT.sum()) % 2, 1.0, -1.0)
    # one constant guess for two values that are equally frequent: its R² is -(its mean error)²
    probe = ridge(features[~HELD_OUT], factor[~HELD_OUT, None], ALPHAS, np.arange(N // 2))
    guess = probe.predict(features[HELD_OUT][:1])[0, 0]
    cells = table(*arguments(copies, {"a": factor}), draw(1)).set_index(["layer", "pooling"])
    assert cells.loc[(1, "std"), "score"] == pytest.approx(-(guess**2), abs=0.02)


def test_the_choice_looks_at_the_selection_score_alone() -> None:
    cells = pd.DataFrame(
        {
            "factor": ["b", "b", "a", "a", "b"],
            "encoder": ["pretrained"] * 4 + ["y"],
            "selection_score": [0.1, 0.2, 0.4, 0.3, 0.0],
            "score": [0.9, 0.1, 0.1, 0.9, 0.5],
            "drawn": [np.array([score]) for score in (0.9, 0.1, 0.1, 0.9, 0.5)],
        }
    )
    assert list(chosen(cells)["score"]) == [0.1, 0.1, 0.5]


def test_the_radial_probe_finds_what_is_not_linear() -> None:
    generator = draw(13)
    features = generator.standard_normal((N, 4))
    factors = {"radius": np.hypot(*features.T[:2]), "absent": generator.standard_normal(N), "linear": features[:, 2]}
    inputs = arguments(features, factors, {"sign": (features[:, 0] * features[:, 1] > 0).astype(np.int64)})
    cells = table(*inputs, draw(1))
    found = rbf(cells[(cells["layer"] == 1) & (cells["pooling"] == "std")], *inputs, draw(2)).set_index("factor")
    assert found.loc["radius", "score"] < 0.02
    assert found.loc["radius", "rbf_score"] > 0.9
    assert found.loc["sign", "score"] < 0.6
    assert found.loc["sign", "rbf_score"] > 0.85
    assert found.loc["sign", "rbf_low"] < found.loc["sign", "rbf_score"] < found.loc["sign", "rbf_high"]
    assert found.loc["absent", "rbf_score"] < 0.02
    assert found.loc["absent", "rbf_low"] < 0
    assert found.loc["linear", "rbf_score"] > 0.99


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    generator = draw(14)
    n, covered, widths = 200, 0, []
    everyone = np.ones(n, bool)
    for _ in range(150):
        signal, noise = generator.standard_normal((2, n, 1))
        target = Target("a", signal + noise)
        parts = target.parts(target.values, signal)
        low, high = interval(Resamples(np.arange(n), everyone, generator).scores(target.score, parts, everyone))
        covered += low < 0.5 < high
        widths.append(high - low)
    assert 0.88 < covered / 150 < 0.99
    # 1 - R² is the ratio q of two sample variances whose terms correlate by q: Var = q² (2/n + 2/n - 2 q 2/n)
    assert np.mean(widths) == pytest.approx(2 * 1.96 * np.sqrt(0.25 * 4 * 0.5 / n), rel=0.1)


def test_the_interval_is_that_of_scores_of_clips_drawn_by_group() -> None:
    generator = draw(17)
    true, predicted = generator.standard_normal((2, 60, 1)) + [[[5.0]], [[5.0]]]
    groups, defined = np.arange(60) // 3 + 7, np.arange(60) % 5 > 0
    resamples = Resamples(groups, np.ones(60, bool), generator)
    assert (resamples.counts.sum(axis=1) == 20).all()
    target = Target("a", true)
    found = resamples.scores(target.score, target.parts(true, predicted)[defined], defined)
    drawn = [np.repeat(np.flatnonzero(defined), counts[groups[defined] - 7]) for counts in resamples.counts]
    scores = [r2_score(true[clips], predicted[clips]) for clips in drawn]
    np.testing.assert_allclose(found, scores)
    assert interval(found) == pytest.approx(np.quantile(scores, [0.025, 0.975]))


def test_copies_in_a_group_are_no_new_clips() -> None:
    generator = draw(15)
    signal, noise = np.repeat(generator.standard_normal((2, 100, 1)), 9, axis=1)
    target = Target("a", signal + noise)
    parts, everyone = target.parts(target.values, signal), np.ones(900, bool)
    alone, together = (
        np.ptp(interval(Resamples(groups, everyone, draw(16)).scores(target.score, parts, everyone)))
        for groups in (np.arange(900), np.arange(900) // 9)
    )
    assert together / alone == pytest.approx(3, rel=0.15)
