"""Joint brightening and enlarging (after SRRIIE, arXiv 2410.12961): a condition that is melded with the state by time.

The publication names a time-melding condition without a formula; what follows is our reading of it.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine import schedules
from engine.networks.bases import RESIDUAL_SPREAD, residual_base
from engine.networks.blocks import TimeEmbedding
from engine.networks.eanet import Block
from engine.networks.haar import from_bands, to_bands

MELDS = ("learned", "linear", "concat")


class Melding(nn.Module):
    """w F(condition) + (1 - w) F(state), features (B, channels, H, W), with one weight w per channel and time.

    kind: "learned", w = sigmoid of a linear function of the time's embedding; "linear", w = t: where all is noise, only
    the condition counts; "concat", for comparison, a convolution of both that knows no time.
    """

    def __init__(self, kind: str, channels: int, embedding: int):
        super().__init__()
        if kind not in MELDS:
            raise ValueError(f"the melding {kind!r} is none of {', '.join(MELDS)}")
        self.kind = kind
        self.learn = nn.Linear(embedding, channels) if kind == "learned" else None
        self.mix = nn.Conv2d(2 * channels, channels, 1) if kind == "concat" else None

    def weight(self, embedding: Tensor, t: Tensor) -> Tensor:
        """w, (B, channels) in [0, 1]; (B, 1) where it is t itself."""
        return t[:, None] if self.learn is None else self.learn(embedding).sigmoid()

    def forward(self, state: Tensor, condition: Tensor, embedding: Tensor, t: Tensor) -> Tensor:
        if self.mix is not None:
            return self.mix(torch.cat((condition, state), dim=1))
        share = self.weight(embedding, t)[..., None, None].to(state.dtype)
        return state + share * (condition - state)


class MeldingUNet(nn.Module):
    """A U of activation-free blocks behind a Haar stem: two encoders, melded at every level on the way down.

    channels: of state and answer; cond_channels: of the condition; width: of the first level, doubled at each further
    one; encoder, middle, decoder: blocks per level. The condition has one block per level. A new one gives zeros.
    """

    def __init__(self, channels: int = 3, cond_channels: int = 8, width: int = 32, encoder: tuple[int, ...] = (3, 2),
                 middle: int = 2, decoder: tuple[int, ...] = (2, 2), meld: str = "learned"):
        super().__init__()
        self.multiple = 2 ** (1 + len(encoder))
        embedding = 4 * width
        widths = [width * 2**level for level in range(len(encoder) + 1)]
        self.time = TimeEmbedding(embedding)
        self.enter = nn.Conv2d(4 * channels, width, 3, padding=1)
        self.read = nn.Conv2d(4 * cond_channels, width, 3, padding=1)

        def blocks(count: int, channels: int) -> nn.ModuleList:
            return nn.ModuleList(Block(channels, embedding) for _ in range(count))

        def halves() -> nn.ModuleList:
            return nn.ModuleList(nn.Conv2d(c, 2 * c, 2, stride=2) for c in widths[:-1])

        self.condition = blocks(1, width) + nn.ModuleList(Block(c, embedding) for c in widths[1:])
        self.down = nn.ModuleList(blocks(count, c) for count, c in zip(encoder, widths))
        self.shrink, self.shrink_condition = halves(), halves()
        self.meld = nn.ModuleList(Melding(meld, c, embedding) for c in widths)
        self.middle = blocks(middle, widths[-1])
        self.grow = nn.ModuleList(nn.Sequential(nn.Conv2d(c, 2 * c, 1, bias=False), nn.PixelShuffle(2))
                                  for c in reversed(widths[1:]))
        self.up = nn.ModuleList(blocks(count, c) for count, c in zip(decoder, reversed(widths[:-1])))
        self.leave = nn.Conv2d(width, 4 * channels, 3, padding=1)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def forward(self, x: Tensor, t: Tensor, cond: Tensor) -> Tensor:
        """(B, channels, H, W) of any size, t (B,) and the condition (B, cond_channels, H, W) to the state's shape."""
        height, width = x.shape[-2:]
        pad = -width % self.multiple, -height % self.multiple
        if any(pad):
            x, cond = (F.pad(v, (0, pad[0], 0, pad[1]), mode="replicate") for v in (x, cond))
        embedding = self.time(t)
        h, c = self.enter(to_bands(x)), self.condition[0](self.read(to_bands(cond)), embedding)
        skips = []
        for level, blocks in enumerate(self.down):
            h = _through(blocks, self.meld[level](h, c, embedding, t), embedding)
            skips.append(h)
            h, c = self.shrink[level](h), self.condition[level + 1](self.shrink_condition[level](c), embedding)
        h = _through(self.middle, self.meld[-1](h, c, embedding, t), embedding)
        for grow, blocks in zip(self.grow, self.up):
            h = _through(blocks, grow(h) + skips.pop(), embedding)
        return from_bands(self.leave(h))[..., :height, :width]

    def weights(self, t: Tensor) -> list[Tensor]:
        """The condition's share w, (B, channels or 1), at each level from the finest; none where they are stacked."""
        embedding = self.time(t)
        return [meld.weight(embedding, t) for meld in self.meld if meld.kind != "concat"]


def _through(blocks: nn.ModuleList, h: Tensor, embedding: Tensor) -> Tensor:
    for block in blocks:
        h = block(h, embedding)
    return h


class IlluminationNet(nn.Module):
    """Corrects `residual_base`: predicts resnoise from (x_t, t, cond), cond (B, 8, H, W).

    cond: the brightened and enlarged preview, which is the degraded picture of the process, the packed sensor's red,
    two greens and blue, enlarged, and a plane that tells by how much was brightened.
    """

    def __init__(self, spread: float = RESIDUAL_SPREAD, **options):
        super().__init__()
        self.spread = spread
        self.schedule = schedules.residual()
        self.correction = MeldingUNet(**options)

    def forward(self, x: Tensor, t: Tensor, label: Tensor | None = None, cond: Tensor | None = None) -> Tensor:
        """Resnoise in x (B, 3, H, W), pictures in [-1, 1]; t (B,) in [0, 1]; no label."""
        kept = self.schedule.retained(t).to(x.dtype)[:, None, None, None]
        alpha, sigma = (v.to(x.dtype)[:, None, None, None] for v in self.schedule(t))
        base, scale = residual_base(x - kept * cond[:, :3], alpha, sigma, self.spread)
        return base + scale * self.correction(x, t, cond).to(x.dtype)
