"""Maps from frozen features to the space in which tasks are compared."""

from taskaware.bodies.residual import BodyConfig, ResidualBody

__all__ = ["BodyConfig", "ResidualBody"]
