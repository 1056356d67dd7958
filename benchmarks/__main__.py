"""`make bench`: all figures that the documentation quotes."""

from __future__ import annotations

from . import engine, similarity
from .report import write

print(write("engine", engine.run()))
print(similarity.main([]))
