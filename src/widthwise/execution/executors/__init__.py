"""Ways to run cohorts, one a file: in processes of this machine.

An executor takes the cohorts, most costly first, and a function that trains, measures and keeps one. It yields the
cohorts in work and how many trials have ended since it last did.
"""
