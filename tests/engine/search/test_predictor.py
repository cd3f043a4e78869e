"""The predictor ranks what it was shown, and ranks what it was not shown better than chance."""

import torch

from engine.search.predictor import Predictor


def data(count: int, seed: int):
    """Plans of 12 features whose error is a curved function of three of them, over several orders of magnitude."""
    features = torch.randn(count, 12, generator=torch.Generator().manual_seed(seed))
    return features, (2 * features[:, 0] + features[:, 1] ** 2 - features[:, 2]).exp()


def agreement(predicted, scores) -> float:
    """Share of pairs in the right order."""
    first, second = torch.triu_indices(len(scores), len(scores), 1)
    return float(((predicted[first] < predicted[second]) == (scores[first] < scores[second])).float().mean())


def test_seen_pairs_are_ranked():
    features, scores = data(80, 0)
    assert agreement(Predictor(features, scores)(features), scores) > 0.97


def test_unseen_pairs_are_ranked_far_better_than_by_chance():
    predictor = Predictor(*data(200, 0))
    features, scores = data(200, 1)
    assert agreement(predictor(features), scores) > 0.8


def test_diverged_plans_rank_last_and_do_no_harm():
    features, scores = data(80, 0)
    scores[features[:, 3] > 1] = torch.inf
    ranks = Predictor(features, scores)(features)
    assert bool(ranks.isfinite().all())
    assert ranks[scores.isinf()].mean() > ranks[scores.isfinite()].mean()


def test_decisions_that_never_varied_do_not_count():
    features, scores = data(60, 0)
    features[:, 5] = 1.0
    predictor, other = Predictor(features, scores), features.clone()
    other[:, 5] = 1e6
    torch.testing.assert_close(predictor(other), predictor(features))


def test_the_seed_fixes_the_predictor_and_equal_scores_are_no_reason_to_fail():
    features, scores = data(30, 0)
    torch.testing.assert_close(Predictor(features, scores, 1)(features), Predictor(features, scores, 1)(features))
    assert bool(Predictor(features, torch.ones(30))(features).isfinite().all())
