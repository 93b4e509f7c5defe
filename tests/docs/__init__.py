"""What the documentation says is tried: its commands, configurations and programs are run, its links followed.

docs/contribute/documentation.md tells how to write a block so that it is; `tests.docs.stages` has what each page needs.
"""
