"""python -m engine.forward_models [TOY...]: train the toys' networks (all of them by default) and store them."""

import sys

import torch

from engine.forward_models import stored
from engine.forward_models.toys import TOYS


def main(names: list[str]) -> None:
    """Train and store the toys with these names."""
    for name in names or TOYS:
        if name not in TOYS:
            raise SystemExit(f"There is no toy {name[:40]!r}. Choose of " + ", ".join(TOYS) + ".")
        torch.manual_seed(0)
        network = TOYS[name].network()
        losses = TOYS[name].train(network)
        print(f"{stored.save(name, network)}: loss {sum(losses[:100]) / 100:.4f}, at the end "
              f"{sum(losses[-100:]) / 100:.4f}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
