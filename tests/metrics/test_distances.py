"""Closed forms of relatedness against the general formula, sampling, and other libraries."""

import numpy as np
import pytest
import torch
from scipy.cluster.hierarchy import linkage
from scipy.linalg import sqrtm
from scipy.spatial.distance import squareform
from sklearn.metrics import roc_auc_score

from mmbench.metrics.relatedness import (
    auroc,
    class_distances,
    class_linkage,
    histograms,
    pairwise_kl,
    pairwise_w2,
)


def gaussians(rows, seed, dim=3):
    random = np.random.default_rng(seed)
    return random.normal(size=(rows, dim)), random.uniform(0.3, 2.0, size=(rows, dim))


def test_w2_of_a_gaussian_with_itself_is_zero():
    x = gaussians(5, 0)
    assert np.diag(pairwise_w2(*x, *x)) == pytest.approx(0)


def test_w2_is_symmetric():
    x, y = gaussians(4, 0), gaussians(6, 1)
    assert pairwise_w2(*x, *y) == pytest.approx(pairwise_w2(*y, *x).T)


def test_w2_with_equal_scales_is_the_distance_of_the_means():
    (m, s), (n, _) = gaussians(4, 0), gaussians(4, 1)
    distance = np.diag(pairwise_w2(m, s, n, s))
    assert distance == pytest.approx(np.linalg.norm(m - n, axis=1))
    assert distance != pytest.approx(np.linalg.norm(m + n, axis=1)), "the sign printed in the paper is a misprint"


def test_w2_equals_the_general_matrix_formula():
    """|m - n|^2 + tr(C1 + C2 - 2 (C1^1/2 C2 C1^1/2)^1/2), Dowson and Landau 1982, by scipy's matrix square root."""
    (m, s), (n, t) = gaussians(4, 0), gaussians(6, 1)
    found = pairwise_w2(m, s, n, t)
    for i in range(4):
        for j in range(6):
            first, second = np.diag(s[i] ** 2), np.diag(t[j] ** 2)
            root = sqrtm(first)
            cross = sqrtm(root @ second @ root)
            squared = np.sum((m[i] - n[j]) ** 2) + np.trace(first + second - 2 * cross)
            assert found[i, j] == pytest.approx(np.sqrt(squared.real))


def test_symmetric_kl_equals_torch():
    (m, s), (n, t) = gaussians(4, 0), gaussians(6, 1)
    found = pairwise_kl(m, s, n, t)
    for i in range(4):
        for j in range(6):
            p = torch.distributions.Normal(torch.tensor(m[i]), torch.tensor(s[i]))
            q = torch.distributions.Normal(torch.tensor(n[j]), torch.tensor(t[j]))
            both = torch.distributions.kl_divergence(p, q) + torch.distributions.kl_divergence(q, p)
            assert found[i, j] == pytest.approx(float(both.sum()) / 2)


def test_auroc_equals_scikit_learn_with_ties():
    random = np.random.default_rng(0)
    positive, negative = random.integers(0, 8, 50) + 1.0, random.integers(0, 8, 70) + 0.0
    truth = roc_auc_score([1] * 50 + [0] * 70, np.concatenate([positive, negative]))
    assert auroc(positive, negative) == pytest.approx(truth)
    assert auroc(negative, positive) == pytest.approx(1 - truth)


def test_histograms_share_their_edges_and_sum_to_one():
    counts, edges = histograms(np.array([0.0, 1.0, 1.0]), np.array([1.0, 4.0]), 4)
    assert edges.tolist() == [0, 1, 2, 3, 4]
    assert counts.tolist() == [[1 / 3, 2 / 3, 0, 0], [0, 0.5, 0, 0.5]]


def test_class_distances_are_means_over_blocks():
    random = np.random.default_rng(0)
    distances, rows, columns = random.random((7, 5)), np.array([0, 1, 0, 1, 1, 0, 0]), np.array([1, 1, 0, 0, 1])
    found = class_distances(distances, rows, columns, 3)
    for i in range(2):
        for j in range(2):
            assert found[i, j] == pytest.approx(distances[np.ix_(rows == i, columns == j)].mean())
    assert np.isnan(found[2]).all()
    assert np.isnan(found[:, 2]).all()


@pytest.mark.parametrize("method", ["average", "single", "complete"])
def test_class_linkage_is_scipys_on_the_symmetrised_matrix(method):
    matrix = np.random.default_rng(0).random((6, 6)) + 1
    symmetric = (matrix + matrix.T) / 2 * (1 - np.eye(6))
    assert class_linkage(matrix, method) == pytest.approx(linkage(squareform(symmetric), method))
