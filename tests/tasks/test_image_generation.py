"""Image generation: the judge, its distances beside slow ones, answers, refusals and the report."""

import base64
import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fathom.data.drawn import bars
from fathom.data.split import Data, Part, Tensors
from fathom.deployment import preprocessing
from fathom.errors import InputError
from fathom.generative.gans import dcgan
from fathom.recipes.dcgan import JudgedDigits
from fathom.report.page import page
from fathom.task import Arrays, Boundary, Options, Task
from fathom.tasks import image_generation
from fathom.tasks.image_generation import Beside, ImageGeneration, frechet, judge, nearest, parts, spread

TASK = ImageGeneration(labels=("-", "|", "/", "\\"), channels=1, height=16, width=16, noise=8, samples=200)


@pytest.fixture(scope="module")
def beside() -> Beside:
    data = bars(size=16, train=1200, valid=600).load()
    place = torch.arange(600)
    assert data.valid is not None
    return Beside(Part(data.valid, place[:300]), data.train, Part(data.valid, place[300:]))


def model() -> dcgan.DCGAN:
    torch.default_generator.manual_seed(0)
    return dcgan.Config(image_size=16, noise=8, width=4).build()


# -- distances ----------------------------------------------------------------------------------------
def test_frechet_distance_equals_the_matrix_square_root() -> None:
    from scipy.linalg import sqrtm

    dice = np.random.default_rng(0)
    a = dice.normal(size=(400, 6)) @ dice.normal(size=(6, 6))
    b = dice.normal(size=(300, 6)) @ dice.normal(size=(6, 6)) + 1
    spreads = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = np.real(sqrtm(spreads[0] @ spreads[1]))
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(spreads[0] + spreads[1] - 2 * root)
    assert frechet(a, b) == pytest.approx(expected, rel=1e-6)
    assert frechet(a, a) == pytest.approx(0, abs=1e-6)


def test_frechet_distance_of_known_normal_distributions() -> None:
    line = np.array([[-1.0, 0.0], [1.0, 0.0], [0.0, -1.0], [0.0, 1.0]])
    assert frechet(line, line + np.array([3, 4])) == pytest.approx(25)  # only the means differ
    assert frechet(line, 2 * line) == pytest.approx(2 * (2 / 3) * (2 - 1) ** 2)  # only the spread does


def test_nearest_equals_all_pairs() -> None:
    dice = torch.Generator().manual_seed(0)
    many = torch.randint(0, 256, (5300, 1, 4, 4), generator=dice, dtype=torch.uint8)
    few = torch.randint(0, 256, (7, 1, 4, 4), generator=dice, dtype=torch.uint8)
    few[3] = many[5200]
    far, place = nearest(few, Tensors((many, torch.zeros(5300, dtype=torch.int64))))
    expected = torch.cdist(few.flatten(1).double() / 255, many.flatten(1).double() / 255).min(dim=1)
    np.testing.assert_allclose(far, expected.values.numpy(), atol=2e-3)
    assert place.tolist() == expected.indices.tolist()
    assert place[3] == 5200


def test_spread_is_the_variance_within_each_class() -> None:
    image = torch.tensor([0, 255, 0, 0, 255], dtype=torch.uint8)[:, None, None, None].expand(5, 1, 1, 2)
    assert spread(image, np.array([0, 0, 1, 1, 2]), 3).tolist() == [1.0, 0.0, 0.0]


# -- the judge ------------------------------------------------------------------------------------------
def test_judge_knows_what_it_learned_and_is_made_once(beside: Beside) -> None:
    expert = judge(beside.known, 4)
    image, label = beside.real.rows(torch.arange(300))
    shares, features = expert.look(image)
    assert (shares.argmax(axis=1) == label.numpy()).mean() > 0.9
    assert (shares.shape, features.shape) == ((300, 4), (300, 84))
    assert judge(Part(beside.known, torch.arange(1200)), 4) is expert  # the same pictures, read anew


def test_judge_is_the_same_each_time(beside: Beside, monkeypatch: pytest.MonkeyPatch) -> None:
    expert = judge(beside.known, 4)
    monkeypatch.setattr(image_generation, "_judges", {})
    again = judge(beside.known, 4)
    assert again is not expert
    for a, b in zip(expert.network.parameters(), again.network.parameters(), strict=True):
        assert torch.equal(a, b)


def test_features_are_what_the_last_layer_reads(beside: Beside) -> None:
    expert = judge(beside.known, 4)
    shares, features = expert.look(beside.real.rows(torch.arange(9))[0])
    output = expert.network.get_submodule("output")
    again = output(torch.from_numpy(features).float()).softmax(dim=1)
    np.testing.assert_allclose(again.detach().numpy(), shares, atol=1e-5)


def test_real_pictures_pass_and_copies_and_noise_do_not(beside: Beside) -> None:
    known = beside.known.rows(torch.arange(200))[0]
    held = beside.held.rows(torch.arange(200))[0]
    real = TASK.assess(held, beside).metrics
    assert real["recognised"] == real["recognised_real"] > 0.8
    assert real["smallest_share"] > 0.1
    assert real["frechet"] == pytest.approx(real["frechet_real"])
    assert real["variance_ratio"] > 0.8
    assert real["nearest_ratio"] == pytest.approx(1, abs=0.05)

    copies = TASK.assess(known, beside).metrics
    assert copies["nearest_ratio"] < 0.01
    one = TASK.assess(held[:1].repeat(200, 1, 1, 1), beside).metrics
    assert one["smallest_share"] == one["variance_ratio"] == 0
    noise = torch.randint(0, 256, held.shape, generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    worse = TASK.assess(noise, beside).metrics
    assert worse["frechet"] > 2 * real["frechet"]
    assert worse["nearest_ratio"] > 1.5


def test_evaluation_is_repeatable_and_items_average_to_the_metric(beside: Beside) -> None:
    network = Boundary(TASK, model())
    first, second = TASK.evaluate(network, beside), TASK.evaluate(network, beside)
    assert first.metrics == second.metrics
    assert len(first.items["recognised"]) == TASK.samples
    assert first.items["recognised"].mean() == pytest.approx(first.metrics["recognised"])
    assert first.score == first.metrics["recognised"]


def test_a_plain_or_reduced_split_has_companions(beside: Beside) -> None:
    plain = bars(size=16, train=64, valid=10).load().valid
    found = parts(plain)
    assert (len(found.real), len(found.known), len(found.held)) == (5, 5, 5)
    reduced = parts(Part(beside, torch.arange(50)))
    assert len(reduced.real) == 50
    assert reduced.known is beside.known and reduced.held is beside.held


def test_baselines_bracket_a_generator(beside: Beside) -> None:
    made = TASK.baselines(Data(train=beside.known, valid=beside))
    assert set(made) == {"real pictures", "pixels drawn alone"}
    assert made["real pictures"].metrics["frechet"] < made["pixels drawn alone"].metrics["frechet"]
    assert TASK.baselines(Data(train=beside.known)) == {}


# -- answers --------------------------------------------------------------------------------------------
def test_answers_are_pictures_that_a_seed_repeats() -> None:
    network = Boundary(TASK, model())
    items = [
        preprocessing.apply(TASK.preprocessing(), wish) for wish in ({"count": 3, "seed": 5}, {"seed": 6}, {})
    ]
    many, other, plain = TASK.respond(network, items)
    assert [len(answer["images"]) for answer in (many, other, plain)] == [3, 1, 1]
    picture = Image.open(io.BytesIO(base64.b64decode(many["images"][0])))
    assert (picture.format, picture.mode, picture.size) == ("PNG", "L", (16, 16))
    alone = TASK.respond(network, [preprocessing.apply(TASK.preprocessing(), {"count": 1, "seed": 5})])
    assert alone[0]["images"] == many["images"][:1]
    assert len({*many["images"], *other["images"], *plain["images"]}) == 5


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ({"count": 0}, "count takes a whole number from 1 to 100, not 0"),
        ({"count": 101}, "from 1 to 100"),
        ({"count": 2.5}, "whole number"),
        ({"seed": -1}, "seed takes a whole number from 0"),
        ({"count": "four"}, "whole number"),
        (7, "an item is a JSON object"),
    ],
)
def test_refuses_wishes_that_cannot_be_met(wish: object, words: str) -> None:
    with pytest.raises(InputError, match=words):
        preprocessing.apply(TASK.preprocessing(), wish)


def test_pixels_span_zero_to_one() -> None:
    def network(arrays: Arrays) -> Arrays:
        made = TASK.finish(torch.tensor([-1.0, 0.0, 1.0]).repeat(len(arrays["noise"]), 1))[0]
        return {"image": made.numpy()}

    assert TASK.generate(network, np.zeros((2, 8), dtype=np.float32)).tolist() == [[0, 128, 255]] * 2


def test_colour_pictures_are_written_with_their_colours_last() -> None:
    pixels = np.arange(12, dtype=np.uint8).reshape(3, 2, 2)
    picture = Image.open(io.BytesIO(base64.b64decode(image_generation.png(pixels))))
    np.testing.assert_array_equal(np.asarray(picture), pixels.transpose(1, 2, 0))


# -- the rest -------------------------------------------------------------------------------------------
def test_is_a_task_that_reads_no_files(tmp_path: Path) -> None:
    assert isinstance(TASK, Task)
    assert ImageGeneration.recognise(tmp_path, Options()) is None
    with pytest.raises(InputError, match="not learned to be generated from a folder"):
        ImageGeneration.read(tmp_path, Options())
    with pytest.raises(InputError, match="beside its own training data"):
        TASK.read_labelled(tmp_path, Options())


def test_refuses_sizes_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="samples is 1; it must be 2 or more"):
        ImageGeneration(labels=("a", "b"), channels=1, height=8, width=8, samples=1)
    with pytest.raises(ValueError, match="labels has 1 classes"):
        ImageGeneration(labels=("a",), channels=1, height=8, width=8)
    with pytest.raises(ValueError, match="valid is 10; it must be from 2,000"):
        JudgedDigits(valid=10)


def test_experiment_suits_the_task(beside: Beside) -> None:
    made = TASK.experiment(Data(train=beside.known, valid=beside), seed=4)
    assert (made.seed, made.model) == (4, dcgan.Config(image_size=16, noise=8))


def test_report_shows_samples_judge_and_neighbours(beside: Beside) -> None:
    evaluation = TASK.evaluate(Boundary(TASK, model()), beside)
    html = page("Samples", "", TASK.sections(evaluation, beside))
    for words in (
        "The first samples",
        "Frechet distance of features",
        "nearest known",
        "Variance in each class",
    ):
        assert words in html
