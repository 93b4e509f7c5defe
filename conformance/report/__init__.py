"""What came of a run, for people and programs: a page, JUnit XML, text, and two runs compared.

All of it reads `conformance.suite.verdict` and nothing else of the suite.
"""
