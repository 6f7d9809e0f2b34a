//! What ONNX Runtime says when something fails, for people to read; and whether it was for want of memory.

use std::borrow::Cow;

use super::arguments::Provider;
use crate::onnx::wire::{ErrorKind, Response};

/// An answer with ONNX Runtime's own words.
pub(super) fn failure(kind: ErrorKind, message: impl AsRef<str>) -> Response {
    Response::Error { kind, message: first_line(message.as_ref()) }
}

/// An answer for want of a GPU's memory.
pub(super) fn no_memory(provider: Provider, what: &str, problem: &str) -> Response {
    let (name, told) = (provider.name(), first_line(problem));
    let message = format!("provider \"{name}\" has no memory for the {what}: {told}");
    Response::Error { kind: ErrorKind::OutOfMemory, message }
}

/// One line without what belongs to a machine: its name, its directories, and places in ONNX Runtime's source.
///
/// Messages look like `/onnxruntime_src/…/cuda_call.cc:147 bool onnxruntime::CudaCall(…) [ONNXRuntimeError] : 1 : FAIL :
/// CUDA failure 2: out of memory ; GPU=0 ; hostname=db7 ; file=/onnxruntime_src/…`, and go on for pages.
pub(super) fn first_line(message: &str) -> String {
    let line = message.lines().find(|line| !line.trim().is_empty()).unwrap_or("no reason given");
    let line = line.split(" ; GPU=").next().unwrap_or(line);
    let line = match line.split_once("[ONNXRuntimeError] : ") {
        // A number and a name in capitals stand before the text.
        Some((_, told)) => told.splitn(3, " : ").nth(2).unwrap_or(told),
        None => line,
    };
    // The signatures of C++ stand before these.
    let start = STARTS.iter().find_map(|start| line.find(start));
    let line = start.map_or(line, |at| &line[at..]);
    let line = without_signature(line);
    let line: String = line.chars().filter(|c| !c.is_control()).collect();
    let words: Vec<&str> = line.split(' ').map(without_directories).collect();
    shortened(words.join(" ").trim())
}

/// Of more than 300 characters the whole words that fit.
fn shortened(line: &str) -> String {
    let Some((end, _)) = line.char_indices().nth(300) else { return line.to_owned() };
    let end = line[..end].rfind(' ').unwrap_or(end);
    format!("{} ...", line[..end].trim_end())
}

/// Without the place in a source file and the signature of the function there, which stand before what is told.
fn without_signature(line: &str) -> Cow<'_, str> {
    let is_place = |word: &str| {
        let Some((file, number)) = word.rsplit_once(':') else { return false };
        let is_source =
            [".cc", ".h", ".cpp", ".hpp", ".cu", ".cuh"].iter().any(|end| file.ends_with(end));
        is_source && !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
    };
    let Some(place) = line.split(' ').find(|word| is_place(word)) else { return line.into() };
    let Some((before, after)) = line.split_once(place) else { return line.into() };
    // The name of a function alone is none, and brackets behind it are of what is told.
    let is_signature = after.split('(').next().is_some_and(|start| start.contains("::"));
    let Some(mut told) = after_group(after, '(', ')').filter(|_| is_signature) else {
        return format!("{before}{}", after.trim_start()).into();
    };
    // Of operator() there are two.
    while let Some(further) = told.strip_prefix('(').and_then(|_| after_group(told, '(', ')')) {
        told = further;
    }
    // What a namespace without a name holds, or a function.
    while let Some(further) = told.strip_prefix("::") {
        let end = further.find([' ', '(']).unwrap_or(further.len());
        told = match further[end..].starts_with('(') {
            true => after_group(further, '(', ')').unwrap_or_default().trim_start_matches('>'),
            false => &further[end..],
        };
    }
    told = told.trim_start();
    told = told
        .strip_prefix("const ")
        .or_else(|| told.strip_prefix("const"))
        .unwrap_or(told)
        .trim_start();
    if told.starts_with("[with ") {
        told = after_group(told, '[', ']').unwrap_or(told).trim_start();
    }
    format!("{before}{told}").into()
}

/// What stands behind the first group of these brackets, with those in it.
fn after_group(text: &str, open: char, close: char) -> Option<&str> {
    let mut depth = 0;
    for (at, c) in text.char_indices() {
        if c == open {
            depth += 1;
        } else if c == close && depth > 0 {
            depth -= 1;
            if depth == 0 {
                return Some(&text[at + c.len_utf8()..]);
            }
        }
    }
    None
}

/// `/opt/onnxruntime/lib/libonnxruntime.so:` to `libonnxruntime.so:`.
fn without_directories(word: &str) -> &str {
    let is_path = word.starts_with('/') && word.len() > 1;
    word.trim_end_matches('/').rsplit('/').next().filter(|_| is_path).unwrap_or(word)
}

const STARTS: [&str; 7] = [
    "CUDA failure ",
    "CUBLAS failure ",
    "CUDNN failure ",
    "CUFFT failure ",
    "CURAND failure ",
    "Failed to allocate memory ",
    "Available memory of ",
];

pub(super) fn kind_of(problem: &str, otherwise: ErrorKind) -> ErrorKind {
    if is_out_of_memory(problem) { ErrorKind::OutOfMemory } else { otherwise }
}

/// ONNX Runtime has no code for it, only these words: of the C++ library, its own arena, and CUDA's libraries. Those
/// cannot be initialised for want of memory either, which cuDNN calls an internal error on a GPU that is full.
pub(super) fn is_out_of_memory(problem: &str) -> bool {
    [
        "bad_alloc",
        "Failed to allocate memory",
        "is smaller than requested bytes of",
        "out of memory",
        "CUDA_ERROR_OUT_OF_MEMORY",
        "ALLOC_FAILED",
        "ALLOCATION_FAILED",
        "CUBLAS failure 1:",
        "CUBLAS failure 3:",
        "CUDNN_STATUS_NOT_INITIALIZED",
        "CUDNN_STATUS_INTERNAL_ERROR",
    ]
    .iter()
    .any(|words| problem.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(message: &str, expected: &str) {
        assert_eq!(first_line(message), expected);
    }

    #[test]
    fn machines_and_directories_are_left_out() {
        check("", "no reason given");
        check("\n  model has\tno outputs \nmore", "model hasno outputs");
        check("a / b of 3/4 [n]", "a / b of 3/4 [n]");
        check(
            "/onnxruntime_src/core/session/provider_bridge_ort.cc:2043 onnxruntime::Provider& onnxruntime::Get() \
             [ONNXRuntimeError] : 1 : FAIL : Failed to load library /opt/ort/libonnxruntime_providers_cuda.so with \
             error: libcublas.so.13: cannot open shared object file: No such file or directory",
            "Failed to load library libonnxruntime_providers_cuda.so with error: libcublas.so.13: cannot open shared \
             object file: No such file or directory",
        );
        check(
            "/src/cuda_call.cc:154 void onnxruntime::CudaCall(ERRTYPE) [with ERRTYPE = cudaError] CUDA failure 2: out of \
             memory ; GPU=0 ; hostname=db7 ; file=/src/a.cc ; line=1 ; expr=cudaMalloc(&p, n);",
            "CUDA failure 2: out of memory",
        );
        check(
            "Non-zero status code returned while running Gemm node. Status Message: /src/bfc_arena.cc:360 void* \
             BFCArena::AllocateRawInternal(size_t, bool) Failed to allocate memory for requested buffer of size 9",
            "Failed to allocate memory for requested buffer of size 9",
        );
        check(
            "Non-zero status code returned while running Gather node. Name:'g' Status Message: \
             /onnxruntime_src/onnxruntime/core/providers/cpu/tensor/gather.cc:99 onnxruntime::common::Status \
             onnxruntime::Gather::Check(const std::function<void(int)>&, int) const indices element out of data bounds, idx=5 must be \
             within the inclusive range [-3,2]",
            "Non-zero status code returned while running Gather node. Name:'g' Status Message: indices element out of data bounds, idx=5 \
             must be within the inclusive range [-3,2]",
        );
        check(
            "/src/a.h:7 auto Foo::operator()(int) [with T = std::vector<int>] wrong size (of two)",
            "wrong size (of two)",
        );
        check("graph.cc:41 it failed", "it failed");
        check(
            "/src/string_normalizer.cc:91 onnxruntime::(anonymous namespace)::Locale::Locale(const std::string&)::<lambda()> Failed to \
             construct locale with name:en_US.UTF-8",
            "Failed to construct locale with name:en_US.UTF-8",
        );
        check(
            "a.cc:205 Compute Classifier: size (4) is less than 8 (of two)",
            "Compute Classifier: size (4) is less than 8 (of two)",
        );
        assert_eq!(first_line(&"long ".repeat(99)), format!("{}...", "long ".repeat(60)));
        assert_eq!(first_line(&"x".repeat(400)), format!("{} ...", "x".repeat(300)));
    }

    #[test]
    fn want_of_memory_is_told_by_the_words() {
        for problem in [
            "std::bad_alloc",
            "Failed to allocate memory for requested buffer of size 9",
            "Available memory of 5 is smaller than requested bytes of 9",
            "CUDA failure 2: out of memory ; GPU=0",
            "CUBLAS failure 3: the resource allocation failed",
            "CUDNN failure 2003: CUDNN_STATUS_SUBLIBRARY_ALLOCATION_FAILED",
            "CUDNN failure 4000: CUDNN_STATUS_INTERNAL_ERROR",
        ] {
            assert_eq!(kind_of(problem, ErrorKind::RunFailed), ErrorKind::OutOfMemory, "{problem}");
        }
        assert_eq!(kind_of("CUDA failure 700", ErrorKind::RunFailed), ErrorKind::RunFailed);
    }
}
