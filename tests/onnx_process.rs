//! The scorer process from outside: spawned as the supervisor spawns it, asked as a backend asks.
//!
//! Needs the ONNX Runtime library: `PERSONA_ONNXRUNTIME=/path/to/libonnxruntime.so cargo test --features onnx-runtime`. Without
//! it the tests say so and pass.

use std::io::{BufRead, BufReader, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use pg_persona::onnx::wire::{
    Batch, CHUNK, Data, Element, ErrorKind, Output, Request, Response, Run, Sha256, Status, Tensor,
    VERSION, read_frame, slots,
};
use sha2::{Digest, Sha256 as Hasher};

#[test]
fn every_fixture_scores_as_scikit_learn_does() {
    let Some(library) = library() else { return };
    let scorer = Scorer::start(&library, &[]);
    for name in [
        "columns_logistic",
        "columns_logistic_zipmap",
        "logistic",
        "logistic_zipmap",
        "linear_regressor",
        "boosted_trees",
    ] {
        check_fixture(&scorer, name);
    }
}

#[test]
fn a_model_is_described_by_name_type_and_shape() {
    let Some(library) = library() else { return };
    let scorer = Scorer::start(&library, &[]);
    let mut client = scorer.connect();
    let sha256 = client.load(&fixture("columns_logistic_zipmap"));
    let Response::Described(described) = client.ask(&Request::Describe { sha256 }) else {
        panic!("not described")
    };
    let inputs: Vec<_> = described
        .inputs
        .iter()
        .map(|port| (port.name.as_str(), port.element, port.shape.clone()))
        .collect();
    assert_eq!(
        inputs,
        [
            ("spend", Element::Float, vec![-1, 1]),
            ("visits", Element::Int64, vec![-1, 1]),
            ("region", Element::String, vec![-1, 1])
        ]
    );
    assert_eq!(described.outputs.iter().map(|port| port.zipmap).collect::<Vec<_>>(), [false, true]);
}

#[test]
fn a_wrong_library_gives_a_reason_within_a_second() {
    let Some(library) = library() else { return };
    let place = Place::new();
    let write = |name: &str, bytes: &[u8]| {
        let path = place.path(name);
        std::fs::write(&path, bytes).expect("write");
        path
    };
    let whole = std::fs::read(&library).expect("the library");
    check_no_start(Path::new("/nowhere/libonnxruntime.so"), &[], "library: ");
    check_no_start(&place.directory, &[], "library: ");
    check_no_start(&write("text", b"not a library"), &[], "library: ");
    check_no_start(&write("short", &whole[..1 << 16]), &[], "library: ");
    check_no_start(&write("half", &whole[..whole.len() / 2]), &[], "library: ");
    check_no_start(
        &write("mark", &[&b"\x7fELF\x02"[..], &[0; 99], b"VERS_1.31.1"].concat()),
        &[],
        "library: ",
    );
    check_no_start(&library, &["--providers", "tpu"], "start: ");
}

#[test]
fn a_provider_that_cannot_be_had_is_a_warning_or_by_wish_an_error() {
    let Some(library) = library() else { return };
    let scorer = Scorer::start(&library, &["--providers", "cuda,cpu"]);
    let Response::Hello(hello) = scorer.connect().ask(&Request::Hello { version: VERSION }) else {
        panic!("no hello")
    };
    if hello.providers == ["cuda", "cpu"] {
        return println!("skipped: this machine has CUDA");
    }
    assert_eq!(hello.providers, ["cpu"]);
    let warning = hello.warning.expect("the fallback is not silent");
    assert!(warning.contains("cuda"), "{warning}");
    check_no_start(&library, &["--providers", "cuda,cpu", "--require-first"], "provider: ");
}

#[test]
fn a_foreign_user_is_refused() {
    let Some(library) = library() else { return };
    let scorer = Scorer::start(&library, &[]);
    let exe = std::env::current_exe().expect("this test's own path");
    let foreigner = Command::new(exe)
        .args(["--exact", "as_a_foreigner", "--ignored", "--nocapture"])
        .env("PERSONA_TEST_SOCKET", &scorer.place.socket)
        .current_dir("/")
        .uid(65534)
        .output();
    let Ok(output) = foreigner else {
        return println!("skipped: not root, so no other user to be");
    };
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        text.contains("answer: Forbidden"),
        "{text} {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
#[ignore = "run by a_foreign_user_is_refused as another user"]
fn as_a_foreigner() {
    let Some(socket) = std::env::var_os("PERSONA_TEST_SOCKET") else { return };
    let mut stream = UnixStream::connect(socket).expect("the socket is open to all in this test");
    match read_frame(&mut stream).map(|frame| frame.map(Response::decode)) {
        Ok(Some(Ok(Response::Error { kind, .. }))) => println!("answer: {kind:?}"),
        other => println!("answer: {other:?}"),
    }
}

#[test]
fn a_hang_up_ends_the_run() {
    let Some(library) = library() else { return };
    let scorer = Scorer::start(&library, &[]);
    let mut client = scorer.connect();
    let sha256 = client.load(&fixture("slow"));
    client.send(&slow_run(sha256));
    std::thread::sleep(Duration::from_millis(300));
    drop(client);
    let mut other = scorer.connect();
    let start = Instant::now();
    while other.status().cancelled == 0 {
        assert!(start.elapsed() < Duration::from_secs(5), "the run goes on");
        std::thread::sleep(Duration::from_millis(20));
    }
    println!("stopped {:?} after the hang-up", start.elapsed());
    assert!(matches!(other.ask(&small_run(sha256)), Response::Outputs { .. }));
}

#[test]
fn a_killed_scorer_is_an_end_of_file_and_its_slots_say_what_it_was_at() {
    let Some(library) = library() else { return };
    let mut scorer = Scorer::start(&library, &[]);
    let mut client = scorer.connect();
    let sha256 = client.load(&fixture("slow"));
    assert_eq!(scorer.at_work(), []);
    client.send(&slow_run(sha256));
    std::thread::sleep(Duration::from_millis(300));
    let start = Instant::now();
    scorer.child.kill().expect("our own child");
    assert!(client.receive().is_none());
    assert!(start.elapsed() < Duration::from_secs(1));
    scorer.child.wait().expect("our own child");
    assert_eq!(scorer.at_work(), [(sha256, 0)]);
}

#[test]
fn a_process_tells_how_often_a_model_had_run_in_it() {
    let Some(library) = library() else { return };
    let mut scorer = Scorer::start(&library, &[]);
    let mut client = scorer.connect();
    let sha256 = client.load(&fixture("slow"));
    assert!(matches!(client.ask(&small_run(sha256)), Response::Outputs { .. }));
    client.send(&slow_run(sha256));
    std::thread::sleep(Duration::from_millis(300));
    scorer.child.kill().expect("our own child");
    scorer.child.wait().expect("our own child");
    assert_eq!(scorer.at_work(), [(sha256, 1)]);
}

#[test]
fn a_refused_model_is_neither_loaded_nor_run() {
    let Some(library) = library() else { return };
    let model = fixture("logistic");
    let hex: String = Hasher::digest(&model).iter().map(|byte| format!("{byte:02x}")).collect();
    let scorer = Scorer::start(&library, &["--refuse", &hex]);
    let mut client = scorer.connect();
    assert_eq!(client.try_load(&model), Err(ErrorKind::ModelPoisonous));
    check_fixture(&scorer, "boosted_trees");
}

#[test]
fn hostile_models_are_refused_before_a_session_is_made() {
    let Some(library) = library() else { return };
    let scorer = Scorer::start(&library, &[]);
    let mut client = scorer.connect();
    // A second part of the graph, with a tensor whose data are external.
    let external = [&fixture("logistic")[..], &[0x3a, 4, 0x2a, 2, 0x70, 1]].concat();
    assert_eq!(client.try_load(&external), Err(ErrorKind::ModelRefused));
    assert_eq!(client.try_load(b"not a model"), Err(ErrorKind::ModelRefused));
    let no_such_operator = {
        let mut model = fixture("slow");
        let at = model.windows(3).position(|bytes| bytes == b"Cos").expect("the model has cosines");
        model[at..at + 3].copy_from_slice(b"Cox");
        model
    };
    assert_eq!(client.try_load(&no_such_operator), Err(ErrorKind::ModelInvalid));
    let sha256 = client.load(&fixture("logistic"));
    assert!(matches!(client.ask(&small_run(sha256)), Response::Outputs { .. }));
}

#[test]
fn mutants_of_models_are_answered_or_end_the_process_but_never_hang() {
    let Some(library) = library() else { return };
    let mut scorer = Scorer::start(&library, &[]);
    let n_mutants =
        std::env::var("PERSONA_TEST_MUTANTS").ok().and_then(|n| n.parse().ok()).unwrap_or(400_u64);
    let names =
        ["logistic", "logistic_zipmap", "linear_regressor", "boosted_trees", "columns_logistic"];
    let (mut n_refused, mut n_loaded, mut n_ends) = (0, 0, 0);
    let mut state = 88_172_645_463_325_252_u64;
    let mut next = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    let mut client = scorer.connect();
    for i in 0..n_mutants {
        let mut model = fixture(names[i as usize % names.len()]);
        for _ in 0..=next(3) {
            let at = next(model.len());
            model[at] = next(256) as u8;
        }
        let sha256: Sha256 = Hasher::digest(&model).into();
        client.send_model(sha256, &model);
        match client.receive() {
            Some(Response::Ready { .. }) => {
                n_loaded += 1;
                client.send(&small_run(sha256));
                if client.receive().is_some() {
                    continue;
                }
            }
            Some(_) => {
                n_refused += 1;
                continue;
            }
            None => {}
        }
        n_ends += 1;
        scorer = Scorer::start(&library, &[]);
        client = scorer.connect();
    }
    println!(
        "{n_mutants} mutants: {n_refused} refused, {n_loaded} loaded, {n_ends} ends of the process"
    );
}

#[test]
fn what_does_not_fit_the_model_is_refused_by_name() {
    let Some(library) = library() else { return };
    let scorer = Scorer::start(&library, &[]);
    let mut client = scorer.connect();
    let sha256 = client.load(&fixture("columns_logistic"));
    let one = |name: &str, data| Tensor { name: name.to_owned(), width: 1, data };
    let spend = || one("spend", Data::F32(vec![1.0]));
    let visits = || one("visits", Data::I64(vec![1]));
    let region = || one("region", Data::Str(vec!["north".to_owned()]));
    let mut check = |tensors: Vec<Tensor>, expected: &str| {
        let run = Run { sha256, outputs: vec![], batch: Batch { n_rows: 1, tensors } };
        match client.ask(&Request::Run(run)) {
            Response::Error { kind: ErrorKind::InputMismatch, message } => {
                assert_eq!(message, expected)
            }
            other => panic!("{other:?}"),
        }
    };
    check(vec![spend(), visits()], "input \"region\" is not given");
    check(
        vec![spend(), visits(), region(), one("age", Data::I64(vec![1]))],
        "model has no input \"age\"",
    );
    check(vec![spend(), spend(), visits(), region()], "input \"spend\" is given twice");
    check(
        vec![one("spend", Data::Str(vec![String::new()])), visits(), region()],
        "input \"spend\" takes numbers, not text",
    );
    check(
        vec![spend(), one("visits", Data::F32(vec![0.5])), region()],
        "input \"visits\" takes whole numbers, not fractions",
    );
    check(
        vec![spend(), visits(), one("region", Data::Str(vec!["a\0".to_owned()]))],
        "input \"region\" has text with a NUL byte",
    );
    check(
        vec![Tensor { width: 2, ..one("spend", Data::F32(vec![1.0; 2])) }, visits(), region()],
        "input \"spend\" takes 1 columns, not 2",
    );
    let Response::Error { message, .. } = client.ask(&Request::Run(Run {
        sha256,
        outputs: vec!["nothing".to_owned()],
        batch: Batch { n_rows: 1, tensors: vec![spend(), visits(), region()] },
    })) else {
        panic!("an output that is not there")
    };
    assert_eq!(message, "model has no output \"nothing\"");
}

#[test]
fn a_client_that_does_not_keep_to_the_protocol_hurts_only_itself() {
    let Some(library) = library() else { return };
    let scorer = Scorer::start(&library, &[]);
    let mut client = scorer.connect();
    let refused = |response| matches!(response, Response::Error { kind: ErrorKind::Protocol, .. });
    assert!(refused(client.ask(&Request::Hello { version: VERSION + 1 })));
    assert!(refused(client.ask(&Request::LoadChunk(vec![1]))));
    client.send(&Request::LoadBegin { sha256: [1; 32], total: 5 });
    assert!(refused(client.ask(&Request::Status)));
    client.send(&Request::LoadBegin { sha256: [1; 32], total: 3 });
    assert!(refused(client.ask(&Request::LoadChunk(b"abc".to_vec()))), "sha256 is checked");
    assert_eq!(client.ask(&Request::Have { sha256: [1; 32] }), Response::NeedModel);
    assert_eq!(client.ask(&small_run([1; 32])), Response::NeedModel);
    client.stream.write_all(&[0xff; 64]).expect("write");
    assert!(client.receive().is_none(), "a frame beyond the limit ends the connection");
    check_fixture(&scorer, "logistic");
}

#[test]
fn more_than_the_memory_is_refused_and_the_process_lives() {
    let Some(library) = library() else { return };
    let scorer = Scorer::start(&library, &["--memory", "67108864"]);
    let mut client = scorer.connect();
    assert_eq!(client.try_load(&vec![8; 17 << 20]), Err(ErrorKind::ModelTooLarge));
    let sha256 = client.load(&fixture("slow"));
    match client.ask(&slow_run(sha256)) {
        Response::Error { kind, message } => assert_eq!(kind, ErrorKind::OutOfMemory, "{message}"),
        _ => panic!("a batch of half the memory was run"),
    }
    assert!(matches!(client.ask(&run_of(sha256, 1 << 17)), Response::Outputs { .. }));
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", scorer.child.id()))
        .expect("our own child");
    assert!(
        limits.lines().any(|line| line.starts_with("Max data size") && !line.contains("unlimited")),
        "{limits}"
    );
}

#[test]
fn nothing_is_written_at_home_and_no_other_socket_is_opened() {
    let Some(library) = library() else { return };
    let scorer = Scorer::start(&library, &[]);
    check_fixture(&scorer, "boosted_trees");
    std::thread::sleep(Duration::from_secs(2));
    let at = |directory: &str| {
        std::fs::read_dir(scorer.place.path(directory)).expect("made by the test").count()
    };
    assert_eq!((at("home"), at("work")), (0, 0));
    let unix_sockets = std::fs::read_to_string("/proc/net/unix").expect("Linux");
    let descriptors =
        std::fs::read_dir(format!("/proc/{}/fd", scorer.child.id())).expect("our own child");
    for link in descriptors.flatten().filter_map(|fd| std::fs::read_link(fd.path()).ok()) {
        let link = link.display().to_string();
        if let Some(inode) = link.strip_prefix("socket:[") {
            let inode = inode.trim_end_matches(']');
            assert!(
                unix_sockets.split_whitespace().any(|word| word == inode),
                "{link} is no Unix socket"
            );
        }
    }
    let environment = std::fs::read_to_string(format!("/proc/{}/environ", scorer.child.id()))
        .expect("our own child");
    assert!(!environment.contains("ORT_DISABLE_TELEMETRY"), "the test means to start without it");
}

#[test]
fn it_ends_when_idle_and_when_its_supervisor_is_gone() {
    let Some(library) = library() else { return };
    let mut idle = Scorer::start(&library, &["--idle-timeout", "1"]);
    let _still_connected = idle.connect();
    assert_eq!(idle.wait(Duration::from_secs(5)), Some(0));
    let mut orphan = Scorer::start(&library, &[]);
    orphan.ready_pipe = None;
    assert_eq!(orphan.wait(Duration::from_secs(5)), Some(1));
}

#[test]
#[ignore = "a measurement"]
fn measure_batches() {
    let Some(library) = library() else { return };
    let scorer = Scorer::start(&library, &[]);
    for name in ["logistic", "boosted_trees"] {
        let mut client = scorer.connect();
        let sha256 = client.load(&fixture(name));
        for n_rows in [1_u32, 1_000, 8_192, 65_536] {
            let run = run_of(sha256, n_rows);
            let (start, mut n_done, mut worst) = (Instant::now(), 0_u32, Duration::ZERO);
            while start.elapsed() < Duration::from_secs(2) {
                let begun = Instant::now();
                assert!(matches!(client.ask(&run), Response::Outputs { .. }));
                worst = worst.max(begun.elapsed());
                n_done += 1;
            }
            let each = start.elapsed() / n_done;
            println!(
                "{name} x {n_rows}: {each:?} each, worst {worst:?}, {:.2} M rows/s",
                f64::from(n_rows) / each.as_secs_f64() / 1e6
            );
        }
    }
}

// ---- what the tests stand on ----

fn library() -> Option<PathBuf> {
    let library = std::env::var_os("PERSONA_ONNXRUNTIME").map(PathBuf::from);
    if library.is_none() {
        println!("skipped: PERSONA_ONNXRUNTIME does not name the ONNX Runtime library");
    }
    library
}

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(fixture_path(name, "onnx")).expect("a committed fixture")
}

fn fixture_path(name: &str, ending: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/onnx")
        .join(format!("{name}.{ending}"))
}

fn run_of(sha256: Sha256, n_rows: u32) -> Request {
    let values = (0..8 * n_rows).map(|i| (i % 17) as f32 / 17.0).collect();
    let tensors = vec![Tensor { name: "features".to_owned(), width: 8, data: Data::F32(values) }];
    Request::Run(Run { sha256, outputs: vec![], batch: Batch { n_rows, tensors } })
}

fn small_run(sha256: Sha256) -> Request {
    run_of(sha256, 1)
}

/// Half a minute with the model "slow".
fn slow_run(sha256: Sha256) -> Request {
    run_of(sha256, 1 << 20)
}

/// A temporary directory with what a scorer needs.
struct Place {
    directory: PathBuf,
    socket: PathBuf,
}

impl Place {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("persona-test-{}-{}", std::process::id(), NEXT.fetch_add(1, Relaxed));
        let directory = std::env::temp_dir().join(name);
        for inner in ["home", "work"] {
            std::fs::create_dir_all(directory.join(inner)).expect("a temporary directory");
        }
        std::fs::write(directory.join("slots"), vec![0; slots::SLOTS_BYTES]).expect("write");
        Self { socket: directory.join("s"), directory }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

struct Scorer {
    child: Child,
    ready_pipe: Option<BufReader<ChildStdout>>,
    place: Place,
}

impl Scorer {
    fn start(library: &Path, extra: &[&str]) -> Self {
        let (scorer, line) = Self::spawn(library, extra);
        assert_eq!(line, "ready\n");
        scorer
    }

    fn spawn(library: &Path, extra: &[&str]) -> (Self, String) {
        let place = Place::new();
        let listener = UnixListener::bind(&place.socket).expect("a temporary socket");
        // Open to all, so that the refusal of other users is the scorer's own.
        let all = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        std::fs::set_permissions(&place.socket, all).expect("our own socket");
        let mut child = Command::new(env!("CARGO_BIN_EXE_persona-onnx"))
            .args([Path::new("--library"), library, Path::new("--slots"), &place.path("slots")])
            .args([Path::new("--directory"), &place.path("work")])
            .args(["--parent", &std::process::id().to_string(), "--memory", "1073741824"])
            .args(extra)
            .env_clear()
            .env("HOME", place.path("home"))
            .stdin(Stdio::from(OwnedFd::from(listener)))
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary");
        let mut ready_pipe = BufReader::new(child.stdout.take().expect("piped"));
        let mut line = String::new();
        ready_pipe.read_line(&mut line).expect("a pipe");
        (Self { child, ready_pipe: Some(ready_pipe), place }, line)
    }

    fn connect(&self) -> Client {
        let stream = UnixStream::connect(&self.place.socket).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a socket");
        Client { stream }
    }

    /// The models at work, each with the runs that it had finished.
    fn at_work(&self) -> Vec<(Sha256, u64)> {
        let bytes = std::fs::read(self.place.path("slots")).expect("made by the test");
        slots::at_work(&bytes).into_iter().collect()
    }

    fn wait(&mut self, timeout: Duration) -> Option<i32> {
        let start = Instant::now();
        while start.elapsed() < timeout {
            if let Some(status) = self.child.try_wait().expect("our own child") {
                return status.code().or(status.signal().map(|signal| -signal));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        None
    }
}

impl Drop for Scorer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Client {
    stream: UnixStream,
}

impl Client {
    fn send(&mut self, request: &Request) {
        let mut bytes = Vec::new();
        request.encode(&mut bytes).expect("a valid request");
        // A scorer that has ended cannot be written to; the answer's absence tells.
        let _ = self.stream.write_all(&bytes);
    }

    /// None at the end of the connection.
    fn receive(&mut self) -> Option<Response> {
        match read_frame(&mut self.stream) {
            Ok(Some(frame)) => Some(Response::decode(frame).expect("a valid response")),
            Ok(None) => None,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                panic!("no answer for a minute")
            }
            Err(_) => None,
        }
    }

    fn ask(&mut self, request: &Request) -> Response {
        self.send(request);
        self.receive().expect("an answer")
    }

    fn send_model(&mut self, sha256: Sha256, model: &[u8]) {
        self.send(&Request::LoadBegin { sha256, total: model.len() as u64 });
        for chunk in model.chunks(CHUNK) {
            self.send(&Request::LoadChunk(chunk.to_vec()));
        }
    }

    fn try_load(&mut self, model: &[u8]) -> Result<Sha256, ErrorKind> {
        let sha256 = Hasher::digest(model).into();
        self.send_model(sha256, model);
        match self.receive() {
            Some(Response::Ready { .. }) => Ok(sha256),
            Some(Response::Error { kind, message }) => {
                println!("{kind:?}: {message}");
                Err(kind)
            }
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    fn load(&mut self, model: &[u8]) -> Sha256 {
        self.try_load(model).expect("a valid model")
    }

    fn status(&mut self) -> Status {
        match self.ask(&Request::Status) {
            Response::Status(status) => status,
            other => panic!("{other:?}"),
        }
    }
}

#[track_caller]
fn check_no_start(library: &Path, extra: &[&str], expected: &str) {
    let start = Instant::now();
    let (mut scorer, line) = Scorer::spawn(library, extra);
    let code = scorer.wait(Duration::from_secs(1));
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    assert!(code.is_some_and(|code| code != 0), "{code:?}");
    assert!(line.starts_with(expected), "{line}");
    println!("{:?}: {line}", start.elapsed());
}

/// The fixture's inputs give the outputs that scikit-learn gave.
#[track_caller]
fn check_fixture(scorer: &Scorer, name: &str) {
    let mut client = scorer.connect();
    let sha256 = client.load(&fixture(name));
    let text = std::fs::read_to_string(fixture_path(name, "json")).expect("a committed fixture");
    let expected: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let tensors: Vec<Tensor> = expected["inputs"]
        .as_object()
        .expect("an object")
        .iter()
        .map(|(name, input)| tensor(name, input))
        .collect();
    let n_rows = (tensors[0].data.len() / tensors[0].width as usize) as u32;
    let run = Run { sha256, outputs: vec![], batch: Batch { n_rows, tensors } };
    let Response::Outputs { outputs, warning } = client.ask(&Request::Run(run)) else {
        panic!("{name}: no outputs")
    };
    assert_eq!(warning, None);
    for (key, expected) in expected["outputs"].as_object().expect("an object") {
        match key.as_str() {
            "classes" => {}
            "label" => check_label(name, &find(&outputs, "label"), expected),
            "probabilities" => check_numbers(name, &find(&outputs, "probabilities"), expected),
            _ => check_numbers(name, &find(&outputs, key), expected),
        }
    }
    if let Some(classes) = &find(&outputs, "probabilities_or_first").classes {
        check_label(
            name,
            &Output { data: classes.clone(), ..outputs[0].clone() },
            &expected["outputs"]["classes"],
        );
    }
}

/// skl2onnx names a classifier's outputs "label" or "output_label", "probabilities" or "output_probability".
fn find(outputs: &[Output], wanted: &str) -> Output {
    let stem = &wanted[..wanted.len().min(5)];
    outputs.iter().find(|output| output.name.contains(stem)).unwrap_or(&outputs[0]).clone()
}

fn tensor(name: &str, input: &serde_json::Value) -> Tensor {
    let values = input["values"].as_array().expect("an array");
    let data = match input["type"].as_str() {
        Some("f32") => {
            Data::F32(values.iter().map(|value| value.as_f64().expect("a number") as f32).collect())
        }
        Some("i64") => {
            Data::I64(values.iter().map(|value| value.as_i64().expect("a whole number")).collect())
        }
        _ => {
            Data::Str(values.iter().map(|value| value.as_str().expect("text").to_owned()).collect())
        }
    };
    Tensor { name: name.to_owned(), width: input["width"].as_u64().expect("a width") as u32, data }
}

#[track_caller]
fn check_label(name: &str, found: &Output, expected: &serde_json::Value) {
    let found = match &found.data {
        Data::I64(values) => serde_json::json!(values),
        Data::Str(values) => serde_json::json!(values),
        other => panic!("{name}: {other:?}"),
    };
    assert_eq!(&found, expected, "{name}");
}

#[track_caller]
fn check_numbers(name: &str, found: &Output, expected: &serde_json::Value) {
    let flat: Vec<f64> = expected
        .as_array()
        .expect("an array")
        .iter()
        .flat_map(|row| row.as_array().cloned().unwrap_or_else(|| vec![row.clone()]))
        .map(|value| value.as_f64().expect("a number"))
        .collect();
    let Data::F32(values) = &found.data else { panic!("{name}: {found:?}") };
    assert_eq!(values.len(), flat.len(), "{name}");
    for (found, expected) in values.iter().zip(&flat) {
        assert!((f64::from(*found) - expected).abs() < 1e-5, "{name}: {found} is not {expected}");
    }
}
