"""Other projects' test suites, as they are, on stock asyncio and on Batuta.

`projects.toml` names the projects; `projects` gets them and makes their environments; `runs` runs a
suite in the three ways; `plugin/` has the pytest plugin that says what came of each test;
`verdicts` compares; `python -m tests.suites` is the command.
"""
