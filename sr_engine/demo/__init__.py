"""The main job, played end to end on this machine: a processor, two Suppliers and three CSPs as separate processes."""
