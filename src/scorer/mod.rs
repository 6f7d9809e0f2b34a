//! The ONNX process.
