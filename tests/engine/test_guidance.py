import pytest
import torch

from engine import guidance, schedules
from engine.denoisers import counted
from engine.guidance import classifier_free, clipped, dynamic_threshold, rescaled
from tests.oracles import Mixture, normal

SCHEDULE, T = schedules.vp_linear(), 0.6
NONE = 3


def conditional(x, t, label):
    """Exact denoiser of the mixture given its component; label 3 means none given."""
    law = Mixture()
    laws = [law.component(k) for k in range(3)] + [law]
    answers = torch.stack([one.denoiser(SCHEDULE)(x, t) for one in laws])
    return answers[label, torch.arange(len(x))]


def labels(value, batch=5):
    return {"label": torch.full((batch,), value)}


def guided(weight, rescale=0.0, **kwargs):
    return classifier_free(kwargs.get("denoise", conditional), labels(0), labels(NONE), weight, rescale)


X = normal(5, 2)
WITH, WITHOUT = conditional(X, T, **labels(0)), conditional(X, T, **labels(NONE))


def test_weight_one_is_conditional_and_weight_zero_unconditional():
    assert torch.equal(guided(1.0)(X, T), WITH)
    assert torch.equal(guided(0.0)(X, T), WITHOUT)


@pytest.mark.parametrize("weight", [-1.0, 0.3, 2.0, 7.5])
def test_guidance_is_linear_in_the_weight(weight):
    assert torch.allclose(guided(weight)(X, T), WITHOUT + weight * (WITH - WITHOUT), atol=1e-12)


@pytest.mark.parametrize("weight", [1 - 1e-9, 1 + 1e-9])
def test_the_shortcut_at_weight_one_is_the_limit(weight):
    assert torch.allclose(guided(weight)(X, T), guided(1.0)(X, T), atol=1e-7)


def test_equal_conditions_make_the_weight_irrelevant():
    same = classifier_free(conditional, labels(1), labels(1), 4.0)
    assert torch.allclose(same(X, T), conditional(X, T, **labels(1)), atol=1e-12)


def test_guidance_is_the_sharpened_posterior_of_bayes_rule():
    # eps guidance equals the score of p(x) p(c|x)^w, and x0 is linear in the score.
    law, weight, x = Mixture(), 3.0, X.clone().requires_grad_()
    alpha, sigma = SCHEDULE(T)
    parts = law.log_parts(x, alpha, sigma)
    log_density = parts.logsumexp(1)
    target = (log_density + weight * (parts[:, 0] - log_density)).sum()
    score, = torch.autograd.grad(target, x)
    assert torch.allclose(guided(weight)(X, T), (X + sigma**2 * score) / alpha, atol=1e-11)


@pytest.mark.parametrize(("weight", "samples"), [(0.0, 5), (1.0, 5), (2.0, 10)])
def test_one_call_with_both_halves_or_only_the_one_that_counts(weight, samples):
    sizes = []

    def watch(x, t, label):
        sizes.append((len(x), len(label)))
        return conditional(x, t, label)

    denoise = counted(watch)
    guided(weight, denoise=denoise)(X, T)
    assert denoise.calls == 1 and sizes == [(samples, samples)]


def test_a_time_per_sample_reaches_both_halves():
    t = torch.linspace(0.1, 0.9, 5, dtype=torch.float64)
    together = guided(2.5)(X, t)
    for i in range(5):
        alone = classifier_free(conditional, labels(0, 1), labels(NONE, 1), 2.5)(X[i:i + 1], t[i].item())
        assert torch.allclose(together[i:i + 1], alone, atol=1e-12)


def test_conditions_of_one_row_and_further_conditions_serve_the_whole_batch():
    def denoise(x, t, label, cond):
        assert len(label) == len(cond) == len(x)
        return conditional(x, t, label) + cond

    more = normal(5, 2, seed=4)
    for weight in (0.0, 1.0, 2.0):
        got = classifier_free(denoise, labels(0, 1), labels(NONE, 1), weight)(X, T, cond=more)
        assert torch.allclose(got, guided(weight)(X, T) + more, atol=1e-12)


def test_conditions_must_have_the_same_names():
    with pytest.raises(AssertionError):
        classifier_free(conditional, labels(0), {}, 2.0)


def test_rescaling_matches_the_spread_of_the_conditional_answer_per_sample():
    strong, plain = normal(3, 3, 8, 8) * 4 + 1, normal(3, 3, 8, 8, seed=1)
    full, part = rescaled(strong, plain, 1.0), rescaled(strong, plain, 0.7)
    assert torch.allclose(full.std((1, 2, 3)), plain.std((1, 2, 3)), rtol=1e-12)
    assert torch.allclose(part, 0.7 * full + 0.3 * strong, atol=1e-12)
    assert torch.equal(rescaled(strong, plain, 0.0), strong)
    assert torch.allclose(rescaled(strong[:1], plain[:1], 0.7), part[:1], atol=1e-12)
    assert torch.isfinite(rescaled(torch.ones(1, 2, 2), plain[:1, 0, :2, :2], 1.0)).all()


def test_guidance_with_rescale_applies_it_to_the_guided_answer():
    assert torch.allclose(guided(3.0, 0.7)(X, T), rescaled(guided(3.0)(X, T), WITH, 0.7), atol=1e-12)
    assert torch.equal(guided(1.0, 0.7)(X, T), WITH)


def fixed(answer):
    return lambda x, t: answer


def test_thresholding_leaves_answers_in_range_alone():
    answer = normal(2, 3, 4, 4).clamp(-1, 1)
    assert torch.equal(dynamic_threshold(fixed(answer))(answer, T), answer)
    assert torch.equal(clipped(fixed(answer))(answer, T), answer)


def test_thresholding_is_clip_and_divide_at_the_quantile():
    answer = normal(2, 3, 8, 8) * 3
    limit = answer.abs().flatten(1).quantile(0.9, dim=1).reshape(2, 1, 1, 1)
    assert (limit > 1).all()
    got = dynamic_threshold(fixed(answer), quantile=0.9)(answer, T)
    assert torch.allclose(got, answer.clamp(-limit, limit) / limit, atol=1e-12)
    assert got.abs().max() == 1


def test_thresholding_a_sample_does_not_depend_on_its_batch_mates():
    answer = normal(4, 3, 8, 8) * torch.tensor([0.1, 1.0, 3.0, 30.0]).double().reshape(4, 1, 1, 1)
    together = dynamic_threshold(fixed(answer))(answer, T)
    for i in range(4):
        assert torch.equal(together[i:i + 1], dynamic_threshold(fixed(answer[i:i + 1]))(answer[i:i + 1], T))


@pytest.mark.parametrize("quantile", [0.0, 0.5, 0.995, 1.0])
@pytest.mark.parametrize("count", [1, 2, 101, 1000])
def test_the_quantile_is_torchs(quantile, count):
    values = normal(3, count)
    assert torch.allclose(guidance._quantile(values, quantile), values.quantile(quantile, dim=1), atol=1e-12)


def test_clipping_and_wrapping_pass_conditions_on():
    wrapped = clipped(dynamic_threshold(conditional), -0.5, 0.5)
    got = wrapped(X, T, **labels(0))
    assert got.abs().max() <= 0.5
    assert torch.equal(got, dynamic_threshold(conditional)(X, T, **labels(0)).clamp(-0.5, 0.5))
