//! The process that runs ONNX graphs for the backends; started by the extension's background worker, never by hand.

#[global_allocator]
static ALLOCATOR: pg_persona::onnx::process::WithReserve = pg_persona::onnx::process::WithReserve;

fn main() -> std::process::ExitCode {
    pg_persona::onnx::process::main(std::env::args_os().skip(1))
}
