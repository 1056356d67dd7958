"""The paper's networks: encoder, critics, objective, views and their files. Arrays in, arrays out."""

from .config import ModelConfig
from .model import Model, load_model, require_same_model
from .network import Network
from .objective import Batch, Draw, Objective, ObjectiveOptions, draw, objective
from .standardise import Standardisation

__all__ = [
    "Batch",
    "Draw",
    "Model",
    "ModelConfig",
    "Network",
    "Objective",
    "ObjectiveOptions",
    "Standardisation",
    "draw",
    "load_model",
    "objective",
    "require_same_model",
]
