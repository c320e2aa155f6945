"""The benchmark suite: Batuta beside every rival, in one interleaved run.

`python -m benches` from the repository root, with the project's own Python. Two sides:

* the runner (`cli`, `runner`, the drivers, `environments`, `peers`, `machine`, `stats`, `report`,
  `charts`, `page`) never touches an event loop;
* the workers (`worker`, `server`, `footprint`, all on `wire`) run one loop each, in a process of
  their own, with that loop's own environment. They import nothing but the standard library,
  `benches`, the loop's package and what a row names as its need.

`rows` is what both sides share: what there is to measure. `docs/benchmarks.md` has the method.
"""
