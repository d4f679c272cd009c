"""Real workers, real servers, faults drawn from a seed, and an oracle that counts what was lost and what was repeated.

    python -m tests.chaos --seed 7 --faults 100 --database postgresql

`plan` draws the faults, `faults` injects them, `workers` and `servers` and `databases` are what they hit, `traffic`
keeps jobs coming, `jobs` are those jobs, `oracle` and `recoveries` look at what is left.
"""
