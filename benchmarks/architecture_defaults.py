"""Our convolutional networks as they come, against torchvision's and timm's at their best.

``architectures.py`` gives both sides the same switches. Here ours are used as people use them: a training
step is the one of ``fathom train`` and ``fathom fit``, with all that it checks and measures, and an inference
is what ``fathom predict`` and ``fathom serve`` call, pixels in, probabilities out. The others get what their
documentation and torch's advise for a processor: the fused optimizer, gradients set to None,
``inference_mode``, and of the plain layout and channels last the one that is quicker here, which is tried
first for each network. With ``--compile`` the compiled network is tried as well, which takes minutes and a
C++ compiler. Both sides have float32, equal weights, the same pictures and as many threads, and take turns
step by step. ``--nets``, ``--peers`` and ``--only`` measure a part; rows of earlier calls stay.
"""

import time
from collections.abc import Callable
from typing import Any

import peers  # noqa: F401 - before torchvision and timm
import torch
import torch.nn.functional as F
from pairs import keep, options, paired, shown
from torch import Tensor, nn
from torchvision.transforms import functional as pixelwise

from architectures import LIBRARIES, NETS, Peer, peer
from fathom.task import Boundary
from fathom.tasks.image_classification import ImageClassification
from fathom.training import SGD, CrossEntropy, GradientDescent
from fathom.training.parallel import Parallel

GOAL = "<= 0.95 (a goal, no gate)"
RATE, MOMENTUM = 1e-4, 0.9
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SIDE, CLASSES = 224, 1000
WARM, TRIED = 2, 3  # steps before a setting is timed, and timed ones of which the quickest counts
PLAIN, LAST, COMPILED = "plain layout", "channels last", ", compiled"

Step = Callable[[], float]  # makes one step and returns its seconds


def timed(work: Callable[[], object]) -> Step:
    def step() -> float:
        began = time.perf_counter()
        work()
        return time.perf_counter() - began

    return step


def our_training(net: nn.Module, pixels: Tensor) -> Step:
    how = GradientDescent(objective=CrossEntropy(), optimizer=SGD(learning_rate=RATE, momentum=MOMENTUM))
    learner = how.learner(net, 10**6, Parallel())
    batch = normalised(pixels), torch.arange(len(pixels))
    return timed(lambda: learner.update(batch, 0))


def our_inference(net: nn.Module, pixels: Tensor) -> Step:
    labels = tuple(str(i) for i in range(CLASSES))
    task = ImageClassification(
        labels=labels, channels=3, height=SIDE, width=SIDE, mean=MEAN, deviation=DEVIATION
    )
    network, given = Boundary(task, net), {"image": pixels.numpy()}
    return timed(lambda: network(given))


def their_training(net: nn.Module, pixels: Tensor, layout: torch.memory_format) -> Step:
    optimizer = torch.optim.SGD(net.parameters(), lr=RATE, momentum=MOMENTUM, nesterov=True, fused=True)
    images, labels = normalised(pixels).contiguous(memory_format=layout), torch.arange(len(pixels))
    net.train()

    def work() -> None:
        optimizer.zero_grad(set_to_none=True)
        F.cross_entropy(net(images), labels).backward()
        optimizer.step()

    return timed(work)


def their_inference(net: nn.Module, pixels: Tensor, layout: torch.memory_format) -> Step:
    net.eval()
    given = pixels.numpy()

    def work() -> None:
        with torch.inference_mode():
            images = normalised(torch.from_numpy(given)).contiguous(memory_format=layout)
            net(images).softmax(dim=1).numpy()

    return timed(work)


KINDS = {"training step": (our_training, their_training), "inference": (our_inference, their_inference)}


def normalised(pixels: Tensor) -> Tensor:
    """As torchvision's own presets do it; ours happens in the task."""
    images = pixelwise.convert_image_dtype(pixels, torch.float32)
    return pixelwise.normalize(images, [*MEAN], [*DEVIATION], inplace=True)


def their_step(other: Peer, ours: nn.Module, kind: str, pixels: Tensor, how: str) -> Step:
    """A step of their network, with the weights of ours and the settings that ``how`` names, warm."""
    theirs = other.make()
    theirs.load_state_dict(other.state(ours))
    layout = torch.channels_last if how.startswith(LAST) else torch.contiguous_format
    theirs.to(memory_format=layout)  # type: ignore[call-overload]
    images = normalised(pixels)
    with torch.inference_mode():
        wanted, found = ours.eval()(images), theirs.eval()(images)
    apart = float((wanted - found).abs().max() / wanted.abs().max())
    assert apart < 1e-3, f"the two networks answer otherwise, by {apart:.1e} of the largest logit"
    net: Any = torch.compile(theirs) if how.endswith(COMPILED) else theirs
    step = KINDS[kind][1](net, pixels, layout)
    for _ in range(WARM):
        step()
    return step


def at_its_best(
    other: Peer, ours: nn.Module, kind: str, pixels: Tensor, compiling: bool
) -> tuple[str, Step, dict[str, float]]:
    """Of the documented settings the quickest here: its name, a step with it, and the seconds of each."""
    tried: dict[str, float] = {}
    for how in (layout + end for end in ("", COMPILED)[: 1 + compiling] for layout in (PLAIN, LAST)):
        step = their_step(other, ours, kind, pixels, how)
        tried[how] = min(step() for _ in range(TRIED))
        del step  # with its network: two of VGG need the memory of four
    best = min(tried, key=lambda how: tried[how])
    return best, their_step(other, ours, kind, pixels, best), tried


def main() -> None:
    parser = options(__doc__, [*KINDS])
    parser.add_argument("--nets", nargs="+", choices=[*NETS], default=[*NETS])
    parser.add_argument("--peers", nargs="+", choices=LIBRARIES, default=list(LIBRARIES))
    parser.add_argument("--compile", action="store_true", help="let the others try compiled networks too")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    for net in args.nets:
        make, _, _, batch = NETS[net]
        pixels = torch.randint(256, (batch, 3, SIDE, SIDE), dtype=torch.uint8)
        for kind in args.only:
            torch.manual_seed(0)
            ours = make()
            step = KINDS[kind][0](ours, pixels)
            for library in args.peers:
                how, other, tried = at_its_best(peer(library, net), ours, kind, pixels, args.compile)
                for _ in range(WARM):
                    step()
                found = paired(step, other, args.pairs)
                what = f"{net}: milliseconds, {kind}, batch {batch}"
                row = {
                    "what": f"{what}, our defaults, {library} at its best",
                    "ours": f"{found['ours_median'] * 1e3:.0f}",
                    "other": f"{library} {found['other_median'] * 1e3:.0f}, {how}",
                    "ratio": shown(found), "goal": GOAL,
                }  # fmt: skip
                about = found | {"threads": args.threads, "tried": tried}
                keep("architecture_defaults", [row], {f"{net}, {kind}, {library}": about}, args.out)


if __name__ == "__main__":
    main()
