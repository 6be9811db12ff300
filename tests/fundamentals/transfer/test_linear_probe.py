"""The probe against scikit-learn's optimum on the features of a real body, and what it refuses."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from fathom.architectures.convolutional import resnet
from fathom.fundamentals.transfer.linear_probe import frozen_features, linear_probe


@pytest.mark.parametrize(("classes", "penalty"), [(2, 1.0), (3, 0.01), (5, 30.0)])
def test_it_ends_where_scikit_learn_ends(classes: int, penalty: float) -> None:
    """Probabilities are compared too: with two classes scikit-learn fits one row of weights, not two."""
    body = resnet.Config(depths=(1, 1), width=8, stem="3x3", classes=3, image_size=8).build().body
    labels = torch.arange(120) % classes
    images = torch.randn(120, 3, 8, 8) + 0.4 * labels[:, None, None, None]
    features = frozen_features(body, images.split(50))[:, :64].double()
    features = (features - features.mean(dim=0)) / (features.std(dim=0) + 1e-6)
    weight, bias = linear_probe(features, labels, penalty)
    # Of two classes scikit-learn decays the difference of the weights: a square twice as large as ours.
    strength = (2 if classes == 2 else 1) / penalty
    theirs = LogisticRegression(C=strength, solver="newton-cholesky", tol=1e-12).fit(
        features.numpy(), labels.numpy()
    )
    own = (features @ weight.T + bias).softmax(dim=1).numpy()
    np.testing.assert_allclose(own, theirs.predict_proba(features.numpy()), rtol=0, atol=1e-5)
    if classes > 2:
        coefficients = theirs.coef_ - theirs.coef_.mean(axis=0)
        np.testing.assert_allclose(weight.numpy(), coefficients, rtol=0, atol=1e-5)
        np.testing.assert_allclose(
            bias.numpy(), theirs.intercept_ - theirs.intercept_.mean(), rtol=0, atol=1e-4
        )


def test_features_are_those_of_a_body_at_rest_whose_state_stays() -> None:
    body = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2), torch.nn.Dropout(0.5))
    body[2].eval()
    before = {name: tensor.clone() for name, tensor in body.state_dict().items()}
    images = torch.randn(6, 1, 5, 5)
    whole, parts = frozen_features(body, [images]), frozen_features(body, images.split(4))
    assert whole.shape == (6, 18) and not whole.requires_grad
    torch.testing.assert_close(whole, parts, rtol=0, atol=1e-6)
    assert all(torch.equal(tensor, before[name]) for name, tensor in body.state_dict().items())
    assert [module.training for module in body] == [True, True, False]


ROWS, TWO = torch.zeros(4, 2), torch.tensor([0, 1, 0, 1])


@pytest.mark.parametrize(
    ("features", "labels", "penalty", "said"),
    [
        (torch.zeros(4), TWO, 1.0, r"shape \(4,\)"),
        (ROWS, TWO[:3], 1.0, r"labels \(3,\)"),
        (ROWS, TWO, 0.0, "penalty is 0.0"),
        (ROWS, TWO, float("inf"), "penalty is inf"),
        (ROWS + float("nan"), TWO, 1.0, "finite"),
        (ROWS, TWO.float(), 1.0, "whole"),
        (ROWS, torch.zeros(4, dtype=torch.long), 1.0, r"labels are \[0\]"),
        (ROWS, torch.tensor([0, 2, 0, 2]), 1.0, r"labels are \[0, 2\]"),
    ],
)
def test_what_is_refused(features: torch.Tensor, labels: torch.Tensor, penalty: float, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        linear_probe(features, labels, penalty)


def test_no_batches_are_refused() -> None:
    with pytest.raises(ValueError, match="batches is empty"):
        frozen_features(torch.nn.Identity(), [])
