"""CPython's own `test.test_asyncio`, run with Batuta as the event loop.

    python -m tests.conformance --help

Role: answer one question for the running interpreter: which of the tests that stock asyncio
passes does another loop pass?  Only *generic* tests are asked: those that get their loop from a
factory (`asyncio.new_event_loop`, the policy, `asyncio.SelectorEventLoop`, `asyncio.EventLoop`,
`asyncio.run`, `Runner`, `IsolatedAsyncioTestCase`) and therefore say nothing about how the loop
is made.  A test that builds its own `TestLoop`, `BaseEventLoop` or mock is about stock's Python
code and is not asked.

Which tests are generic is not a list kept by hand: stock runs every test with the same counting
class in place of its loop class, and a test is generic if at least one loop was made through that
class between its start and its end.  The count is taken per interpreter build and kept under
`build/conformance/`.

The rooms, in the direction of dependence:

    subject.py     child: the class that stands in for stock's loop class, and where it is put
    child.py       child: runs one test file, announcing each test over a pipe
    slots.py       child: `--slots` and `--accelerated`, native classes in the place of asyncio's
    outcomes.py    the words both sides use for how a test ended
    watchdog.py    parent: one child process per file; time limit per test, hangs, crashes, restarts
    reference.py   parent: what stock does with the same tests, cached
    expected.py    parent: the list of expected failures and its limits
    report.py      parent: verdicts per test, table, tracebacks, closing line
    __main__.py    parent: the command line

docs/conformance.md tells how to read the result.
"""
