"""Map models that run elsewhere: features and learner as one ONNX graph, and the little that is left to do in NumPy."""

from .export import FILES, export_onnx

__all__ = ["FILES", "export_onnx"]
