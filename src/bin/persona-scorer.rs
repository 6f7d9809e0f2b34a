//! The process that runs ONNX graphs for the backends; started by the extension's background worker, never by hand.

#[global_allocator]
static ALLOCATOR: pg_persona::scorer::WithReserve = pg_persona::scorer::WithReserve;

fn main() -> std::process::ExitCode {
    pg_persona::scorer::main(std::env::args_os().skip(1))
}
