"""The paper's networks: encoder, critics, objective, views and their files. Arrays in, arrays out."""

from .checkpoint import load_model
from .config import ModelConfig
from .model import Model, require_same_model
from .network import Network
from .objective import Objective, ObjectiveOptions, objective
from .standardise import Standardisation

__all__ = [
    "Model",
    "ModelConfig",
    "Network",
    "Objective",
    "ObjectiveOptions",
    "Standardisation",
    "load_model",
    "objective",
    "require_same_model",
]
