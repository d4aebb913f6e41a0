"""What each of the two processes of test_distributed.py does; the first one saves what they found."""

import sys
from pathlib import Path

import torch
from torch import nn

import semcont
from semcont import distributed
from semcont.training import Recipe, generator_for

ATTACK = {"eps": 4 / 255, "step_size": 3 / 255, "steps": 2}
ARMS = ("c", "adv+c", "madry")


def bars(n: int = 26) -> semcont.ImageSet:
    """Bars whose place is the class, with noise; 26 is neither a multiple of the batch nor of two processes."""
    generator = torch.Generator().manual_seed(1)
    y = torch.randint(4, (n,), generator=generator)
    x = torch.randint(0, 90, (n, 3, 16, 16), generator=generator)
    for image, label in zip(x, y, strict=True):
        image[:, :, 4 * label : 4 * label + 4] += 120
    return semcont.ImageSet("bars", x.to(torch.uint8), y, tuple("abcd"))


def network(norm: str) -> nn.Module:
    settings = {"classes": 4, "width": 8, "stem": "cifar-stride2", "norm": norm}
    return semcont.build("resnet18-slim3", generator=generator_for(0, "weights"), **settings)


def fitted(arm: str, norm: str, *, model: nn.Module | None = None, resume: dict | None = None, **options) -> dict:
    """Losses, weights and states of two epochs, by default in batches of 7, 7, 6 and 6 images."""
    model, states = model or network(norm), []
    recipe = Recipe(**{"lr": 0.05, "epochs": 2, "batch_size": 8, "augment": "crop-flip"} | options)
    objective = semcont.Objective(arm, attack=ATTACK)
    history = semcont.fit(model, bars(), objective, recipe, seed=0, resume=resume, on_epoch=states.append)
    return {"history": history, "weights": model.state_dict(), "states": states}


def counted() -> dict:
    """How often the wrapped network, and the network in it, is forwarded in one epoch of `adv+c`."""
    calls = {"wrapped": 0, "network": 0}

    class Counting(nn.parallel.DistributedDataParallel):
        def forward(self, *inputs):
            calls["wrapped"] += 1
            return super().forward(*inputs)

    plain, model = nn.parallel.DistributedDataParallel, network("group")
    model.register_forward_hook(lambda *_: calls.update(network=calls["network"] + 1))
    nn.parallel.DistributedDataParallel = Counting
    recipe = Recipe(lr=0.05, epochs=1, batch_size=8)
    semcont.fit(model, bars(), semcont.Objective("adv+c", attack=ATTACK), recipe, seed=0)
    nn.parallel.DistributedDataParallel = plain
    return calls


def main(path: Path) -> None:
    torch.set_num_threads(1)
    with distributed.joined() as world:
        found = {(arm, norm): fitted(arm, norm) for arm in ARMS for norm in ("group", "batch")}
        found["pieces"] = fitted("adv+c", "batch", accumulate=2, batch_size=16)
        state = found["adv+c", "batch"]["states"][0]
        found["resumed"] = fitted("adv+c", "batch", model=network("batch"), resume=state)
        found["calls"] = counted()
        found["world"] = (world.size, world.total(torch.tensor([1.0 + world.rank])).item())
        found["agreed"] = world.agree(lambda: f"process {world.rank}")
        try:
            fitted("base", "batch", sync_batch_norm=True)
        except ValueError as error:
            found["sync"] = str(error)
        if world.first:
            torch.save(found, path)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
