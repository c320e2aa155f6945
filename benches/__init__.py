"""The benchmark suite: Batuta beside every rival, in one interleaved run.

`python -m benches` from the repository root, with the project's own Python. Two sides:

* the runner never touches an event loop: `cli` and `arguments`, `runner` and the drivers,
  `settings` and `pace`, `environments`, `child`, `load` and `peers`, `machine`, `figures` and
  `stats`, `report`, `aims`, `losses`, `charts` and `page`; `uring` has a runner of its own;
* the workers (`worker`, `server`, `footprint`, all on `wire`) run one loop each, in a process of
  their own, with that loop's own environment. They import nothing but the standard library,
  `benches`, the loop's package and what a row names as its need.

`rows` is what both sides share: what there is to measure. `docs/benchmarks.md` has the method.
"""
