//! The process that runs ONNX graphs for the backends; started by the extension's background worker, never by hand.

fn main() -> std::process::ExitCode {
    pg_persona::scorer::main(std::env::args_os().skip(1))
}
