"""The pool of model slots: limits the calls to each model host across all workers on all machines.

Redis is authoritative, by its clock, and ``lua/gpu_*.lua`` make every decision; this package asks, listens, renews and
releases. It contains no HTTP and no models: health checks are injected. A dead worker's slots are freed when their
leases expire. While Redis is unreachable no slot is granted, and holders end their calls before their leases expire.
The keys are listed in ``ops/gpu.md``. Read ``pool.py`` next.
"""
