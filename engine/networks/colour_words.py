"""Which colour a sentence gives to each part: parts point at colour words, and colours are copied from there."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from engine.networks.sketch_text import CrossAttention, SelfBlock

_FIRST_WORD = 2


class Nearby(nn.Module):
    """Words take up those up to two places away, beside a shortcut: so an adjective belongs to its noun."""

    def __init__(self, width: int):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.mix = nn.Conv1d(width, width, 5, padding=2)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, known: Tensor) -> Tensor:
        heard = self.mix((self.norm(x) * known[..., None]).transpose(1, 2)).transpose(1, 2)
        return x + self.out(torch.nn.functional.gelu(heard))


class ColourWords(nn.Module):
    """Tokens (B, L) to logarithms of chances (B, parts, colours + 1) and a vector (B, parts, width) for each part.

    A part's colour is that of the word it points at, or what is usual where it points at none; the last "colour" is any
    other. So what was learned of one colour holds for all. palette: words and the [red, green, blue] in [0, 1] they
    mean; words that mean the same are one colour.
    """

    def __init__(self, words: Sequence[str], parts: int, palette: Sequence[tuple[str, Sequence[float]]],
                 length: int, width: int):
        super().__init__()
        colours = list(dict.fromkeys(tuple(colour) for _, colour in palette))
        meant = torch.zeros(len(words) + _FIRST_WORD, len(colours))
        for word, colour in palette:
            meant[words.index(word) + _FIRST_WORD, colours.index(tuple(colour))] = 1
        self.register_buffer("meant", meant, persistent=False)
        self.register_buffer("colours", 2 * torch.tensor(colours).reshape(-1, 3) - 1, persistent=False)
        self.words = nn.Embedding(len(words) + _FIRST_WORD, width)
        self.place = nn.Parameter(0.02 * torch.randn(length, width))
        self.nearby = nn.ModuleList(Nearby(width) for _ in range(2))
        self.block = SelfBlock(width)
        self.slots = nn.Parameter(torch.randn(parts, width))
        self.listen = nn.ModuleList(CrossAttention(width, width) for _ in range(2))
        self.think = nn.ModuleList(nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(),
                                                 nn.Linear(2 * width, width)) for _ in range(2))
        self.ask, self.tell = nn.Linear(width, width), nn.Linear(width, width)
        self.usual = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, len(colours) + 2))

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        known = tokens > 0
        longest = int(known.sum(1).max())
        tokens, known = tokens[:, :longest], known[:, :longest]
        x = self.words(tokens) + self.place[:longest]
        for near in self.nearby:
            x = near(x, known)
        x = self.block(x, known)
        slots = self.slots.expand(len(tokens), -1, -1)
        for listen, think in zip(self.listen, self.think):
            slots = slots + listen(slots, x, known)
            slots = slots + think(slots)
        return self._chances(slots, x, tokens).log(), slots

    def _chances(self, slots: Tensor, x: Tensor, tokens: Tensor) -> Tensor:
        """(B, parts, colours + 1), adding up to 1."""
        meant = self.meant[tokens]
        match = (self.ask(slots) @ self.tell(x).transpose(1, 2)).float() * x.shape[-1] ** -0.5
        match = match.masked_fill(meant.sum(-1)[:, None] == 0, float("-inf"))
        none, usual = self.usual(slots).float().split([1, meant.shape[-1] + 1], dim=-1)
        share = torch.softmax(torch.cat((match, none), dim=-1), dim=-1)
        named = torch.nn.functional.pad(share[..., :-1] @ meant, (0, 1))
        return (named + share[..., -1:] * torch.softmax(usual, dim=-1)).clamp(min=1e-4)
