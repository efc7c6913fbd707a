"""The machine and its processes: cores, memory, mounts, credentials, children that run apart."""
