//! A batch through a model: the tensors in, the run under watch, the outputs out.

use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use ort::session::{RunOptions, SessionOutputs};

use super::arguments::Provider;
use super::hangup::Work;
use super::problem::{failure, is_out_of_memory, no_memory};
use super::serve::Shared;
use super::sessions::Model;
use super::{answer, convert, system};
use crate::onnx::wire::{self, ErrorKind, Output, Response, Run};

/// Why there are no outputs.
struct Problem {
    text: String,
    want: Want,
}

enum Want {
    Nothing,
    /// Of memory that the model may not have.
    Limit,
    /// Of memory that was refused.
    Memory,
}

impl From<convert::Error> for Problem {
    fn from(error: convert::Error) -> Self {
        let text = error.to_string();
        let want = match error {
            convert::Error::OutputTooLarge { .. } => Want::Limit,
            convert::Error::NoMemory(_) => Want::Memory,
            _ if is_out_of_memory(&text) => Want::Memory,
            _ => Want::Nothing,
        };
        Self { text, want }
    }
}

pub(super) fn score(
    run: &Run,
    model: &Model,
    shared: &Shared,
    slot: usize,
    stream: &Arc<UnixStream>,
) -> Response {
    if run.batch.n_rows == 0 {
        return failure(ErrorKind::InputMismatch, "batch has no rows");
    }
    let are_all = run.outputs.is_empty();
    let wanted: Vec<&str> = if are_all {
        model.outputs.iter().map(|port| port.name.as_str()).collect()
    } else {
        run.outputs.iter().map(String::as_str).collect()
    };
    if let Some(unknown) =
        wanted.iter().find(|name| model.outputs.iter().all(|port| port.name != **name))
    {
        return failure(ErrorKind::InputMismatch, format!("model has no output \"{unknown}\""));
    }
    // A model that takes so many rows at a time is given them in parts.
    let at_once = convert::rows_at_once(&model.inputs).filter(|n| *n != run.batch.n_rows);
    let width: u64 = run.batch.tensors.iter().map(|tensor| u64::from(tensor.width)).sum();
    if let Some(n) = at_once.filter(|n| 8 * width * u64::from(*n) > shared.max_batch as u64) {
        let message = format!("model takes {n} rows at a time, more than there is room for");
        return failure(ErrorKind::ModelTooLarge, message);
    }
    let parts = match at_once.map(|n| run.batch.parts(n)).transpose() {
        Ok(parts) => parts,
        Err(error @ wire::Error::NoMemory { .. }) => {
            shared.runtime.forget_all();
            return failure(ErrorKind::OutOfMemory, error.to_string());
        }
        Err(error) => return failure(ErrorKind::InputMismatch, error.to_string()),
    };
    let batches = parts.as_deref().unwrap_or(std::slice::from_ref(&run.batch));
    let inputs = batches.iter().map(|batch| convert::inputs(batch, &model.inputs));
    let inputs = match inputs.collect::<Result<Vec<_>, _>>() {
        Ok(inputs) => inputs,
        Err(error @ convert::Error::NoMemory(_)) => {
            shared.runtime.forget_all();
            return failure(ErrorKind::OutOfMemory, error.to_string());
        }
        Err(error) => return failure(error.of_inputs(), error.to_string()),
    };
    let options = match RunOptions::new() {
        Ok(options) => Arc::new(options),
        Err(error) => return failure(ErrorKind::Internal, error.to_string()),
    };
    // Before the wait for the session: who hangs up meanwhile has a run that ends at once.
    let work = Work::Run(Arc::clone(&options));
    let watched = shared.hang_ups.watch(stream, slot, run.sha256, work);
    let mut session = model.session();
    watched.begin();
    let allowed = shared.max_batch as u64;
    let mut all = Vec::new();
    let mut step = |inputs| -> Result<(), convert::Error> {
        let values = session.run_with_options(inputs, &options)?;
        let left = allowed.saturating_sub(all.iter().map(Output::size).sum());
        let mut found = outputs(&wanted, &values, left, are_all)?;
        let Some(n_rows) = at_once else {
            all = found;
            return Ok(());
        };
        answer::as_rows(&mut found, n_rows);
        if are_all {
            found.retain(|output| output.shape.first() == Some(&i64::from(n_rows)));
        }
        answer::join(&mut all, found, n_rows)
    };
    let result = inputs.into_iter().try_for_each(&mut step).map(|()| {
        if at_once.is_some() {
            answer::shorten(&mut all, run.batch.n_rows);
        }
        all
    });
    drop(session);
    let hung_up = watched.hung_up();
    drop(watched);
    match result {
        Ok(outputs) => {
            model.finished.fetch_add(1, Relaxed);
            shared.runs.fetch_add(1, Relaxed);
            shared.rows.fetch_add(run.batch.n_rows.into(), Relaxed);
            Response::Outputs { outputs, warning: model.warning.clone() }
        }
        Err(_) if hung_up => {
            shared.cancelled.fetch_add(1, Relaxed);
            failure(ErrorKind::Cancelled, "nobody waits for the answer")
        }
        Err(error) => failed(run, model, &error.into(), shared),
    }
}

/// So many bytes in all. Of all outputs those are left out that cannot be read: nobody has asked for them by name.
fn outputs(
    wanted: &[&str],
    values: &SessionOutputs<'_>,
    allowed: u64,
    are_all: bool,
) -> Result<Vec<Output>, convert::Error> {
    let mut left = allowed;
    let mut outputs = Vec::new();
    for &name in wanted {
        let value = values.get(name).ok_or_else(|| convert::Error::NoOutput(name.to_owned()))?;
        let output = match answer::output(name, value, left) {
            Err(convert::Error::UnsupportedOutput(_)) if are_all => continue,
            output => output?,
        };
        left = left.saturating_sub(output.size());
        outputs.push(output);
    }
    Ok(outputs)
}

fn failed(run: &Run, model: &Model, problem: &Problem, shared: &Shared) -> Response {
    let on_gpu = model.provider != Provider::Cpu;
    match problem.want {
        // A GPU without room: the caller sends the model once more, for the room that others left or for the CPU.
        Want::Memory if on_gpu && is_out_of_memory(&problem.text) => {
            if shared.runtime.fall_back(run.sha256) {
                Response::NeedModel
            } else {
                no_memory(model.provider, "batch", &problem.text)
            }
        }
        Want::Memory => {
            shared.runtime.forget_all();
            failure(ErrorKind::OutOfMemory, &problem.text)
        }
        // It keeps what its largest batch took.
        Want::Limit => {
            shared.runtime.drop_model(&run.sha256);
            failure(ErrorKind::OutOfMemory, &problem.text)
        }
        Want::Nothing => {
            if on_gpu {
                look_after(model.provider, &problem.text, shared);
            }
            failure(ErrorKind::RunFailed, &problem.text)
        }
    }
}

/// After a failure on a GPU: a kernel that reads where it may not ends CUDA for the whole process, and with it for all
/// other models. Only a new process helps.
fn look_after(provider: Provider, problem: &str, shared: &Shared) {
    match shared.runtime.try_out(provider) {
        Err(after) if !is_out_of_memory(&after) => {
            system::say(&format!("{} is broken: {problem}; {after}", provider.name()));
            shared.broken.store(true, Relaxed);
        }
        _ => {}
    }
}
