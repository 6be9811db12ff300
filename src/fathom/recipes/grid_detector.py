"""Recipes for the grid detector."""

from fathom.applications.detection import grid_detector as system
from fathom.data.boxes import BloodCells, Mirror
from fathom.tasks.detection import Detection
from fathom.training import Adam, Experiment, GradientDescent, OneCycle

CELLS = ("RBC", "WBC", "Platelets")


def grid_detector(model: system.Config = system.Config()) -> Experiment:  # noqa: B008
    """FCOS on one grid, on photographs of blood that differ in size: red cells, white cells, platelets."""
    return Experiment(
        model=model,
        data=BloodCells(),
        task=Detection(labels=CELLS, multiple=model.stride),
        learning=GradientDescent(
            objective=system.CellTargets(stride=model.stride),
            optimizer=Adam(learning_rate=4e-3),
            schedule=OneCycle(),
            clip_norm=10.0,
        ),
        augment=(Mirror(),),
        batch_size=8,
        steps=800,
    )
