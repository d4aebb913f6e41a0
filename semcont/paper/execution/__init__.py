"""Which networks and notebooks a preset needs, what they cost, and how they run: graph, plan, notebook, pipeline."""
