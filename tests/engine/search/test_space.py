"""Drawing, mutating and crossing plans: what comes out is a valid plan with the right number of calls."""

import math
from random import Random

import pytest
import torch

from engine.errors import InputError
from engine.search.space import Space
from engine.solvers.plan import Plan

START = -5.0
SPACES = [Space(2, START), Space(5, START), Space(8, -math.inf)]


def plans(space: Space, count: int = 60) -> list[Plan]:
    rng = Random(0)
    drawn = [space.random(rng) for _ in range(count)]
    mutated = [space.mutate(rng.choice(drawn), rng) for _ in range(count)]
    return drawn + mutated + [space.cross(*rng.sample(mutated, 2), rng) for _ in range(count)]


@pytest.mark.parametrize("space", SPACES, ids=lambda s: f"{s.calls} calls from {s.start:g}")
def test_every_plan_has_the_calls_and_the_ends_of_the_space(space):
    for plan in plans(space):
        assert plan.calls == space.calls
        assert (plan.log_snr[0], plan.log_snr[-1]) == (space.start, math.inf)


def test_every_decision_is_taken_by_some_plan():
    found = [step for plan in plans(SPACES[1], 150) for step in plan.steps]
    assert {step.prediction for step in found} == {"noise", "data"}
    assert {step.order for step in found} >= {1, 2, 3}
    assert {step.start for step in found} >= {-1, -2}
    assert {step.corrector for step in found} == {"none", "pseudo"}
    assert {plan.afs for plan in plans(SPACES[1])} == {"none", "zero_x0"}


def test_children_take_their_levels_from_a_parent():
    space, rng = SPACES[1], Random(1)
    parents = [plan for plan in plans(space) if plan.afs == "none"][:2]
    for _ in range(20):
        child = space.cross(*parents, rng)
        assert child.log_snr in {parent.log_snr for parent in parents}
        for step, choices in zip(child.steps, zip(*(parent.steps for parent in parents))):
            assert step.order in {choice.order for choice in choices}
            assert step.prediction in {choice.prediction for choice in choices}


def test_mutations_are_small_when_their_strength_is():
    space, rng = SPACES[1], Random(2)
    plan = next(plan for plan in plans(space) if plan.afs == "none")
    for _ in range(50):
        changed = space.mutate(plan, rng, strength=0.01)
        if changed.afs == plan.afs:
            # Gaps change by factors exp(0.0015 z); |z| stays below 6 in 250 draws.
            gaps = [b - a for a, b in zip(plan.log_snr, plan.log_snr[1:-1])]
            new = [b - a for a, b in zip(changed.log_snr, changed.log_snr[1:-1])]
            assert new == pytest.approx(gaps, rel=0.01)


def test_features_tell_plans_apart_and_have_one_length():
    space = SPACES[1]
    distinct = list(dict.fromkeys(plans(space)))
    features = torch.stack([space.features(plan) for plan in distinct])
    assert bool(features.isfinite().all())
    assert len(features.unique(dim=0)) > 0.95 * len(distinct)  # corrector's relaxations and far points are not features


def test_the_same_seed_draws_the_same_plans():
    assert plans(SPACES[1]) == plans(SPACES[1])


def test_one_call_leaves_nothing_to_search():
    with pytest.raises(InputError, match="at least 2"):
        Space(1, START)
