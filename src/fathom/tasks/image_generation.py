"""Image generation: noise in, pictures out, judged by a classifier that knows real ones.

A picture cannot be right or wrong, so a judge is trained here on the pictures the generator learned
from, which have labels: LeNet-5, always with the same seed. Its opinion of drawn samples is set beside
its opinion of real pictures that neither has seen.
"""

import base64
import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from fathom.architectures.convolutional import lenet
from fathom.data.split import Data, InMemory, Part, Split
from fathom.errors import InputError
from fathom.report.blocks import BarChart, Gallery, Picture, Table
from fathom.report.page import Section
from fathom.task import Arrays, Evaluation, Network, Options, Port, Sighting, Task
from fathom.training.randomness import key

if TYPE_CHECKING:
    from fathom.training.experiment import Experiment

SURE = 0.9  # probability from which on the judge is said to recognise a picture
MOST = 100  # pictures of one answer


# -- the judge --------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Beside:
    """Real pictures to compare samples with; those the generator learned from; and a third, unseen part.

    Each split has rows (image uint8 (b, c, h, w), label int64 (b,)).
    """

    real: Split
    known: Split
    held: Split

    def __len__(self) -> int:
        return len(self.real)

    def rows(self, index: Tensor) -> tuple[Tensor, ...]:
        return self.real.rows(index)


def parts(split: Any) -> Beside:
    """``split`` with its companions. A plain one is halved: even rows are known, odd ones were not seen."""
    whole = split.whole if isinstance(split, Part) else split
    if isinstance(whole, Beside):
        return Beside(split, whole.known, whole.held)
    place = torch.arange(len(split))
    known, unseen = Part(split, place[::2]), Part(split, place[1::2])
    return Beside(unseen, known, unseen)


def first(split: Split, count: int) -> tuple[Tensor, np.ndarray]:
    """At most ``count`` images and labels from the start of ``split``."""
    image, label = split.rows(torch.arange(min(count, len(split))))
    return image, label.numpy()


class Judge:
    """LeNet-5 trained on labelled pictures, with what it thinks of others."""

    def __init__(self, known: Split, classes: int, seed: int = 0) -> None:
        from fathom.tasks.image_classification import ImageClassification
        from fathom.training import AdamW, CrossEntropy, Experiment, GradientDescent, OneCycle, train

        channels, height, width = known.rows(torch.arange(1))[0].shape[1:]
        self.task = ImageClassification(
            labels=tuple(map(str, range(classes))), channels=channels, height=height, width=width,
            mean=(0.5,) * channels, deviation=(0.5,) * channels,
        )  # fmt: skip
        batch = 128
        experiment = Experiment(
            model=lenet.Config(image_size=height, channels=channels, classes=classes),
            data=InMemory(Data(train=known)),
            task=self.task,
            learning=GradientDescent(
                objective=CrossEntropy(), optimizer=AdamW(learning_rate=5e-3), schedule=OneCycle()
            ),
            batch_size=batch,
            steps=max(60, 5 * len(known) // batch),  # five epochs: after two it doubts a real digit in twenty
            seed=seed,
        )
        learner = experiment.learner()
        train(learner, experiment.source(experiment.data.load()), steps=experiment.steps, seed=seed)
        self.network = learner.model.eval()

    @torch.inference_mode()
    def look(self, image: Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities (n, classes) and features, the layer before them (n, 84), of uint8 images."""
        kept: list[Tensor] = []
        layer = self.network.get_submodule("f6")
        hook = layer.register_forward_hook(lambda module, given, made: kept.append(torch.tanh(made)))
        try:
            made = [self.task.finish(self.network(*self.task.prepare(p)))[0] for p in image.split(500)]
        finally:
            hook.remove()
        return torch.cat(made).numpy(), torch.cat(kept).numpy().astype(np.float64)


_judges: dict[str, Judge] = {}


def judge(known: Split, classes: int) -> Judge:
    """The judge trained on ``known``: made once in a process, since that takes up to half a minute."""
    image, label = known.rows(torch.arange(len(known)))
    content = hashlib.blake2b(image.numpy().tobytes() + label.numpy().tobytes()).hexdigest()
    if content not in _judges:
        _judges[content] = Judge(known, classes)
    return _judges[content]


# -- distances ----------------------------------------------------------------------------------------
def frechet(a: np.ndarray, b: np.ndarray) -> float:
    """Frechet distance between normal distributions fitted to two sets of features (n, f).

    |m_a - m_b|^2 + tr(A + B - 2 (A B)^(1/2)) (Dowson and Landau 1982; Heusel et al. 2017). The root's
    trace is taken from the eigenvalues of A^(1/2) B A^(1/2), which is symmetric.
    """
    means, spreads = [x.mean(axis=0) for x in (a, b)], [np.cov(x, rowvar=False) for x in (a, b)]
    values, vectors = np.linalg.eigh(spreads[0])
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    middle = np.linalg.eigvalsh(root @ spreads[1] @ root)
    gap = float(((means[0] - means[1]) ** 2).sum())
    return gap + float(np.trace(spreads[0] + spreads[1]) - 2 * np.sqrt(middle.clip(0)).sum())


def nearest(image: Tensor, known: Split) -> tuple[np.ndarray, np.ndarray]:
    """Euclidean distance of each image (values in [0, 1]) to the nearest of ``known``, and its number."""
    x = image.flatten(1).float() / 255
    least, place = torch.full((len(x),), float("inf")), torch.zeros(len(x), dtype=torch.int64)
    for start in range(0, len(known), 5000):
        index = torch.arange(start, min(start + 5000, len(known)))
        y = known.rows(index)[0].flatten(1).float() / 255
        # |x - y|^2 = |x|^2 - 2 x y + |y|^2: one matrix product for each piece
        squares = x.square().sum(1)[:, None] - 2 * x @ y.t() + y.square().sum(1)
        value, where = squares.min(dim=1)
        better = value < least
        least, place = torch.where(better, value, least), torch.where(better, where + start, place)
    return least.clamp(min=0).sqrt().numpy(), place.numpy()


def spread(image: Tensor, label: np.ndarray, classes: int) -> np.ndarray:
    """For each class, the variance of its images around their mean, summed over pixels; 0 below two."""
    x = image.flatten(1).numpy() / 255.0
    groups = [x[label == c] for c in range(classes)]
    return np.array([g.var(axis=0, ddof=1).sum() if len(g) > 1 else 0.0 for g in groups])


# -- the task -----------------------------------------------------------------------------------------
@dataclass(frozen=True, kw_only=True)
class ImageGeneration:
    """Pictures of one size out of ``noise`` normal numbers; ``labels`` are what the judge tells apart."""

    labels: tuple[str, ...]
    channels: int
    height: int
    width: int
    noise: int = 100
    samples: int = 1000  # drawn for an evaluation

    def __post_init__(self) -> None:
        for name, least in (("channels", 1), ("height", 1), ("width", 1), ("noise", 1), ("samples", 2)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be {least} or more")
        if len(self.labels) < 2:
            raise ValueError(f"labels has {len(self.labels)} classes; a judge tells two or more apart")

    # -- its own data ---------------------------------------------------------------------------
    @staticmethod
    def recognise(path: Path, options: Options) -> Sighting | None:
        """Nothing: a folder of pictures is taken for classification."""
        return None

    @classmethod
    def read(cls, path: Path, options: Options) -> tuple[Task, Data]:
        """Refuses: generators are trained by recipes only."""
        raise InputError(f"{path}: pictures are not learned to be generated from a folder; run a recipe")

    def read_labelled(self, path: Path, options: Options) -> Data:
        """Refuses: a judge is trained on what the generator learned from."""
        raise InputError(f"{path}: a generator is judged beside its own training data; run fathom verify")

    def experiment(self, data: Data, seed: int) -> "Experiment":
        """A DCGAN with the paper's settings."""
        from fathom.generative.gans import dcgan
        from fathom.training.experiment import Experiment

        return Experiment(
            model=dcgan.Config(image_size=self.height, channels=self.channels, noise=self.noise),
            data=InMemory(data),
            task=self,
            learning=dcgan.Adversarial(average=0.999),
            batch_size=64,
            steps=6000,
            seed=seed,
        )

    # -- the network's boundary -------------------------------------------------------------------
    def inputs(self) -> tuple[Port, ...]:
        return (Port("noise", "float32", ("batch", self.noise)),)

    def outputs(self) -> tuple[Port, ...]:
        return (Port("image", "float32", ("batch", self.channels, self.height, self.width)),)

    def preprocessing(self) -> list[dict[str, Any]]:
        """A wish: how many pictures, and the seed of their noise; both may be left out."""
        wishes = (("count", 1, 1, MOST), ("seed", 0, 0, 2**53))
        return [
            {"operation": "number", "input": name, "field": name, "default": default}
            | {"low": low, "high": high, "dtype": "int64"}
            for name, default, low, high in wishes
        ]

    def prepare(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Nothing to do: noise is taken as it is, and the learner scales the pictures it learns from."""
        return inputs

    def finish(self, output: Tensor) -> tuple[Tensor, ...]:
        """Pixels from 0 to 1, of a generator that makes them from -1 to 1."""
        return ((output.float() + 1) / 2,)

    def draw(self, count: int, *seed: int | str) -> np.ndarray:
        """Noise float32 (count, noise), a function of ``seed``."""
        dice = np.random.Generator(np.random.PCG64(key("noise", *seed)))
        return dice.standard_normal((count, self.noise), dtype=np.float32)

    def collate(self, items: Sequence[Arrays]) -> Arrays:
        """The first noise of each wish."""
        return {"noise": np.concatenate([self.draw(1, int(item["seed"])) for item in items])}

    # -- answers -------------------------------------------------------------------------------------
    def respond(self, network: Network, items: Sequence[Arrays]) -> list[dict[str, Any]]:
        """For each wish its pictures, as base64 text of PNG files."""
        answers = []
        for item in items:
            pixels = self.generate(network, self.draw(int(item["count"]), int(item["seed"])))
            answers.append({"images": [png(p) for p in pixels.numpy()]})
        return answers

    def generate(self, network: Network, noise: np.ndarray, batch: int = 250) -> Tensor:
        """Images uint8 (n, c, h, w) out of noise (n, noise)."""
        made = [network({"noise": noise[i : i + batch]})["image"] for i in range(0, len(noise), batch)]
        return torch.from_numpy((np.concatenate(made) * 255).round().clip(0, 255).astype(np.uint8))

    def examples(self) -> list[Any]:
        return [{"count": 4, "seed": 1}, {"count": 1, "seed": 2**53}, {}]

    def page(self) -> str:
        return '<json-input></json-input><images-output field="images"></images-output>'

    # -- how good ------------------------------------------------------------------------------------
    def evaluate(self, network: Network, split: Any) -> Evaluation:
        """``samples`` pictures under the judge's eyes, beside real ones.

        ``recognised``      share that the judge knows with a probability above 0.9
        ``smallest_share``  share of the rarest class among all, counting recognised ones only
        ``frechet``         distance of the judge's features from those of ``split``; ``frechet_real``: the
                            same for as many real pictures that nobody has seen
        ``variance_ratio``  variance within a class beside that of real pictures, in the worst class
        ``nearest_ratio``   distance to the nearest training picture beside that of unseen real ones,
                            class by class, averaged
        """
        image = self.generate(network, self.draw(self.samples, "evaluation"))
        return self.assess(image, parts(split))

    def assess(self, image: Tensor, beside: Beside) -> Evaluation:
        """What the judge says of images uint8 (n, c, h, w)."""
        expert, classes = judge(beside.known, len(self.labels)), len(self.labels)
        real, real_label = first(beside.real, len(beside.real))
        held, held_label = first(beside.held, self.samples)
        (shares, features), (_, real_features) = expert.look(image), expert.look(real)
        held_shares, held_features = expert.look(held)
        label, sure = shares.argmax(axis=1), shares.max(axis=1) > SURE
        counts = np.bincount(label[sure], minlength=classes) / len(image)
        far, place = nearest(image, beside.known)
        held_far, _ = nearest(held, beside.known)
        variance = spread(image, label, classes) / spread(real, real_label, classes).clip(1e-12)
        present = [c for c in range(classes) if (label == c).any() and (held_label == c).any()]
        ratios = [far[label == c].mean() / max(held_far[held_label == c].mean(), 1e-12) for c in present]
        metrics = {
            "recognised": float(sure.mean()),
            "recognised_real": float((held_shares.max(axis=1) > SURE).mean()),
            "smallest_share": float(counts.min()),
            "frechet": frechet(features, real_features),
            "frechet_real": frechet(held_features, real_features),
            "variance_ratio": float(variance.min()),
            "nearest_ratio": float(np.mean(ratios)),
        }
        detail = {
            "image": image.numpy(), "label": label, "probability": shares.max(axis=1), "counts": counts,
            "variance": variance, "far": far, "place": place,
        }  # fmt: skip
        return Evaluation(metrics, "recognised", {"recognised": sure.astype(np.float64)}, detail=detail)

    def baselines(self, data: Data) -> dict[str, Evaluation]:
        """Real pictures that were not learned from, and pixels that are each drawn for themselves."""
        if data.valid is None:
            return {}
        beside = parts(data.valid)
        held, _ = first(beside.held, self.samples)
        dice = np.random.Generator(np.random.PCG64(key("pixels")))
        known = first(beside.known, 10_000)[0].flatten(1).numpy()
        chosen = dice.integers(len(known), size=(self.samples, known.shape[1]))
        pixels = np.take_along_axis(known, chosen, axis=0).reshape(-1, *held.shape[1:])
        return {
            "real pictures": self.assess(held, beside),
            "pixels drawn alone": self.assess(torch.from_numpy(pixels), beside),
        }

    def sections(self, evaluation: Evaluation, split: Any) -> list[Section]:
        """Samples, the judge's numbers, and the training pictures that come nearest."""
        detail, found = evaluation.detail, evaluation.metrics
        image, label, sure = detail["image"], detail["label"], detail["probability"]
        known = parts(split).known
        drawn = [Picture(flat(p)) for p in image[:100]]
        pairs: list[Picture] = []
        for i in np.argsort(detail["far"])[:12]:
            twin = known.rows(torch.tensor([int(detail["place"][i])]))[0][0].numpy()
            pairs.append(Picture(flat(image[i]), "sample", f"{self.labels[label[i]]} at {sure[i]:.2f}"))
            pairs.append(Picture(flat(twin), "nearest known", f"distance {detail['far'][i]:.2f}"))
        rows = [
            ["recognised, probability above 0.9", found["recognised"], found["recognised_real"]],
            ["Frechet distance of features", found["frechet"], found["frechet_real"]],
            ["share of the rarest class", found["smallest_share"], None],
            ["variance in the worst class, real = 1", found["variance_ratio"], 1.0],
            ["distance to the nearest known picture, real = 1", found["nearest_ratio"], 1.0],
        ]
        return [
            Section("Samples", [Gallery(drawn, "The first samples, none left out")]),
            Section(
                "The judge",
                [
                    Table(["measure", "samples", "unseen real pictures"], rows),
                    BarChart(
                        self.labels, detail["counts"].tolist(), caption="Share recognised as each class"
                    ),
                    BarChart(
                        self.labels, detail["variance"].tolist(), caption="Variance in each class, real = 1"
                    ),
                ],
                "A LeNet-5 trained on the same pictures, with their labels, gives its opinion.",
            ),
            Section(
                "Nothing learned by heart",
                [Gallery(pairs, "The samples nearest to a training picture, and that picture")],
            ),
        ]


def flat(pixels: np.ndarray) -> np.ndarray:
    """uint8 (c, h, w) as pictures are written: (h, w) where grey, else (h, w, 3)."""
    return pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)


def png(pixels: np.ndarray) -> str:
    """uint8 (c, h, w) as the base64 text of a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(flat(pixels))).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


TASK = ImageGeneration
