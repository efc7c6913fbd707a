"""Runs: what one leaves, where it lies, how it is found again and searched.

record       record.json, a run's truth: MLflow and every report are views of it
results      from measured points to the parts of a record
session      what the runs of one process share, and what each stage did
plan         what a run will do: points expanded, checked and named once
naming       keys and labels of operating points
paths        the names of all output files and folders: nothing else spells them
catalog      which runs there are, and which a word means: nothing else looks for them
points       the best of several operating points, and the one that is meant
opener       a finished run, opened to be looked at and searched: nothing is built for it
stored       what a finished run left in the store
searching    a query, what it found, and how far that is from exact
recompose    an experiment as the values that a record keeps, and back
"""
