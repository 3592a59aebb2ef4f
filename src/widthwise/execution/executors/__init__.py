"""Ways to run cohorts, one per file: in processes of this machine.

An executor takes the cohorts, most costly first, and a function that trains, measures and keeps one. It yields the
cohorts that are running and the number of trials that have ended since the last yield.
"""
