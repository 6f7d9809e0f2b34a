//! CUDA as a provider: how it is set up, and whether it works here.

use ort::ep::{self, ArenaExtendStrategy, ExecutionProviderDispatch, cuda::ConvAlgorithmSearch};
use ort::session::builder::SessionBuilder;
use ort::value::TensorRef;

/// y = x · [3]: small, and yet it takes a context, memory, a kernel and cuBLAS. Written by scripts/make_onnx_fixtures.py.
const TRIAL: &[u8] = include_bytes!("trial.onnx");

/// `memory` bounds what one model takes of the GPU for its weights and batches.
pub(super) fn dispatch(memory: u64) -> ExecutionProviderDispatch {
    ep::CUDA::default()
        // On by default, it keeps ten bits of every factor: scores would differ from the CPU's in the third digit.
        .with_tf32(false)
        // The default times each algorithm and takes the fastest, on which the last digits hang.
        .with_conv_algorithm_search(ConvAlgorithmSearch::Heuristic)
        // The default doubles, and would run out of a small GPU with half of it unused.
        .with_arena_extend_strategy(ArenaExtendStrategy::SameAsRequested)
        .with_memory_limit(usize::try_from(memory).unwrap_or(usize::MAX))
        .build()
        .error_on_failure()
}

/// Runs a small model. Without it a provider counts as registered that finds no GPU.
pub(super) fn try_out(mut builder: SessionBuilder) -> Result<(), String> {
    let mut run = || -> ort::Result<f32> {
        let mut session = builder.commit_from_memory(TRIAL)?;
        let given = TensorRef::from_array_view(([1_usize, 1], [2.0_f32].as_slice()))?;
        let answers = session.run(ort::inputs!["x" => given])?;
        Ok(answers["y"].try_extract_tensor::<f32>()?.1.first().copied().unwrap_or(f32::NAN))
    };
    match run() {
        Ok(6.0) => Ok(()),
        Ok(wrong) => Err(format!("it reckons that 2 x 3 is {wrong}")),
        Err(error) => Err(error.to_string()),
    }
}
