"""Submit jobs, wait for them, cancel them, follow their events, see the queue and the GPU.

Start with ``client.py``.
"""
