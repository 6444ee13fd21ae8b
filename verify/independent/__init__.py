"""A second route from files to network and query: its own readers, standard library only.

They share no line with `verify.importer` and `verify.spec`, and their digests must equal theirs.  What is not plain is
refused with a reason, never guessed.  `bundle` makes one file of them that runs under `python -I -S`.
"""
