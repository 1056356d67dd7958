"""Any size, any number of workers: the engine's blocks, planned in tiles, on threads or on a cluster."""

from .plan import TilePlan, parse_bytes, plan_memory
from .run import SegmentProgress, segment

__all__ = ["SegmentProgress", "TilePlan", "parse_bytes", "plan_memory", "segment"]
