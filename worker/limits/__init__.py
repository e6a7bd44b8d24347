"""Leases that workers share besides jobs: slots of a host, and conversations."""
