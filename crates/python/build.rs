//! Makes the interpreter's version known to the code as `cfg(Py_3_12)` and the like, and how the
//! module is compiled, which the benchmarks show beside their figures.

use std::env::var;

fn main() {
    pyo3_build_config::use_pyo3_cfgs();
    // Cargo says "release" for every profile that inherits from it and "debug" for all others.
    let profile = var("PROFILE").unwrap_or_default();
    let level = var("OPT_LEVEL").unwrap_or_default();
    println!("cargo::rustc-env=BATUTA_BUILD={profile}, opt-level {level}");
}
