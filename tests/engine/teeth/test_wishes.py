import pytest
import torch

from engine.errors import InputError
from engine.tasks.teeth import anatomy, contacts, keys, metrics, rigid, sampling, state
from engine.tasks.teeth.wishes import Wishes, satisfied


@pytest.fixture(scope="module")
def levelled(patients, crooked, frame):
    level = state.levelling(crooked, frame)
    return level.apply(crooked), level.apply(patients)


def drawn(levelled, frame, wishes: Wishes, steps: int = 4):
    """What a denoiser that knows the truth makes of the wishes, and the teeth before."""
    before, after = levelled
    truth = frame.encode(before, before.motion_to(after))

    def denoise(x_t, t, **cond):
        return truth

    motion, = sampling.draw(denoise, frame, before, torch.zeros_like(truth), 1, steps, wishes=wishes)
    return motion, before


def test_without_wishes_nothing_changes(levelled, frame):
    motion, before = drawn(levelled, frame, Wishes())
    assert metrics.add_mm(before.moved(motion), levelled[1]).max() < 1e-3


def test_fixed_teeth_stay_exactly(levelled, frame):
    motion, before = drawn(levelled, frame, Wishes(fixed=(16, 11, 46)))
    slots = [anatomy.slot_of(fdi) for fdi in (16, 11, 46)]
    assert torch.allclose(motion.centre[:, slots], before.centres[:, slots], atol=1e-5)
    assert torch.rad2deg(rigid.angle_rad(motion.rotation[:, slots])).max() < 0.01
    assert (motion.centre - before.centres).norm(dim=-1)[:, anatomy.slot_of(12)].min() > 1e-3


def test_movements_stay_within_the_limits(levelled, frame):
    motion, before = drawn(levelled, frame, Wishes(limit_mm=1.0, limit_deg=5.0, no_collisions=True))
    assert (motion.centre - before.centres).norm(dim=-1).max() < 1.0 + 1e-3
    assert torch.rad2deg(rigid.angle_rad(motion.rotation)).max() < 5.0 + 0.01
    free, _ = drawn(levelled, frame, Wishes())
    assert (free.centre - before.centres).norm(dim=-1).max() > 1.5


def test_collisions_are_pushed_apart(levelled, frame):
    """The state is the crooked one, whose teeth overlap by up to half a millimetre."""
    before, _ = levelled
    pairs = torch.from_numpy(anatomy.touching_pairs())
    still = frame.encode(before, before.motion_to(before))
    goal = before.moved(frame.decode(before.centres, satisfied(still, frame, before, Wishes(no_collisions=True))))
    overlap = [-contacts.gaps(teeth, pairs).amin(1).mean() for teeth in (before, goal)]
    assert overlap[1] < 0.4 * overlap[0]


def test_small_gaps_are_closed_and_wide_ones_are_left(levelled, frame):
    """The truth two per cent wider, so that neighbours come apart by tenths of a millimetre, and a wide gap in it."""
    before, after = levelled
    left = torch.from_numpy(anatomy.SIDE)[:, None] * torch.tensor([1.0, 0.0, 0.0])
    wide = after.at(after.axes, 1.02 * after.centres + 1.5 * left * (left[:, :1] > 0))
    pairs = torch.from_numpy(anatomy.neighbours())
    state_of = frame.encode(before, before.motion_to(wide))
    goal = before.moved(frame.decode(before.centres, satisfied(state_of, frame, before, Wishes(close_gaps=True))))
    gaps = [contacts.gaps(teeth, pairs) for teeth in (wide, goal)]
    small = (gaps[0] > 0.05) & (gaps[0] < 0.9)
    assert gaps[1][small].mean() < 0.5 * gaps[0][small].mean()
    assert ((gaps[0] > 1.3) & (gaps[1] > 1)).sum() == (gaps[0] > 1.3).sum() > 0


def test_arch_width_is_kept(levelled, frame):
    wide = [(anatomy.slot_of(a), anatomy.slot_of(b)) for a, b in ((13, 23), (16, 26), (43, 33), (46, 36))]

    def change(wishes):
        motion, before = drawn(levelled, frame, wishes)
        return torch.stack([((motion.centre[:, a] - motion.centre[:, b]).norm(dim=-1)
                             - (before.centres[:, a] - before.centres[:, b]).norm(dim=-1)).abs() for a, b in wide])

    assert change(Wishes(keep_width=True)).max() < 0.05 and change(Wishes()).max() > 0.5


def test_midlines_come_where_they_are_wanted(levelled, frame):
    motion, before = drawn(levelled, frame, Wishes(midline_mm=1.0))
    slots = [anatomy.slot_of(11), anatomy.slot_of(21)]
    middle = [keys.edges(teeth)[:, slots, 0].mean(1) for teeth in (before.moved(motion), before)]
    assert torch.allclose(middle[0], middle[1] + 1.0, atol=0.05)
    assert keys.midline_shift(before.moved(motion)).abs().max() < 0.1


def test_impossible_wishes_are_refused():
    for wrong in ({"fixed": (19,)}, {"limit_mm": -1.0}, {"limit_deg": float("nan")}, {"midline_mm": 40.0}):
        with pytest.raises(InputError):
            Wishes(**wrong)
