"""The light client of Sightline: submit jobs, wait for results, read events. Start at ``client.py``."""
