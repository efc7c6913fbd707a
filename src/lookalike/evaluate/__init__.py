"""What a run measures: operating points, latency, exact neighbours, and measures with their intervals."""
