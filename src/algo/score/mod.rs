//! (filled by its room)

pub mod onnx_scan;
