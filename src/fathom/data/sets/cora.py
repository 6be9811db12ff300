"""Cora citation network, Planetoid split."""

from dataclasses import dataclass

import numpy as np

from fathom.data import places
from fathom.data.places import DataSet

SET = DataSet(
    name="cora",
    title="Cora citation network, Planetoid split",
    tasks=("graph node classification",),
    licence="no formal licence for the data; the split files are MIT",
    redistributable=False,
    citation=(
        "A. McCallum, K. Nigam, J. Rennie, K. Seymore; P. Sen et al.; split: Z. Yang, W. "
        "Cohen, R. Salakhutdinov: Collective Classification in Network Data, AI Magazine "
        "29(3), 2008; Revisiting Semi-Supervised Learning with Graph Embeddings, ICML 2016"
    ),
    home="https://linqs.org/datasets/",
    files={
        "cora.npz": ("5d5e79e4a9b19b99fadaea5c1535705cf95c6afcca62dfe5e99b150b050388c8", 105036),
    },
    counts={
        "nodes": 2708,
        "features": 1433,
        "directed_edges": 10556,
        "classes": 7,
        "train": 140,
        "val": 500,
        "test": 1000,
    },
    notes=(
        "Converted from the Planetoid files to plain arrays: binary word features as CSR "
        "parts, edge_index with both directions, sorted, without self-loops and duplicates. "
        "Class numbers are those of the Planetoid files; they carry no names there."
    ),
)


@dataclass(frozen=True)
class Citations:
    """Papers as nodes: word features (n, 1433), links (2, edges) both ways, topic, masks of the splits."""

    features: np.ndarray
    edges: np.ndarray
    labels: np.ndarray
    train: np.ndarray
    valid: np.ndarray
    test: np.ndarray


def read() -> Citations:
    """The public split: 20 papers of each topic to learn from, 500 to choose on, 1,000 to score."""
    with np.load(places.find(SET) / "cora.npz") as stored:
        starts, columns = stored["x_indptr"], stored["x_indices"]
        features = np.zeros(tuple(stored["x_shape"]), np.float32)
        features[np.repeat(np.arange(len(starts) - 1), np.diff(starts)), columns] = stored["x_data"]
        masks = [stored[f"{split}_mask"].astype(bool) for split in ("train", "val", "test")]
        return Citations(
            features, stored["edge_index"].astype(np.int64), stored["y"].astype(np.int64), *masks
        )
