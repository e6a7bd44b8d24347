"""The pool of GPU slots: who may call which model host, across all workers on all machines.

Redis is the authority and its clock the only one (``lua/gpu_*.lua`` hold every decision); this package asks,
listens, renews and releases. It knows no HTTP and no model: what a host's health check is, is handed in. When a
worker dies its slots come free with their leases; when Redis is away, nobody gets a slot, and holders end their calls
before their leases end. The keys are listed in ``ops/gpu.md``. Read ``pool.py`` next.
"""
